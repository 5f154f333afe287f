//! The filter of the systrap platform, installed in the host's kernel: what a stub process gets.
//!
//! There is no listener, so the host answers user notifications with ENOSYS.

#[path = "systrap_filter/caller.rs"]
mod caller;

use caller::{CHANNEL, CODE, CONDUIT_BYTES, CONDUITS, Call, Outcome, SCRATCH, WINDOW, guest, stub};
use linux_abi::Errno;
use platform::filter::systrap::{
    CLONE_COPY, CLONE_SHARE, CLONE_THREAD, DOORBELL, HOST_CALLS, TRAPPED,
};

const PAGE: u64 = 4096;
/// `uretprobe` and `uprobe`: newer hosts ask no filter about them. From anywhere but the host's own
/// trampolines they do nothing, or raise SIGILL.
const UNFILTERED: [i64; 2] = [335, 336];
/// Neither a process, nor a descriptor, nor mapped memory; nothing bad as a flag or a length.
const NOTHING: u64 = 0x7fff_fff0;
const ANYWHERE: u64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
const THERE: u64 = ANYWHERE | libc::MAP_FIXED as u64;
const RX: u64 = (libc::PROT_READ | libc::PROT_EXEC) as u64;
const RW: u64 = (libc::PROT_READ | libc::PROT_WRITE) as u64;

/// Makes all calls in one process, which must survive.
fn outcomes(calls: &[Call]) -> Vec<Outcome> {
    let (outcomes, signal) = caller::run(calls);
    assert_eq!((outcomes.len(), signal), (calls.len(), None), "{:?}", calls.get(outcomes.len()));
    outcomes
}

/// Asserts that the calls fail with these errors.
fn fail(calls: &[(Call, Errno)]) {
    let made: Vec<Call> = calls.iter().map(|(call, _)| *call).collect();
    for ((call, errno), outcome) in calls.iter().zip(outcomes(&made)) {
        assert_eq!(outcome, Outcome::Returned(-i64::from(errno.raw())), "{call:?}");
    }
}

/// Asserts that the calls succeed.
fn succeed(calls: &[Call]) {
    for (call, outcome) in calls.iter().zip(outcomes(calls)) {
        assert!(matches!(outcome, Outcome::Returned(value) if value >= 0), "{call:?}: {outcome:?}");
    }
}

#[test]
fn no_call_of_the_guest_reaches_the_host() {
    let doorbell = i64::from(DOORBELL);
    let special = [doorbell, -1, 0x4000_0000, 0x4000_0009];
    let filtered = (0..1024).filter(|number| !UNFILTERED.contains(number));
    let numbers: Vec<i64> = filtered.chain(special).collect();
    let calls: Vec<Call> = numbers.iter().map(|&number| guest(number, [NOTHING; 6])).collect();
    for (&number, outcome) in numbers.iter().zip(outcomes(&calls)) {
        let expected = match TRAPPED.contains(&number) {
            true => Outcome::Trapped,
            false => Outcome::Returned(-i64::from(libc::ENOSYS)),
        };
        assert_eq!(outcome, expected, "{number}");
    }
}

#[test]
fn futexes_of_the_guest_reach_the_host_if_they_shall() {
    let wake = guest(libc::SYS_futex, [SCRATCH, 1 | 128, 1, 0, 0, 0]);
    let inheriting = guest(libc::SYS_futex, [SCRATCH, libc::FUTEX_LOCK_PI as u64, 0, 0, 0, 0]);
    // None to wait for.
    let wait = guest(libc::SYS_futex_waitv, [SCRATCH, 0, 0, 0, 0, 0]);
    let flags = guest(libc::SYS_futex_waitv, [SCRATCH, 0, 1, 0, 0, 0]);
    let calls = [wake, inheriting, wait, flags];
    let error = |errno: i32| Outcome::Returned(-i64::from(errno));
    let no = error(libc::ENOSYS);
    assert_eq!(caller::run_with(&calls, false), (vec![no; 4], None));
    let native = vec![Outcome::Returned(0), no, error(libc::EINVAL), no];
    assert_eq!(caller::run_with(&calls, true), (native, None));
}

#[test]
fn unlisted_calls_of_the_stub_kill_the_process() {
    for number in (0..512).filter(|number| !UNFILTERED.contains(number)) {
        if HOST_CALLS.iter().all(|call| call.number != number) {
            let (outcomes, signal) = caller::run(&[stub(number, [NOTHING; 6])]);
            assert_eq!((outcomes.len(), signal), (0, Some(libc::SIGSYS)), "{number}");
        }
    }
}

