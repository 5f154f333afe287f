//! Time, readiness, futexes, System V objects, message queues and terminals.

use crate::{futex::*, ipc::*, mqueue::*, poll::*, time::*, tty::*};

#[test]
fn layout_matches_headers_part_1() {
    same_layout!(Timespec, linux_raw_sys::general::timespec, sec = tv_sec, nsec = tv_nsec);
    same_layout!(Timeval, linux_raw_sys::general::timeval, sec = tv_sec, usec = tv_usec);
    same_layout!(
        Itimerval,
        linux_raw_sys::general::itimerval,
        interval = it_interval,
        value = it_value
    );
    same_layout!(
        Itimerspec,
        linux_raw_sys::general::itimerspec,
        interval = it_interval,
        value = it_value
    );
    same_layout!(
        Timezone,
        linux_raw_sys::general::timezone,
        minuteswest = tz_minuteswest,
        dsttime = tz_dsttime
    );
    same_layout!(Utimbuf, libc::utimbuf, actime = actime, modtime = modtime);
    same_layout!(
        Timex,
        libc::timex,
        modes = modes,
        offset = offset,
        freq = freq,
        maxerror = maxerror,
        esterror = esterror,
        status = status,
        constant = constant,
        precision = precision,
        tolerance = tolerance,
        time = time,
        tick = tick,
        ppsfreq = ppsfreq,
        jitter = jitter,
        shift = shift,
        stabil = stabil,
        jitcnt = jitcnt,
        calcnt = calcnt,
        errcnt = errcnt,
        stbcnt = stbcnt,
        tai = tai
    );
    same_layout!(
        PollFd,
        linux_raw_sys::general::pollfd,
        fd = fd,
        events = events,
        revents = revents
    );
    same_layout!(EpollEvent, linux_raw_sys::general::epoll_event, events = events, data = data);
    same_layout!(
        FutexWaitv,
        linux_raw_sys::general::futex_waitv,
        val = val,
        uaddr = uaddr,
        flags = flags
    );
}

#[test]
fn layout_matches_headers_part_2() {
    same_layout!(
        MqAttr,
        libc::mq_attr,
        flags = mq_flags,
        maxmsg = mq_maxmsg,
        msgsize = mq_msgsize,
        curmsgs = mq_curmsgs
    );
    same_layout!(
        IpcPerm,
        libc::ipc_perm,
        key = __key,
        uid = uid,
        gid = gid,
        cuid = cuid,
        cgid = cgid,
        mode = mode,
        seq = __seq
    );
    same_layout!(
        ShmidDs,
        libc::shmid_ds,
        perm = shm_perm,
        segsz = shm_segsz,
        atime = shm_atime,
        dtime = shm_dtime,
        ctime = shm_ctime,
        cpid = shm_cpid,
        lpid = shm_lpid,
        nattch = shm_nattch
    );
    same_layout!(
        SemidDs,
        libc::semid_ds,
        perm = sem_perm,
        otime = sem_otime,
        ctime = sem_ctime,
        nsems = sem_nsems
    );
    same_layout!(
        SemInfo,
        libc::seminfo,
        semmap = semmap,
        semmni = semmni,
        semmns = semmns,
        semmnu = semmnu,
        semmsl = semmsl,
        semopm = semopm,
        semume = semume,
        semusz = semusz,
        semvmx = semvmx,
        semaem = semaem
    );
    same_layout!(
        MsqidDs,
        libc::msqid_ds,
        perm = msg_perm,
        stime = msg_stime,
        rtime = msg_rtime,
        ctime = msg_ctime,
        cbytes = __msg_cbytes,
        qnum = msg_qnum,
        qbytes = msg_qbytes,
        lspid = msg_lspid,
        lrpid = msg_lrpid
    );
    same_layout!(
        MsgInfo,
        libc::msginfo,
        msgpool = msgpool,
        msgmap = msgmap,
        msgmax = msgmax,
        msgmnb = msgmnb,
        msgmni = msgmni,
        msgssz = msgssz,
        msgtql = msgtql,
        msgseg = msgseg
    );
    same_layout!(
        Termios,
        linux_raw_sys::general::termios,
        iflag = c_iflag,
        oflag = c_oflag,
        cflag = c_cflag,
        lflag = c_lflag,
        line = c_line,
        cc = c_cc
    );
    same_layout!(
        Termios2,
        linux_raw_sys::general::termios2,
        iflag = c_iflag,
        oflag = c_oflag,
        cflag = c_cflag,
        lflag = c_lflag,
        line = c_line,
        cc = c_cc,
        ispeed = c_ispeed,
        ospeed = c_ospeed
    );
    same_layout!(
        Winsize,
        linux_raw_sys::general::winsize,
        row = ws_row,
        col = ws_col,
        xpixel = ws_xpixel,
        ypixel = ws_ypixel
    );
}

/// Sizes from the kernel headers, for structures that neither crate has.
#[test]
fn sizes_match_headers() {
    assert_eq!(size_of::<ShmInfoLimits>(), 72);
    assert_eq!(size_of::<ShmInfo>(), 48);
    assert_eq!(size_of::<Sembuf>(), 6);
}

#[test]
fn system_call_numbers_have_their_names() {
    assert_eq!(crate::sysno::SYS_OPENAT, libc::SYS_openat as u64);
    assert_eq!(crate::sysno::name(libc::SYS_statx as u64), Some("statx"));
    assert_eq!(crate::sysno::name(400), None);
    assert!(crate::sysno::ALL.is_sorted());
}

#[test]
fn an_errno_shows_its_name_and_text() {
    assert_eq!(crate::Errno::ENOENT.to_string(), "ENOENT (No such file or directory)");
    assert_eq!(crate::Errno::from_raw(libc::EHWPOISON), crate::Errno::EHWPOISON);
}
