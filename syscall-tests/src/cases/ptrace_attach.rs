//! Who may trace whom, and the beginning and the end of tracing.

use crate::support::prelude::*;
use crate::support::trace::{DETACH, Stop, Tracee, decode, ptrace, state, traced, wait_any};
use std::ffi::CStr;

case!(traceme_makes_the_parent_a_tracer, [ptrace], {
    let tracee = traced(|| {
        check_eq!(sys!(ptrace, PTRACE_TRACEME, 0, 0, 0), Err(EPERM), "once only");
    });
    check_eq!(state(tracee.pid), ('t', getpid()));
    tracee.ok();
});

case!(requests_need_a_tracee_in_a_stop, [ptrace], {
    let child = fork(|| wait_for_signals());
    let cont = |pid| ptrace(PTRACE_CONT as i32, pid, 0, 0);
    check_eq!(cont(child.pid), Err(ESRCH), "not a tracee");
    check_eq!(cont(getpid()), Err(ESRCH));
    check_eq!(cont(i32::MAX), Err(ESRCH), "nobody");
    check_eq!(cont(-1), Err(ESRCH));
    sys!(ptrace, PTRACE_ATTACH, child.pid, 0, 0).must();
    let tracee = Tracee { pid: child.pid };
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
    tracee.cont(0);
    check_eq!(cont(child.pid), Err(ESRCH), "it runs");
    tracee.kill();
    check_eq!(cont(child.pid), Err(ESRCH), "gone");
});

case!(unknown_requests_are_eio, [ptrace], {
    let tracee = traced(|| {});
    for request in [4711, -1, i32::MIN, 0x4fff] {
        check_eq!(ptrace(request, tracee.pid, 0, 0), Err(EIO), "{request}");
    }
    check_eq!(ptrace(PTRACE_CONT as i32, tracee.pid, 0, 65), Err(EIO), "no signal");
    check_eq!(ptrace(PTRACE_CONT as i32, tracee.pid, 0, usize::MAX), Err(EIO));
    check_eq!(ptrace(PTRACE_SETOPTIONS as i32, tracee.pid, 0, 1 << 40), Err(EINVAL));
    check_eq!(ptrace(PTRACE_SETOPTIONS as i32, tracee.pid, 0, 0x800), Err(EINVAL));
    tracee.ok();
});

case!(attach_stops_a_thread_that_waits, [ptrace], {
    let gate = Gate::new();
    let child = fork_asleep(|| {
        gate.wait();
    });
    check_eq!(state(child.pid), ('S', 0));
    sys!(ptrace, PTRACE_ATTACH, child.pid, 0, 0).must();
    let tracee = Tracee { pid: child.pid };
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
    check_eq!(state(child.pid), ('t', getpid()));
    check_eq!(tracee.regs().orig_rax, SYS_read as u64);
    tracee.cont(0);
    check_eq!(state(child.pid).1, getpid());
    gate.open();
    check_eq!(tracee.end(), Status::Exited(0));
});

case!(attach_stops_a_thread_that_runs, [ptrace], {
    let words = words();
    let child = fork(|| {
        loop {
            words[0].fetch_add(1, SeqCst);
        }
    });
    settle();
    sys!(ptrace, PTRACE_ATTACH, child.pid, 0, 0).must();
    let tracee = Tracee { pid: child.pid };
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
    check_eq!(tracee.regs().orig_rax, u64::MAX);
    let before = words[0].load(SeqCst);
    settle();
    check_eq!(words[0].load(SeqCst), before, "it stands still");
    tracee.must(DETACH, 0, 0);
    settle();
    check!(words[0].load(SeqCst) > before, "it goes on");
    check_eq!(state(child.pid), ('R', 0));
    child.end();
});

case!(nobody_traces_its_own_process_or_a_tracee, [ptrace], {
    check_eq!(ptrace(PTRACE_ATTACH as i32, getpid(), 0, 0), Err(EPERM));
    let tracee = traced(|| {});
    check_eq!(ptrace(PTRACE_ATTACH as i32, tracee.pid, 0, 0), Err(EPERM), "ours already");
    fork(|| {
        check_eq!(ptrace(PTRACE_ATTACH as i32, tracee.pid, 0, 0), Err(EPERM), "somebody's");
        check_eq!(ptrace(PTRACE_CONT as i32, tracee.pid, 0, 0), Err(ESRCH), "not ours");
    })
    .ok();
    tracee.ok();
});