#[test]
fn calls_that_no_filter_sees_do_nothing() {
    for number in UNFILTERED {
        let (outcomes, signal) = caller::run(&[guest(number, [NOTHING; 6])]);
        match outcomes[..] {
            [] => assert_eq!(signal, Some(libc::SIGILL), "{number}"),
            [outcome] => assert!(
                matches!(outcome, Outcome::Returned(value) if value < 0),
                "{number}: {outcome:?}"
            ),
            _ => panic!("{outcomes:?}"),
        }
    }
}

#[test]
fn other_interfaces_do_not_exist() {
    let x32 = |number| number | 0x4000_0000;
    fail(&[
        (stub(x32(libc::SYS_getpid), [0; 6]), Errno::ENOSYS),
        (stub(x32(libc::SYS_munmap), [NOTHING; 6]), Errno::ENOSYS),
        (stub(DOORBELL.into(), [0; 6]), Errno::ENOSYS),
    ]);
    // A host without 32-bit calls raises a signal.
    let (outcomes, signal) = caller::run(&[caller::INTERRUPT_0X80]);
    match signal {
        None => assert_eq!(outcomes, [Outcome::Returned(-i64::from(libc::ENOSYS))]),
        Some(signal) => assert_eq!(signal, libc::SIGSEGV),
    }
}

#[test]
fn the_vsyscall_page_works() {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    if maps.contains("[vsyscall]") {
        succeed(&[caller::VSYSCALL_TIME]);
    } else {
        eprintln!("this host has no vsyscall page");
    }
}

#[test]
fn the_stub_changes_memory_outside_its_window() {
    succeed(&[
        stub(libc::SYS_mmap, [0, PAGE, RW, ANYWHERE, u64::MAX, 0]),
        stub(libc::SYS_mmap, [SCRATCH, 4 * PAGE, RW, THERE, u64::MAX, 0]),
        stub(libc::SYS_mprotect, [SCRATCH, PAGE, RX, 0, 0, 0]),
        stub(libc::SYS_madvise, [SCRATCH, PAGE, libc::MADV_DONTNEED as u64, 0, 0, 0]),
        stub(libc::SYS_mlock2, [SCRATCH, PAGE, 0, 0, 0, 0]),
        stub(libc::SYS_munlock, [SCRATCH, PAGE, 0, 0, 0, 0]),
        stub(libc::SYS_mincore, [SCRATCH, PAGE, SCRATCH + PAGE, 0, 0, 0]),
        stub(libc::SYS_msync, [SCRATCH, PAGE, libc::MS_ASYNC as u64, 0, 0, 0]),
        stub(libc::SYS_mremap, [SCRATCH, PAGE, PAGE, 3, SCRATCH + 8 * PAGE, 0]),
        // The most that lies below.
        stub(libc::SYS_munmap, [WINDOW - PAGE, PAGE, 0, 0, 0, 0]),
        stub(
            libc::SYS_mmap,
            [CHANNEL.start, CHANNEL.end - CHANNEL.start, RW, 0x11, caller::channel_file(), 0],
        ),
        stub(libc::SYS_mmap, [CONDUITS.start, CONDUIT_BYTES, RW, 0x11, caller::channel_file(), 0]),
        stub(
            libc::SYS_mmap,
            [CONDUITS.end - CONDUIT_BYTES, CONDUIT_BYTES, RW, 0x11, caller::channel_file(), 0],
        ),
    ]);
}

