//! Signals.

use crate::signal::*;

#[test]
fn layout_matches_headers() {
    same_layout!(
        SigAction,
        linux_raw_sys::general::kernel_sigaction,
        handler = sa_handler_kernel,
        flags = sa_flags,
        restorer = sa_restorer,
        mask = sa_mask
    );
    same_layout!(
        SigAltStack,
        linux_raw_sys::general::sigaltstack,
        sp = ss_sp,
        flags = ss_flags,
        size = ss_size
    );
    same_layout!(
        SigEvent,
        linux_raw_sys::general::sigevent,
        value = sigev_value,
        signo = sigev_signo,
        notify = sigev_notify
    );
    same_layout!(
        SignalfdSiginfo,
        libc::signalfd_siginfo,
        signo = ssi_signo,
        errno = ssi_errno,
        code = ssi_code,
        pid = ssi_pid,
        uid = ssi_uid,
        fd = ssi_fd,
        tid = ssi_tid,
        band = ssi_band,
        overrun = ssi_overrun,
        trapno = ssi_trapno,
        status = ssi_status,
        int = ssi_int,
        ptr = ssi_ptr,
        utime = ssi_utime,
        stime = ssi_stime,
        addr = ssi_addr,
        addr_lsb = ssi_addr_lsb,
        syscall = ssi_syscall,
        call_addr = ssi_call_addr,
        arch = ssi_arch
    );
    same_layout!(SigInfo, libc::siginfo_t, signo = si_signo, errno = si_errno, code = si_code);
}

/// Sizes from the kernel headers, for structures that neither crate has.
#[test]
fn sizes_match_headers() {
    assert_eq!(size_of::<SigContext>(), 256);
    assert_eq!(size_of::<UContext>(), 304);
    assert_eq!(size_of::<RtSigFrame>(), 440);
    assert_eq!(size_of::<FpxSwBytes>(), 48);
    assert_eq!(size_of::<SigSetArg>(), 16);
}

#[test]
fn registers_are_where_the_c_library_has_them() {
    use std::mem::offset_of;
    assert_eq!(offset_of!(UContext, mcontext), offset_of!(libc::ucontext_t, uc_mcontext));
    assert_eq!(offset_of!(UContext, sigmask), offset_of!(libc::ucontext_t, uc_sigmask));
    assert_eq!(offset_of!(SigContext, fpstate), offset_of!(libc::mcontext_t, fpregs));
    let register = |index: i32| index as usize * 8;
    assert_eq!(offset_of!(SigContext, r8), register(libc::REG_R8));
    assert_eq!(offset_of!(SigContext, rdi), register(libc::REG_RDI));
    assert_eq!(offset_of!(SigContext, rax), register(libc::REG_RAX));
    assert_eq!(offset_of!(SigContext, rip), register(libc::REG_RIP));
    assert_eq!(offset_of!(SigContext, eflags), register(libc::REG_EFL));
    assert_eq!(offset_of!(SigContext, cs), register(libc::REG_CSGSFS));
    assert_eq!(offset_of!(SigContext, err), register(libc::REG_ERR));
    assert_eq!(offset_of!(SigContext, cr2), register(libc::REG_CR2));
}

#[test]
fn signal_information_keeps_its_fields() {
    let info = SigInfo::child(CLD_KILLED, 7, 1000, 9, 11, 12);
    assert_eq!((info.signo, info.code), (SIGCHLD, CLD_KILLED));
    assert_eq!((info.pid(), info.uid(), info.status()), (7, 1000, 9));
    assert_eq!((info.utime(), info.stime()), (11, 12));
    let info = SigInfo::timer(SIGALRM, 3, -1, 0xdead_beef_0000);
    assert_eq!((info.timer_id(), info.overrun(), info.value()), (3, -1, 0xdead_beef_0000));
    let info = SigInfo::sigsys(0x1234, 39, crate::task::AUDIT_ARCH_X86_64, 5);
    assert_eq!((info.call_addr(), info.syscall(), info.errno), (0x1234, 39, 5));
    assert_eq!(info.arch(), crate::task::AUDIT_ARCH_X86_64);
    assert_eq!(SigInfo::poll(SIGIO, POLL_IN, 65, -1).fd(), -1);
}

#[test]
fn signal_sets_hold_signals_1_to_64() {
    let mut set: SigSet = [SIGHUP, SIGRTMAX, 0, 65, -1].into_iter().collect();
    assert_eq!(set, SigSet(1 | 1 << 63));
    set.remove(SIGHUP);
    set.remove(65);
    assert_eq!(set.iter().collect::<Vec<_>>(), [SIGRTMAX]);
    assert_eq!(SigSet::UNBLOCKABLE, SigSet(1 << 8 | 1 << 18));
    assert_eq!(signal_name(31), Some("SIGSYS"));
    assert_eq!(signal_name(32), None);
}