case!(others_processes_are_closed, [ptrace], {
    need_root();
    let child = fork(|| wait_for_signals());
    as_nobody(|| check_eq!(ptrace(PTRACE_ATTACH as i32, child.pid, 0, 0), Err(EPERM)));
    child.end();
    let child = fork(|| {
        drop_to_nobody();
        sys!(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0).must();
        wait_for_signals()
    });
    settle();
    as_nobody(|| check_eq!(ptrace(PTRACE_ATTACH as i32, child.pid, 0, 0), Err(EPERM)));
    child.end();
});

case!(detach_lets_go_with_a_signal, [ptrace], {
    let tracee = traced(|| wait_for_signals());
    check_eq!(ptrace(DETACH, tracee.pid, 0, 99), Err(EIO));
    tracee.must(DETACH, 0, SIGTERM as usize);
    check_eq!(ptrace(PTRACE_CONT as i32, tracee.pid, 0, 0), Err(ESRCH));
    // At the stop for SIGSTOP the signal takes its place.
    check_eq!(tracee.end(), Status::Signaled(SIGTERM));
});

case!(the_end_of_a_tracer_frees_its_tracees, [ptrace], {
    let gate = Gate::new();
    let child = fork(|| gate.wait());
    fork(|| {
        sys!(ptrace, PTRACE_ATTACH, child.pid, 0, 0).must();
        check_eq!(Tracee { pid: child.pid }.stop(), Stop(SIGSTOP, 0));
    })
    .ok();
    check_eq!(state(child.pid).1, 0);
    gate.open();
    child.ok();
});

case!(exitkill_takes_tracees_along, [ptrace], {
    let child = fork(|| wait_for_signals());
    fork(|| {
        sys!(ptrace, PTRACE_ATTACH, child.pid, 0, 0).must();
        let tracee = Tracee { pid: child.pid };
        check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
        tracee.options(PTRACE_O_EXITKILL);
    })
    .ok();
    check_eq!(child.wait(), Status::Signaled(SIGKILL));
});

case!(attach_to_a_stopped_process_tells_of_the_stop, [ptrace], {
    let child = fork(|| raise(SIGSTOP));
    check_eq!(child.wait_stop(), Status::Stopped(SIGSTOP));
    sys!(ptrace, PTRACE_ATTACH, child.pid, 0, 0).must();
    let tracee = Tracee { pid: child.pid };
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0), "the stop it is in");
    let mut info = [0u8; 128];
    let info = ptrace(PTRACE_GETSIGINFO as i32, child.pid, 0, &raw mut info as usize);
    check_eq!(info, Err(EINVAL), "no signal's");
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0), "and the signal of the attach");
    check_eq!(tracee.info().signo, SIGSTOP);
    sys!(kill, child.pid, SIGCONT).must();
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGCONT, 0));
    tracee.cont(SIGCONT);
    check_eq!(tracee.end(), Status::Exited(0));
});

case!(a_detached_member_of_a_stopped_process_stops, [ptrace], {
    let tracee = traced(|| {});
    tracee.cont(SIGSTOP);
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0), "the stop of the process");
    tracee.must(DETACH, 0, 0);
    settle();
    check_eq!(state(tracee.pid), ('T', 0));
    sys!(kill, tracee.pid, SIGCONT).must();
    check_eq!(wait_pid(tracee.pid, 0), Status::Exited(0));
});

case!(a_set_user_id_program_gets_nothing_from_a_plain_tracer, [ptrace, execve], {
    need_root();
    let exe = self_exe();
    let copy = path("copy");
    let name = |path: &CStr| path.to_string_lossy().into_owned();
    std::fs::copy(name(&exe), name(&copy)).must();
    sys!(chmod, &*copy, 0o4755).must();
    sys!(chmod, c".", 0o755).must();
    let uid_after = |is_traced: bool| {
        let child = fork(|| {
            drop_to_nobody();
            let child = fork(|| {
                if is_traced {
                    sys!(ptrace, PTRACE_TRACEME, 0, 0, 0).must();
                }
                let errno = exec(&copy, &["copy", "helper", "pause"], &[]);
                fail!("{errno:?}");
            });
            let uids = loop {
                if is_traced {
                    let (_, word) = wait_any(child.pid);
                    check_eq!(decode(word), Some(Stop(SIGTRAP, 0)));
                }
                sleep_ms(20);
                let text = std::fs::read_to_string(format!("/proc/{}/status", child.pid)).must();
                let name = text.lines().next().unwrap_or_default().to_owned();
                if name.ends_with("copy") {
                    break text.lines().find(|line| line.starts_with("Uid:")).must().to_owned();
                }
            };
            let _ = sys!(kill, child.pid, SIGKILL);
            let effective = uids.split_whitespace().nth(2).must().to_owned();
            exit(i32::from(effective == "0"));
        });
        child.wait()
    };
    check_eq!(uid_after(true), Status::Exited(0));
    check_eq!(uid_after(false), Status::Exited(1));
});