#[test]
fn the_stub_cannot_change_its_window() {
    let fixed_move = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
    let channel_bytes = CHANNEL.end - CHANNEL.start;
    fail(&[
        (stub(libc::SYS_mmap, [CODE.start, PAGE, RX, THERE, u64::MAX, 0]), Errno::ENOMEM),
        (stub(libc::SYS_mmap, [WINDOW - PAGE, 2 * PAGE, RX, THERE, u64::MAX, 0]), Errno::ENOMEM),
        (stub(libc::SYS_mmap, [CHANNEL.start, channel_bytes, RX, 0x11, 0, 0]), Errno::ENOMEM),
        (stub(libc::SYS_mmap, [CONDUITS.start, CONDUIT_BYTES, RX, 0x11, 0, 0]), Errno::ENOMEM),
        (stub(libc::SYS_mmap, [CONDUITS.start, CONDUIT_BYTES, RW, 0x12, 0, 0]), Errno::ENOMEM),
        (stub(libc::SYS_mmap, [CONDUITS.start, 2 * CONDUIT_BYTES, RW, 0x11, 0, 0]), Errno::ENOMEM),
        (
            stub(libc::SYS_mmap, [CONDUITS.start - PAGE, CONDUIT_BYTES, RW, 0x11, 0, 0]),
            Errno::ENOMEM,
        ),
        (
            stub(
                libc::SYS_mmap,
                [CONDUITS.end - CONDUIT_BYTES + PAGE, CONDUIT_BYTES, RW, 0x11, 0, 0],
            ),
            Errno::ENOMEM,
        ),
        (stub(libc::SYS_mmap, [0, 2 << 20, RW, ANYWHERE | 0x4_0000, u64::MAX, 0]), Errno::ENOMEM),
        (stub(libc::SYS_munmap, [CODE.start, PAGE, 0, 0, 0, 0]), Errno::EINVAL),
        (stub(libc::SYS_munmap, [0, 1 << 47, 0, 0, 0, 0]), Errno::EINVAL),
        (stub(libc::SYS_munmap, [WINDOW - PAGE, u64::MAX, 0, 0, 0, 0]), Errno::EINVAL),
        (stub(libc::SYS_mprotect, [CODE.start, PAGE, 7, 0, 0, 0]), Errno::EINVAL),
        (stub(libc::SYS_mremap, [CODE.start, PAGE, 2 * PAGE, 1, 0, 0]), Errno::EINVAL),
        (stub(libc::SYS_mremap, [CHANNEL.start, 0, PAGE, 1, 0, 0]), Errno::EINVAL),
        (stub(libc::SYS_mremap, [SCRATCH, PAGE, PAGE, fixed_move, CODE.start, 0]), Errno::EINVAL),
        (
            stub(libc::SYS_madvise, [CODE.start, PAGE, libc::MADV_DONTNEED as u64, 0, 0, 0]),
            Errno::EINVAL,
        ),
    ]);
}

#[test]
fn arguments_of_the_stub_are_bounded() {
    fail(&[
        (
            stub(libc::SYS_madvise, [SCRATCH, PAGE, libc::MADV_MERGEABLE as u64, 0, 0, 0]),
            Errno::EINVAL,
        ),
        (stub(libc::SYS_futex, [SCRATCH, libc::FUTEX_LOCK_PI as u64, 0, 0, 0, 0]), Errno::ENOSYS),
        // The clock of the process with pid 1.
        (stub(libc::SYS_clock_gettime, [-14_i64 as u64, SCRATCH, 0, 0, 0, 0]), Errno::EINVAL),
        (stub(libc::SYS_arch_prctl, [0x4002, 6, 0, 0, 0, 0]), Errno::EINVAL),
        (stub(libc::SYS_close_range, [NOTHING, NOTHING, 2, 0, 0, 0]), Errno::EINVAL),
        (stub(libc::SYS_setpgid, [0, 1, 0, 0, 0, 0]), Errno::EPERM),
        (stub(libc::SYS_setpgid, [1, 0, 0, 0, 0, 0]), Errno::EPERM),
        (stub(libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]), Errno::EINVAL),
        (stub(libc::SYS_clone, [CLONE_COPY | 1 << 32, 0, 0, 0, 0, 0]), Errno::EINVAL),
    ]);
    succeed(&[
        stub(libc::SYS_futex, [SCRATCH, 1 | 128, 1, 0, 0, 0]),
        stub(libc::SYS_clock_gettime, [1, SCRATCH, 0, 0, 0, 0]),
        stub(libc::SYS_arch_prctl, [0x1003, SCRATCH, 0, 0, 0, 0]),
        stub(libc::SYS_close_range, [NOTHING, NOTHING, 0, 0, 0, 0]),
        stub(libc::SYS_gettid, [0; 6]),
        stub(libc::SYS_set_tid_address, [SCRATCH, 0, 0, 0, 0, 0]),
        stub(libc::SYS_getcpu, [SCRATCH, 0, 0, 0, 0, 0]),
        stub(libc::SYS_sched_yield, [0; 6]),
        stub(libc::SYS_membarrier, [0; 6]),
        stub(libc::SYS_rt_sigprocmask, [0, 0, SCRATCH, 8, 0, 0]),
        stub(libc::SYS_sigaltstack, [0; 6]),
        stub(libc::SYS_setpgid, [0; 6]),
    ]);
}

#[test]
fn the_stub_makes_no_thread_or_process_by_itself() {
    let ask = |flags| (stub(libc::SYS_clone, [flags, 0, 0, 0, 0, 0]), Errno::ENOSYS);
    fail(&[CLONE_THREAD, CLONE_COPY, CLONE_SHARE].map(ask));
}
