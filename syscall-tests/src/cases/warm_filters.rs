//! Filters and tracers that want to see the reads and writes of streams in much use.

use crate::support::numbers as nr;
use crate::support::prelude::*;
use crate::support::stream::waiting_reader;
use crate::support::trace::{DETACH, Stop, Tracee, state, traced};

const ERRNO: u32 = 0x5_0000;
const TRAP: u32 = 0x3_0000;
const ALLOW: u32 = 0x7fff_0000;
const FILTER: i32 = 1;
const TSYNC: i32 = 1;

/// Has a call answered so from now on.
fn answer(number: i64, answer: u32, flags: i32) {
    let op = |code: u64, jf: u64, k: u64| code | jf << 24 | k << 32;
    let code = [
        op(0x20, 0, 0),
        op(0x15, 1, number as u64),
        op(0x06, 0, answer.into()),
        op(0x06, 0, ALLOW.into()),
    ];
    let program = [code.len() as u64, code.as_ptr() as u64];
    sys!(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).must();
    check_eq!(sys!(seccomp, FILTER, flags, &program), Ok(0));
}

each_stream!(a_filter_holds_at_once, [seccomp, read, write], |kind| {
    let stream = kind.warm();
    fork(|| {
        stream.warm_up();
        answer(nr::write, ERRNO | 77, 0);
        for _ in 0..50 {
            check_eq!(sys!(write, stream.w, b"x", 1), Err(Errno(77)));
        }
        answer(nr::read, ERRNO | 78, 0);
        for _ in 0..50 {
            check_eq!(read_byte(stream.r), Err(Errno(78)));
        }
    })
    .ok();
    stream.warm_up();
});

each_stream!(a_filter_of_other_calls_changes_nothing, [seccomp, read, write], |kind| {
    let stream = kind.warm();
    fork(|| {
        answer(nr::getppid, ERRNO | 77, 0);
        for _ in 0..10 {
            stream.warm_up();
        }
        fork(|| {
            stream.warm_up();
            answer(nr::read, ERRNO | 78, 0);
            check_eq!(read_byte(stream.r), Err(Errno(78)));
        })
        .ok();
        stream.warm_up();
    })
    .ok();
});

each_stream!(a_filter_for_all_threads_holds_at_once, [seccomp, read, write], |kind| {
    let (stream, other) = (kind.warm(), kind.warm());
    fork(|| {
        let (go_on, is_installed) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..20 {
                    stream.warm_up();
                }
                go_on.store(1, SeqCst);
                loop {
                    let was_installed = is_installed.load(SeqCst) == 1;
                    let result = sys!(write, stream.w, b"x", 1);
                    if was_installed {
                        check_eq!(result, Err(Errno(77)));
                        break;
                    }
                    if result == Err(Errno(77)) {
                        continue;
                    }
                    check_eq!(result, Ok(1));
                    check_eq!(read_byte(stream.r), Ok(Some(b'x')));
                }
                for _ in 0..50 {
                    check_eq!(sys!(write, stream.w, b"x", 1), Err(Errno(77)));
                }
            });
            while go_on.load(SeqCst) == 0 {
                sleep_ms(1);
            }
            other.warm_up();
            answer(nr::write, ERRNO | 77, TSYNC);
            is_installed.store(1, SeqCst);
        });
    })
    .ok();
});

each_stream!(a_filter_does_not_disturb_who_waits, [seccomp, read], |kind| {
    let stream = kind.warm();
    fork(|| {
        let reader = waiting_reader(stream.r, Ok(Some(b'x')), Some(Err(Errno(78))));
        answer(nr::read, ERRNO | 78, TSYNC);
        check_eq!(sys!(write, stream.w, b"x", 1), Ok(1));
        reader.join().ok().must();
    })
    .ok();
});

each_stream!(a_trap_tells_of_the_call, [seccomp, read], |kind| {
    let stream = kind.warm();
    fork(|| {
        on(SIGSYS, 0, |_, context| {
            context.uc_mcontext.gregs[REG_RAX as usize] = 4242;
        });
        stream.warm_up();
        answer(nr::read, TRAP, 0);
        for _ in 0..30 {
            check_eq!(sys!(read, stream.r, &mut [0_u8; 1], 1), Ok(4242));
        }
    })
    .ok();
});

