//! seccomp: modes, filters, actions, what inherits them.

use crate::support::numbers as nr;
use crate::support::prelude::*;
use crate::support::trace::{CALL_INFO, Stop, traced};

const LOAD: u16 = 0x20;
const JEQ: u16 = 0x15;
const JGE: u16 = 0x35;
const RET: u16 = 0x06;

const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;
const TRAP: u32 = 0x3_0000;
const ERRNO: u32 = 0x5_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

const FUTEX_WAIT_PRIVATE: i32 = FUTEX_WAIT | FUTEX_PRIVATE_FLAG;
const FUTEX_WAKE_PRIVATE: i32 = FUTEX_WAKE | FUTEX_PRIVATE_FLAG;

const STRICT: i32 = 0;
const FILTER: i32 = 1;
const ACTION_AVAIL: i32 = 2;
const NOTIF_SIZES: i32 = 3;

const TSYNC: i32 = 1;
const TSYNC_ESRCH: i32 = 16;

fn op(code: u16, jt: u8, jf: u8, k: u32) -> u64 {
    u64::from(code) | u64::from(jt) << 16 | u64::from(jf) << 24 | u64::from(k) << 32
}

/// A program that answers so for these calls, and allows all others.
fn answers(list: &[(i64, u32)]) -> Vec<u64> {
    let mut code = vec![op(LOAD, 0, 0, 0)];
    for &(number, answer) in list {
        code.push(op(JEQ, 0, 1, number as u32));
        code.push(op(RET, 0, 0, answer));
    }
    code.push(op(RET, 0, 0, ALLOW));
    code
}

fn install_with(flags: i32, code: &[u64]) -> Result<i64, Errno> {
    let program = [code.len() as u64, code.as_ptr() as u64];
    sys!(seccomp, FILTER, flags, &program)
}

fn no_new_privs() {
    sys!(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).must();
}

fn install(list: &[(i64, u32)]) {
    no_new_privs();
    check_eq!(install_with(0, &answers(list)), Ok(0));
}

/// The status of a child that is filtered so, and then does that.
fn status_of(list: &[(i64, u32)], act: impl FnOnce()) -> Status {
    fork(|| {
        install(list);
        act();
    })
    .wait()
}

fn line_of_status(name: &str) -> String {
    let text = String::from_utf8_lossy(&content(c"/proc/thread-self/status")).into_owned();
    let line = text.lines().find(|line| line.starts_with(name)).must();
    line[name.len()..].trim().to_owned()
}

case!(errno_replaces_the_call, [seccomp], {
    fork(|| {
        install(&[(nr::getppid, ERRNO | 77), (nr::getuid, ERRNO), (nr::getgid, ERRNO | 0xffff)]);
        check_eq!(sys!(getppid), Err(Errno(77)));
        check_eq!(sys!(getuid), Ok(0));
        check_eq!(sys!(getgid), Err(Errno(4095)));
        check!(sys!(getpid).is_ok());
    })
    .ok();
});

case!(calls_that_need_no_kernel_are_judged, [seccomp], {
    // Called often before, so that a kernel may have found short cuts.
    let calls = || {
        let mut now: timespec = zeroed();
        [
            sys!(getpid),
            sys!(gettid),
            sys!(geteuid),
            sys!(sched_yield),
            sys!(clock_gettime, CLOCK_MONOTONIC, &mut now),
            sys!(getcpu, NULL, NULL, NULL),
            sys!(madvise, anon(PAGE), PAGE, MADV_DONTNEED),
        ]
    };
    fork(|| {
        for _ in 0..200 {
            check!(calls().iter().all(Result::is_ok));
        }
        install(&[(nr::getpid, ERRNO | 1), (nr::gettid, ERRNO | 2), (nr::geteuid, ERRNO | 3)]);
        install(&[(nr::sched_yield, ERRNO | 4), (nr::clock_gettime, ERRNO | 5)]);
        install(&[(nr::getcpu, ERRNO | 6), (nr::madvise, ERRNO | 7)]);
        for _ in 0..200 {
            check_eq!(calls(), [1, 2, 3, 4, 5, 6, 7].map(|errno| Err(Errno(errno))));
        }
    })
    .ok();
});

