//! Processes and threads.

use crate::task::*;

#[test]
fn layout_matches_headers_part_1() {
    same_layout!(
        CloneArgs,
        linux_raw_sys::general::clone_args,
        flags = flags,
        pidfd = pidfd,
        child_tid = child_tid,
        parent_tid = parent_tid,
        exit_signal = exit_signal,
        stack = stack,
        stack_size = stack_size,
        tls = tls,
        set_tid = set_tid,
        set_tid_size = set_tid_size,
        cgroup = cgroup
    );
    same_layout!(RobustList, linux_raw_sys::general::robust_list, next = next);
    same_layout!(
        RobustListHead,
        linux_raw_sys::general::robust_list_head,
        list = list,
        futex_offset = futex_offset,
        list_op_pending = list_op_pending
    );
    same_layout!(
        PrctlMmMap,
        linux_raw_sys::prctl::prctl_mm_map,
        start_code = start_code,
        end_code = end_code,
        start_data = start_data,
        end_data = end_data,
        start_brk = start_brk,
        brk = brk,
        start_stack = start_stack,
        arg_start = arg_start,
        arg_end = arg_end,
        env_start = env_start,
        env_end = env_end,
        auxv = auxv,
        auxv_size = auxv_size,
        exe_fd = exe_fd
    );
    same_layout!(Rlimit64, linux_raw_sys::general::rlimit64, cur = rlim_cur, max = rlim_max);
    same_layout!(
        Rusage,
        linux_raw_sys::general::rusage,
        utime = ru_utime,
        stime = ru_stime,
        maxrss = ru_maxrss,
        ixrss = ru_ixrss,
        idrss = ru_idrss,
        isrss = ru_isrss,
        minflt = ru_minflt,
        majflt = ru_majflt,
        nswap = ru_nswap,
        inblock = ru_inblock,
        oublock = ru_oublock,
        msgsnd = ru_msgsnd,
        msgrcv = ru_msgrcv,
        nsignals = ru_nsignals,
        nvcsw = ru_nvcsw,
        nivcsw = ru_nivcsw
    );
    same_layout!(
        Tms,
        libc::tms,
        utime = tms_utime,
        stime = tms_stime,
        cutime = tms_cutime,
        cstime = tms_cstime
    );
    same_layout!(SchedParam, libc::sched_param, priority = sched_priority);
    same_layout!(
        CapHeader,
        linux_raw_sys::general::__user_cap_header_struct,
        version = version,
        pid = pid
    );
    same_layout!(
        CapData,
        linux_raw_sys::general::__user_cap_data_struct,
        effective = effective,
        permitted = permitted,
        inheritable = inheritable
    );
}

#[test]
fn layout_matches_headers_part_2() {
    same_layout!(
        VfsNsCapData,
        linux_raw_sys::general::vfs_ns_cap_data,
        magic_etc = magic_etc,
        rootid = rootid
    );
    same_layout!(
        Utsname,
        linux_raw_sys::system::new_utsname,
        sysname = sysname,
        nodename = nodename,
        release = release,
        version = version,
        machine = machine,
        domainname = domainname
    );
    same_layout!(
        SysInfo,
        libc::sysinfo,
        uptime = uptime,
        loads = loads,
        totalram = totalram,
        freeram = freeram,
        sharedram = sharedram,
        bufferram = bufferram,
        totalswap = totalswap,
        freeswap = freeswap,
        procs = procs,
        totalhigh = totalhigh,
        freehigh = freehigh,
        mem_unit = mem_unit
    );
    same_layout!(
        UserRegs,
        libc::user_regs_struct,
        r15 = r15,
        r14 = r14,
        r13 = r13,
        r12 = r12,
        rbp = rbp,
        rbx = rbx,
        r11 = r11,
        r10 = r10,
        r9 = r9,
        r8 = r8,
        rax = rax,
        rcx = rcx,
        rdx = rdx,
        rsi = rsi,
        rdi = rdi,
        orig_rax = orig_rax,
        rip = rip,
        cs = cs,
        eflags = eflags,
        rsp = rsp,
        ss = ss,
        fs_base = fs_base,
        gs_base = gs_base,
        ds = ds,
        es = es,
        fs = fs,
        gs = gs
    );
    same_layout!(
        PtraceSyscallInfo,
        linux_raw_sys::ptrace::ptrace_syscall_info,
        op = op,
        flags = flags,
        arch = arch,
        instruction_pointer = instruction_pointer,
        stack_pointer = stack_pointer
    );
    same_layout!(
        PtracePeekSigInfoArgs,
        linux_raw_sys::ptrace::ptrace_peeksiginfo_args,
        off = off,
        flags = flags,
        nr = nr
    );
    same_layout!(
        SeccompData,
        linux_raw_sys::ptrace::seccomp_data,
        nr = nr,
        arch = arch,
        instruction_pointer = instruction_pointer,
        args = args
    );
    same_layout!(
        SeccompNotifSizes,
        linux_raw_sys::ptrace::seccomp_notif_sizes,
        notif = seccomp_notif,
        resp = seccomp_notif_resp,
        data = seccomp_data
    );
    same_layout!(
        SeccompNotif,
        linux_raw_sys::ptrace::seccomp_notif,
        id = id,
        pid = pid,
        flags = flags,
        data = data
    );
    same_layout!(
        SeccompNotifResp,
        linux_raw_sys::ptrace::seccomp_notif_resp,
        id = id,
        val = val,
        error = error,
        flags = flags
    );
}

#[test]
fn layout_matches_headers_part_3() {
    same_layout!(
        SeccompNotifAddFd,
        linux_raw_sys::ptrace::seccomp_notif_addfd,
        id = id,
        flags = flags,
        srcfd = srcfd,
        newfd = newfd,
        newfd_flags = newfd_flags
    );
    same_layout!(
        SockFilter,
        linux_raw_sys::ptrace::sock_filter,
        code = code,
        jt = jt,
        jf = jf,
        k = k
    );
    same_layout!(SockFprog, linux_raw_sys::ptrace::sock_fprog, len = len, filter = filter);
}

/// Sizes from the kernel headers, for structures that neither crate has.
#[test]
fn sizes_match_headers() {
    assert_eq!(size_of::<Rseq>(), 32);
    assert_eq!(size_of::<RseqCs>(), 32);
    assert_eq!(size_of::<SchedAttr>(), 56);
}