case!(strict_mode_allows_reading_and_writing, [prctl, read, write], {
    let stream = Kind::Pipe.warm();
    let child = fork(|| {
        stream.warm_up();
        sys!(prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT).must();
        stream.warm_up();
        let _ = sys!(exit, 0);
    });
    check_eq!(child.wait(), Status::Exited(0));
    let child = fork(|| {
        stream.warm_up();
        sys!(prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT).must();
        stream.warm_up();
        let _ = sys!(getpid);
    });
    check_eq!(child.wait(), Status::Signaled(SIGKILL));
});

each_stream!(a_tracer_sees_the_calls, [ptrace, read, write], |kind| {
    let stream = kind.warm();
    let tracee = traced(|| {
        for _ in 0..3 {
            stream.warm_up();
        }
        sys!(kill, getpid(), SIGSTOP).must();
        for _ in 0..20 {
            check_eq!(sys!(write, stream.w, b"x", 1), Ok(1));
            check_eq!(read_byte(stream.r), Ok(Some(b'x')));
        }
    });
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
    for _ in 0..20 {
        for number in [nr::write, nr::read] {
            check_eq!(tracee.call(), Stop(SIGTRAP, 0));
            let regs = tracee.regs();
            check_eq!(regs.orig_rax, number as u64);
            check_eq!(regs.rdx, 1);
            check_eq!(tracee.call(), Stop(SIGTRAP, 0));
            check_eq!(tracee.regs().rax, 1);
        }
    }
    tracee.ok();
});

each_stream!(who_attaches_sees_the_calls, [ptrace, read, write], |kind| {
    let stream = kind.warm();
    let gate = Gate::new();
    let child = fork(|| {
        gate.open();
        for at in 0.. {
            let sent = bytes_at(at, 16);
            check_eq!(sys!(write, stream.w, &sent[..], 16), Ok(16));
            check!(read_exactly(stream.r, 16) == sent);
        }
    });
    gate.wait();
    for round in 0..10 {
        sleep_ms(1 + round % 4);
        let tracee = Tracee { pid: child.pid };
        tracee.must_attach();
        check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
        let mut seen = [0; 2];
        for _ in 0..12 {
            check_eq!(tracee.call(), Stop(SIGTRAP, 0));
            let number = tracee.regs().orig_rax as usize;
            check!(number < 2, "{number}");
            seen[number] += 1;
        }
        check!(seen.iter().all(|count| (4..=8).contains(count)), "{seen:?}");
        tracee.must(DETACH, 0, 0);
    }
    child.end();
});

each_stream!(who_attaches_sees_what_is_waited_for, [ptrace, read], |kind| {
    let stream = kind.warm();
    let child = fork(|| {
        stream.warm_up();
        for number in 0..10 {
            check_eq!(read_byte(stream.r), Ok(Some(number)));
        }
    });
    for number in 0..10_u8 {
        await_sleep(child.pid);
        check_eq!(state(child.pid), ('S', 0));
        let tracee = Tracee { pid: child.pid };
        tracee.must_attach();
        check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
        let regs = tracee.regs();
        check_eq!((regs.orig_rax, regs.rdi), (SYS_read as u64, stream.r as u64));
        tracee.must(DETACH, 0, 0);
        sys!(write, stream.w, &[number], 1).must();
    }
    child.ok();
});

each_stream!(a_tracer_changes_what_is_written, [ptrace, write], |kind| {
    let stream = kind.warm();
    let tracee = traced(|| {
        stream.warm_up();
        sys!(kill, getpid(), SIGSTOP).must();
        check_eq!(sys!(write, stream.w, b"abcdef", 6), Ok(3));
    });
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
    check_eq!(tracee.call(), Stop(SIGTRAP, 0));
    let mut regs = tracee.regs();
    check_eq!(regs.orig_rax, nr::write as u64);
    regs.rdx = 3;
    tracee.set_regs(&regs);
    tracee.ok();
    check_eq!(read_exactly(stream.r, 3), *b"abc");
    stream.warm_up();
});

case!(steps_go_through_calls_of_streams_in_use, [ptrace, read], {
    let stream = Kind::Pipe.warm();
    let tracee = traced(|| {
        stream.warm_up();
        sys!(kill, getpid(), SIGSTOP).must();
        stream.warm_up();
    });
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
    for _ in 0..400 {
        check_eq!(tracee.step(), Stop(SIGTRAP, 0));
    }
    tracee.ok();
    stream.warm_up();
});