case!(memory_calls_are_judged, [seccomp, mmap, munmap, mprotect, mremap, brk], {
    fork(|| {
        let place = anon(2 * PAGE);
        for _ in 0..100 {
            let one = anon(PAGE);
            sys!(mprotect, one, PAGE, PROT_READ).must();
            sys!(munmap, one, PAGE).must();
        }
        install(&[(nr::mprotect, ERRNO | 7), (nr::munmap, ERRNO | 8), (nr::mremap, ERRNO | 9)]);
        for _ in 0..100 {
            check_eq!(sys!(mprotect, place, PAGE, PROT_READ), Err(Errno(7)));
            check_eq!(sys!(munmap, place, PAGE), Err(Errno(8)));
            check_eq!(sys!(mremap, place, PAGE, 2 * PAGE, 0), Err(Errno(9)));
        }
        install(&[(nr::mmap, ERRNO | 10), (nr::brk, ERRNO | 11)]);
        check_eq!(
            sys!(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            Err(Errno(10))
        );
        check_eq!(sys!(brk, 0), Err(Errno(11)));
    })
    .ok();
});

case!(futexes_are_judged, [seccomp, futex, futex_waitv], {
    let word = AtomicU32::new(1);
    let address = std::ptr::from_ref(&word) as usize;
    fork(|| {
        check_eq!(sys!(futex, address, FUTEX_WAKE, 1), Ok(0));
        install(&[(nr::futex, ERRNO | 77), (nr::futex_waitv, ERRNO | 78)]);
        check_eq!(sys!(futex, address, FUTEX_WAKE, 1), Err(Errno(77)));
        check_eq!(sys!(futex, address, FUTEX_WAIT, 1, NULL), Err(Errno(77)));
        check_eq!(sys!(futex_waitv, NULL, 0, 0, NULL, 0), Err(Errno(78)));
        // Its children, too.
        fork(|| check_eq!(sys!(futex, address, FUTEX_WAKE, 1), Err(Errno(77)))).ok();
    })
    .ok();
    check_eq!(sys!(futex, address, FUTEX_WAKE, 1), Ok(0));
});

case!(calls_on_own_memory_are_judged, [seccomp, mmap, mprotect, getrandom, arch_prctl, rseq], {
    const PRIVATE: i32 = MAP_PRIVATE | MAP_ANONYMOUS;
    const ARCH_SET_FS: i32 = 0x1002;
    fork(|| {
        let page = sys!(mmap, 0, PAGE, PROT_READ | PROT_WRITE, PRIVATE, -1, 0).must();
        let numbers = [nr::mmap, nr::mprotect, nr::getrandom, nr::arch_prctl, nr::rseq];
        install(&numbers.map(|number| (number, ERRNO | 77)));
        let mut bytes = [0_u8; 16];
        check_eq!(sys!(getrandom, &mut bytes, 16, 0), Err(Errno(77)));
        check_eq!(sys!(mmap, 0, PAGE, PROT_READ, PRIVATE, -1, 0), Err(Errno(77)));
        check_eq!(sys!(mprotect, page, PAGE, PROT_READ), Err(Errno(77)));
        check_eq!(sys!(arch_prctl, ARCH_SET_FS, 0), Err(Errno(77)));
        check_eq!(sys!(rseq, NULL, 32, 0, 0), Err(Errno(77)));
    })
    .ok();
});

/// Refuses wake-ups of just 6.
fn refuse_six() {
    no_new_privs();
    let code = [
        op(LOAD, 0, 0, 0),
        op(JEQ, 0, 3, nr::futex as u32),
        op(LOAD, 0, 0, 32),
        op(JEQ, 0, 1, 6),
        op(RET, 0, 0, ERRNO | 77),
        op(RET, 0, 0, ALLOW),
    ];
    check_eq!(install_with(0, &code), Ok(0));
}

case!(futexes_are_judged_by_their_arguments, [seccomp, futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    let address = std::ptr::from_ref(&WORD) as usize;
    fork(|| {
        refuse_six();
        let waiter = spawn(move || {
            check_eq!(sys!(futex, address, FUTEX_WAIT_PRIVATE, 0, NULL), Ok(0));
            check_eq!(sys!(futex, address, FUTEX_WAKE_PRIVATE, 6), Err(Errno(77)));
        });
        sleep_ms(60);
        check_eq!(sys!(futex, address, FUTEX_WAKE_PRIVATE, 6), Err(Errno(77)));
        check_eq!(sys!(futex, address, FUTEX_WAKE_PRIVATE, 1), Ok(1));
        waiter.join().ok().must();
        check_eq!(sys!(futex, address, FUTEX_WAIT_PRIVATE, 1, NULL), Err(EAGAIN));
        let brief = timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        check_eq!(sys!(futex, address, FUTEX_WAIT_PRIVATE, 0, &brief), Err(ETIMEDOUT));
    })
    .ok();
});

case!(filtered_threads_hand_over_locks, [seccomp, futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    let address = std::ptr::from_ref(&WORD) as usize;
    fork(|| {
        refuse_six();
        check_eq!(sys!(futex, address, FUTEX_LOCK_PI, 0, NULL), Ok(0));
        let waiter = spawn(move || {
            check_eq!(sys!(futex, address, FUTEX_LOCK_PI, 0, NULL), Ok(0));
            check_eq!(sys!(futex, address, FUTEX_UNLOCK_PI), Ok(0));
        });
        sleep_ms(60);
        check_eq!(sys!(futex, address, FUTEX_UNLOCK_PI), Ok(0));
        waiter.join().ok().must();
        check_eq!(WORD.load(SeqCst), 0);
    })
    .ok();
});

case!(filtered_waits_are_interrupted, [seccomp, futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    let address = std::ptr::from_ref(&WORD) as usize;
    fork(|| {
        refuse_six();
        count_signal(SIGUSR1, 0);
        let (parent, thread) = (getpid(), gettid());
        let sender = spawn(move || {
            sleep_ms(60);
            sys!(tgkill, parent, thread, SIGUSR1).must();
        });
        check_eq!(sys!(futex, address, FUTEX_WAIT_PRIVATE, 0, NULL), Err(EINTR));
        check_eq!(counted(SIGUSR1), 1);
        sender.join().ok().must();
        count_signal(SIGUSR1, SA_RESTART);
        let sender = spawn(move || {
            sleep_ms(60);
            sys!(tgkill, parent, thread, SIGUSR1).must();
            sleep_ms(60);
            WORD.store(1, SeqCst);
            check_eq!(sys!(futex, address, FUTEX_WAKE_PRIVATE, 1), Ok(1));
        });
        check_eq!(sys!(futex, address, FUTEX_WAIT_PRIVATE, 0, NULL), Ok(0));
        check_eq!(counted(SIGUSR1), 2);
        sender.join().ok().must();
    })
    .ok();
});

case!(arguments_and_place_are_seen, [seccomp], {
    fork(|| {
        no_new_privs();
        // Each argument's halves, compared in turn; a wrong one is the number of the test.
        let values = [1_u64, 2, 3, 4, 5, 6].map(|value| value << 32 | (value + 100));
        let mut code = vec![op(LOAD, 0, 0, 0), op(JEQ, 1, 0, 400), op(RET, 0, 0, ALLOW)];
        code.extend([op(LOAD, 0, 0, 4), op(JEQ, 1, 0, 0xc000_003e), op(RET, 0, 0, ERRNO | 90)]);
        for (index, value) in values.iter().enumerate() {
            for (half, want) in [(0, *value as u32), (4, (value >> 32) as u32)] {
                let at = 16 + 8 * index as u32 + half;
                code.extend([op(LOAD, 0, 0, at), op(JEQ, 1, 0, want)]);
                code.push(op(RET, 0, 0, ERRNO | (10 + at)));
            }
        }
        // The length of the data; then a place in the upper half of user space.
        code.extend([op(0x80, 0, 0, 0), op(JEQ, 1, 0, 64), op(RET, 0, 0, ERRNO | 91)]);
        code.extend([op(LOAD, 0, 0, 12), op(JGE, 0, 1, 1), op(RET, 0, 0, ERRNO | 92)]);
        code.push(op(RET, 0, 0, ERRNO | 93));
        check_eq!(install_with(0, &code), Ok(0));
        let args = values.map(|value| value as usize);
        check_eq!(crate::support::sys::call(400, args), Err(Errno(92)));
    })
    .ok();
});

case!(trap_raises_sigsys_with_the_call, [seccomp], {
    static SEEN: [AtomicI32; 6] = [const { AtomicI32::new(0) }; 6];
    static AT: AtomicUsize = AtomicUsize::new(0);
    static RIP: AtomicUsize = AtomicUsize::new(0);
    fork(|| {
        on(SIGSYS, 0, |info, context| {
            let registers = &mut context.uc_mcontext.gregs;
            let rax = &mut registers[REG_RAX as usize];
            let (number, arch) = (info.value() as i32, (info.value() >> 32) as i32);
            let list = [info.signo, info.errno, info.code, number, arch, *rax as i32];
            for (place, value) in SEEN.iter().zip(list) {
                place.store(value, SeqCst);
            }
            *rax = 4242;
            AT.store(info.addr(), SeqCst);
            RIP.store(registers[REG_RIP as usize] as usize, SeqCst);
        });
        install(&[(nr::getppid, TRAP | 33)]);
        for _ in 0..50 {
            check_eq!(sys!(getppid), Ok(4242));
        }
        let seen: Vec<_> = SEEN.iter().map(|one| one.load(SeqCst)).collect();
        let arch = 0xc000_003e_u32 as i32;
        check_eq!(seen, [SIGSYS, 33, 1, nr::getppid as i32, arch, nr::getppid as i32]);
        check_eq!(AT.load(SeqCst), RIP.load(SeqCst));
    })
    .ok();
});

case!(trap_without_a_handler_ends_the_process, [seccomp], {
    let act = || {
        ignore(SIGSYS);
        let _ = sys!(getppid);
    };
    check_eq!(status_of(&[(nr::getppid, TRAP)], act), Status::Signaled(SIGSYS));
    let blocked = || {
        block(&[SIGSYS]);
        let _ = sys!(getppid);
    };
    check_eq!(status_of(&[(nr::getppid, TRAP)], blocked), Status::Signaled(SIGSYS));
});

case!(killed_processes_end_by_sigsys, [seccomp], {
    let act = || {
        // The action counts, not what the process would do about the signal.
        ignore(SIGSYS);
        let _ = sys!(getppid);
    };
    for action in [KILL_PROCESS, KILL_THREAD, 0x1234_0000] {
        check_eq!(
            status_of(&[(nr::getppid, action)], act),
            Status::Signaled(SIGSYS),
            "{action:#x}"
        );
    }
    let by_thread = || {
        let _ = spawn(|| {
            let _ = sys!(getppid);
        })
        .join();
        sleep_ms(1000);
    };
    check_eq!(status_of(&[(nr::getppid, KILL_PROCESS)], by_thread), Status::Signaled(SIGSYS));
});

case!(killed_threads_leave_the_others, [seccomp], {
    fork(|| {
        install(&[(nr::getppid, KILL_THREAD)]);
        extern "C" fn act(_: usize) -> i32 {
            let _ = sys!(getppid);
            0
        }
        static WORD: AtomicU32 = AtomicU32::new(1);
        let word = std::ptr::from_ref(&WORD) as usize;
        let thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
        let flags = thread | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
        clone_on_stack(flags, 0, word, 0, act, 0).must();
        while WORD.load(SeqCst) != 0 {
            sleep_ms(1);
        }
    })
    .ok();
});

case!(trace_without_a_tracer_is_enosys, [seccomp], {
    fork(|| {
        install(&[(nr::getppid, TRACE | 1)]);
        check_eq!(sys!(getppid), Err(ENOSYS));
    })
    .ok();
});

case!(a_tracer_decides_about_calls, [seccomp, ptrace], {
    const EVENT_SECCOMP: i32 = 7;
    const OPTION: i32 = 1 << EVENT_SECCOMP;
    let parent = i64::from(getpid());
    let tracee = traced(|| {
        install(&[(nr::getppid, TRACE | 0x123), (nr::getuid, ERRNO | 5)]);
        check_eq!(sys!(getppid), Ok(i64::from(getpid())), "made another call");
        check_eq!(sys!(getppid), Ok(77), "skipped");
        check_eq!(sys!(getppid), Err(Errno(5)), "the filter looks again");
        check_eq!(sys!(getppid), Ok(parent), "made as it is");
        check_eq!(sys!(getppid), Err(ENOSYS), "nobody wants to hear of it");
    });
    tracee.options(OPTION);
    let event = |change: &dyn Fn(&mut user_regs_struct)| {
        tracee.cont(0);
        check_eq!(tracee.stop(), Stop(SIGTRAP, EVENT_SECCOMP));
        check_eq!(tracee.message(), 0x123);
        let mut info = [0u64; 12];
        let size = tracee.must(CALL_INFO, 96, &raw mut info as usize);
        check!(size == 84 || size == 88, "{size}");
        check_eq!((info[0] & 0xff, info[3] as i64), (3, nr::getppid));
        check_eq!(info[10] & 0xffff_ffff, 0x123);
        let mut regs = tracee.regs();
        check_eq!((regs.orig_rax as i64, regs.rax as i64), (nr::getppid, -i64::from(ENOSYS.0)));
        change(&mut regs);
        tracee.set_regs(&regs);
    };
    event(&|regs| regs.orig_rax = nr::getpid as u64);
    event(&|regs| (regs.orig_rax, regs.rax) = (u64::MAX, 77));
    event(&|regs| regs.orig_rax = nr::getuid as u64);
    event(&|_| ());
    tracee.options(0);
    tracee.ok();
});

case!(logged_calls_are_made, [seccomp], {
    let parent = getpid();
    fork(|| {
        install(&[(nr::getppid, LOG)]);
        check_eq!(sys!(getppid), Ok(parent.into()));
    })
    .ok();
});

case!(the_most_severe_answer_counts, [seccomp], {
    fork(|| {
        install(&[(nr::getppid, ERRNO | 1), (nr::getuid, ERRNO | 1), (nr::getgid, TRACE)]);
        install(&[(nr::getppid, ALLOW), (nr::getuid, ERRNO | 2), (nr::getgid, ERRNO | 3)]);
        check_eq!(sys!(getppid), Err(Errno(1)));
        check_eq!(sys!(getuid), Err(Errno(2)), "the newest of equals");
        check_eq!(sys!(getgid), Err(Errno(3)));
        check_eq!(line_of_status("Seccomp:"), "2");
        check_eq!(line_of_status("Seccomp_filters:"), "2");
    })
    .ok();
    check_eq!(
        status_of(&[(nr::getppid, ERRNO | 1)], || {
            install(&[(nr::getppid, KILL_PROCESS)]);
            let _ = sys!(getppid);
        }),
        Status::Signaled(SIGSYS)
    );
});

case!(strict_mode_leaves_four_calls, [seccomp, prctl], {
    let (reader, writer) = pipe();
    let strict = |last: fn()| {
        fork(move || {
            sys!(getpid).must();
            check_eq!(sys!(seccomp, STRICT, 0, NULL), Ok(0));
            let _ = sys!(write, writer, b"ab", 2);
            let _ = sys!(read, reader, &mut [0u8; 2], 2);
            last();
        })
        .wait()
    };
    check_eq!(
        strict(|| {
            let _ = sys!(exit, 7);
        }),
        Status::Exited(7)
    );
    check_eq!(
        strict(|| {
            let _ = sys!(getpid);
        }),
        Status::Signaled(SIGKILL)
    );
    check_eq!(
        strict(|| {
            let _ = sys!(exit_group, 7);
        }),
        Status::Signaled(SIGKILL)
    );
    check_eq!(
        strict(|| {
            let _ = sys!(sched_yield);
        }),
        Status::Signaled(SIGKILL)
    );
    check_eq!(
        strict(|| {
            let _ = sys!(futex, 0, FUTEX_WAKE, 1);
        }),
        Status::Signaled(SIGKILL)
    );
    fork(|| {
        check_eq!(sys!(prctl, PR_SET_SECCOMP, 1, 0, 0, 0), Ok(0));
        let _ = sys!(exit, 0);
    })
    .ok();
});

case!(strict_mode_needs_no_filter, [seccomp, prctl], {
    fork(|| {
        install(&[]);
        check_eq!(sys!(seccomp, STRICT, 0, NULL), Err(EINVAL));
        check_eq!(sys!(prctl, PR_SET_SECCOMP, 1, 0, 0, 0), Err(EINVAL));
        check_eq!(sys!(prctl, PR_GET_SECCOMP), Ok(2));
    })
    .ok();
    check_eq!(sys!(prctl, PR_GET_SECCOMP), Ok(0));
    check_eq!(line_of_status("Seccomp:"), "0");
});

case!(children_and_programs_inherit, [seccomp, clone, execve], {
    fork(|| {
        install(&[(nr::getppid, ERRNO | 77)]);
        fork(|| check_eq!(sys!(getppid), Err(Errno(77)))).ok();
        spawn(|| check_eq!(sys!(getppid), Err(Errno(77)))).join().ok().must();
        install(&[(nr::futex, ERRNO | 79)]);
        let (status, state) = run_helper(&["file", "/proc/self/status"], || {});
        check_eq!(status, Status::Exited(0));
        check!(state.contains("Seccomp:\t2\n"), "{state}");
        check!(state.contains("Seccomp_filters:\t2\n"), "{state}");
    })
    .ok();
});

case!(privileges_are_needed, [seccomp, prctl], {
    need_root();
    let code = answers(&[]);
    as_nobody(|| {
        check_eq!(install_with(0, &code), Err(EACCES));
        let program = [code.len() as u64, code.as_ptr() as u64];
        check_eq!(sys!(prctl, PR_SET_SECCOMP, 2, &program, 0, 0), Err(EACCES));
        no_new_privs();
        check_eq!(install_with(0, &code), Ok(0));
        check_eq!(sys!(prctl, PR_SET_SECCOMP, 2, &program, 0, 0), Ok(0));
    });
    fork(|| check_eq!(install_with(0, &answers(&[])), Ok(0))).ok();
});

case!(bad_requests, [seccomp, prctl], {
    fork(|| {
        no_new_privs();
        let code = answers(&[]);
        check_eq!(sys!(seccomp, 4, 0, NULL), Err(EINVAL));
        check_eq!(sys!(seccomp, STRICT, 1, NULL), Err(EINVAL));
        check_eq!(sys!(seccomp, STRICT, 0, code.as_slice()), Err(EINVAL));
        check_eq!(install_with(1 << 10, &code), Err(EINVAL));
        check_eq!(install_with(TSYNC | 8, &code), Err(EINVAL));
        check_eq!(install_with(32, &code), Err(EINVAL));
        check_eq!(sys!(seccomp, FILTER, 0, NULL), Err(EFAULT));
        check_eq!(sys!(seccomp, FILTER, 0, &[0u64, 0]), Err(EINVAL));
        check_eq!(sys!(seccomp, FILTER, 0, &[4097u64, BAD as u64]), Err(EINVAL));
        check_eq!(sys!(seccomp, FILTER, 0, &[4u64, BAD as u64]), Err(EFAULT));
        check_eq!(sys!(prctl, PR_SET_SECCOMP, 0, 0, 0, 0), Err(EINVAL));
        check_eq!(sys!(prctl, PR_SET_SECCOMP, 3, 0, 0, 0), Err(EINVAL));
        check_eq!(sys!(prctl, PR_SET_SECCOMP, 2, 0, 0, 0), Err(EFAULT));
        check_eq!(sys!(prctl, PR_GET_SECCOMP), Ok(0));
    })
    .ok();
});

case!(bad_programs, [seccomp], {
    fork(|| {
        no_new_privs();
        let end = op(RET, 0, 0, ALLOW);
        let bad: &[&[u64]] = &[
            &[op(LOAD, 0, 0, 0)],
            &[op(LOAD, 0, 0, 2), end],
            &[op(LOAD, 0, 0, 64), end],
            &[op(LOAD, 0, 0, 0xffff_f000), end],
            &[op(0x28, 0, 0, 0), end],
            &[op(0x30, 0, 0, 0), end],
            &[op(0x40, 0, 0, 0), end],
            &[op(0x60, 0, 0, 0), end],
            &[op(0x02, 0, 0, 16), end],
            &[op(0x34, 0, 0, 0), end],
            &[op(0x94, 0, 0, 2), end],
            &[op(0x64, 0, 0, 32), end],
            &[op(JEQ, 1, 0, 0), end],
            &[op(JEQ, 0, 255, 0), end],
            &[op(0x05, 0, 0, 1), end],
            &[op(0x05, 0, 0, u32::MAX), end],
            &[op(0xffff, 0, 0, 0), end],
            &[op(0x0e, 0, 0, 0), end],
            &[end, op(0x00, 0, 0, 0)],
        ];
        for (index, code) in bad.iter().enumerate() {
            check_eq!(install_with(0, code), Err(EINVAL), "program {index}");
        }
        // Every code there is: behind a store, and with a constant that fits everywhere.
        let known: Vec<u32> = (0..0x200)
            .filter(|&code| {
                let list =
                    [op(0x02, 0, 0, 4), op(code as u16, 0, 0, 4), end, end, end, end, end, end];
                // Some of them end the process with their answer.
                fork(|| exit(i32::from(install_with(0, &list).is_err()))).wait()
                    != Status::Exited(1)
            })
            .collect();
        let want = [
            0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0c, 0x14, 0x15, 0x16, 0x1c, 0x1d,
            0x20, 0x24, 0x25, 0x2c, 0x2d, 0x34, 0x35, 0x3c, 0x3d, 0x44, 0x45, 0x4c, 0x4d, 0x54,
            0x5c, 0x60, 0x61, 0x64, 0x6c, 0x74, 0x7c, 0x80, 0x81, 0x84, 0x87, 0xa4, 0xac,
        ];
        check_eq!(known, want);
    })
    .ok();
});

case!(there_is_an_end_to_filters, [seccomp], {
    // Jumps of all kinds, divisions, and a constant that is negative: each counts for what the
    // kernel makes of it.
    let mut code = vec![op(LOAD, 0, 0, 16), op(0x05, 0, 0, 2), op(0x3c, 0, 0, 0)];
    code.push(op(0x16, 0, 0, 0));
    for index in 0..500 {
        code.push(op(JEQ, 0, 1, index));
        code.push(op(JEQ, 1, 0, u32::MAX));
        code.push(op(0x45, 0, 1, 1));
        code.push(op(0x35, 1, 1, 1));
        code.push(op(RET, 0, 0, ALLOW));
    }
    code.push(op(RET, 0, 0, ALLOW));
    fork(|| {
        no_new_privs();
        let mut count = 0;
        while install_with(0, &[op(RET, 0, 0, ALLOW)]).is_ok() && count < 100 {
            count += 1;
        }
        while install_with(0, &code).is_ok() {
            count += 1;
        }
        check_eq!(install_with(0, &code), Err(ENOMEM));
        while install_with(0, &[op(RET, 0, 0, ALLOW)]).is_ok() {
            count += 1;
        }
        check_eq!(count, 134);
    })
    .ok();
});

case!(actions_are_told, [seccomp], {
    for action in [KILL_PROCESS, KILL_THREAD, TRAP, ERRNO, 0x7fc0_0000, TRACE, LOG, ALLOW] {
        check_eq!(sys!(seccomp, ACTION_AVAIL, 0, &action), Ok(0), "{action:#x}");
    }
    check_eq!(sys!(seccomp, ACTION_AVAIL, 0, &0x1234_0000_u32), Err(EOPNOTSUPP));
    check_eq!(sys!(seccomp, ACTION_AVAIL, 0, &(ALLOW | 1)), Err(EOPNOTSUPP));
    check_eq!(sys!(seccomp, ACTION_AVAIL, 1, &ALLOW), Err(EINVAL));
    check_eq!(sys!(seccomp, ACTION_AVAIL, 0, BAD), Err(EFAULT));
    let names = "kill_process kill_thread trap errno user_notif trace log allow\n";
    check_eq!(content(c"/proc/sys/kernel/seccomp/actions_avail"), names.as_bytes());
    let mut sizes = [0u16; 3];
    check_eq!(sys!(seccomp, NOTIF_SIZES, 0, &mut sizes), Ok(0));
    check_eq!(sizes, [80, 24, 64]);
    check_eq!(sys!(seccomp, NOTIF_SIZES, 1, &mut sizes), Err(EINVAL));
    check_eq!(sys!(seccomp, NOTIF_SIZES, 0, BAD), Err(EFAULT));
});

case!(tsync_reaches_all_threads, [seccomp], {
    static STEP: AtomicU32 = AtomicU32::new(0);
    fork(|| {
        no_new_privs();
        let thread = spawn(|| {
            for _ in 0..200 {
                sys!(getpid).must();
            }
            STEP.store(1, SeqCst);
            while STEP.load(SeqCst) == 1 {
                std::hint::spin_loop();
            }
            for _ in 0..200 {
                check_eq!(sys!(getpid), Err(Errno(77)));
            }
            check_eq!(sys!(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), Ok(1));
        });
        while STEP.load(SeqCst) == 0 {
            sleep_ms(1);
        }
        check_eq!(install_with(TSYNC, &answers(&[(nr::getpid, ERRNO | 77)])), Ok(0));
        sleep_ms(20);
        STEP.store(2, SeqCst);
        thread.join().ok().must();
    })
    .ok();
});

case!(tsync_needs_like_threads, [seccomp], {
    static STEP: AtomicU32 = AtomicU32::new(0);
    static TID: AtomicI32 = AtomicI32::new(0);
    fork(|| {
        no_new_privs();
        let thread = spawn(|| {
            TID.store(gettid(), SeqCst);
            check_eq!(install_with(0, &answers(&[])), Ok(0));
            STEP.store(1, SeqCst);
            while STEP.load(SeqCst) == 1 {
                sleep_ms(1);
            }
        });
        while STEP.load(SeqCst) == 0 {
            sleep_ms(1);
        }
        let code = answers(&[(nr::getppid, ERRNO | 77)]);
        check_eq!(install_with(TSYNC, &code), Ok(i64::from(TID.load(SeqCst))));
        check_eq!(install_with(TSYNC | TSYNC_ESRCH, &code), Err(ESRCH));
        check!(sys!(getppid).is_ok(), "nothing was installed");
        STEP.store(2, SeqCst);
        thread.join().ok().must();
    })
    .ok();
});
