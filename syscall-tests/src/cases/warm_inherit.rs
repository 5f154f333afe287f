//! Processes that get streams in much use from others: by fork, by execve, and while others go on.

use crate::support::prelude::*;
use std::sync::atomic::AtomicI64;

each_stream!(a_child_uses_what_its_parent_has_used, [fork, read, write], |kind| {
    let [one, other] = kind.parties();
    for number in 0..60 {
        sys!(write, one.w, &[number], 1).must();
        check_eq!(read_byte(other.r), Ok(Some(number)));
        sys!(write, other.w, &[number], 1).must();
        check_eq!(read_byte(one.r), Ok(Some(number)));
    }
    sys!(write, one.w, b"left", 4).must();
    let child = fork(|| {
        check_eq!(read_exactly(other.r, 4), *b"left");
        for number in 0..200 {
            check_eq!(read_byte(other.r), Ok(Some(number)));
            sys!(write, other.w, &[number + 1], 1).must();
        }
    });
    for number in 0..200 {
        sys!(write, one.w, &[number], 1).must();
        check_eq!(read_byte(one.r), Ok(Some(number + 1)));
    }
    child.ok();
});

each_stream!(generations_share_a_stream, [fork, read, write], |kind| {
    let stream = kind.warm();
    fork(|| {
        stream.warm_up();
        fork(|| {
            stream.warm_up();
            fork(|| stream.warm_up()).ok();
            sys!(write, stream.w, b"child", 5).must();
        })
        .ok();
        check_eq!(read_exactly(stream.r, 3), *b"chi");
    })
    .ok();
    check_eq!(read_exactly(stream.r, 2), *b"ld");
    stream.warm_up();
});

each_stream!(children_come_while_a_thread_is_busy, [fork, read, write], 20, |kind| {
    let [one, other] = kind.parties();
    let stop = AtomicU32::new(0);
    let side = kind.warm();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0_u32.. {
                check_eq!(sys!(write, one.w, &[number as u8], 1), Ok(1));
                check_eq!(read_byte(one.r), Ok(Some(number as u8)));
                if stop.load(SeqCst) == 1 {
                    break;
                }
            }
            sys!(shutdown, one.w, SHUT_WR).ok();
            sys!(close, one.w).must();
        });
        scope.spawn(|| {
            while let Some(byte) = read_byte(other.r).must() {
                check_eq!(sys!(write, other.w, &[byte], 1), Ok(1));
            }
        });
        for number in 0..60_u8 {
            fork(|| {
                // Only what is the child's own: the others' ends are in use.
                sys!(close, one.w).must();
                side.warm_up();
                sys!(write, side.w, &[number], 1).must();
            })
            .ok();
            check_eq!(read_byte(side.r), Ok(Some(number)));
        }
        stop.store(1, SeqCst);
    });
});

each_stream!(a_new_program_uses_what_it_gets, [execve, read, write], |kind| {
    let (there, back) = (kind.warm(), kind.warm());
    let (child, output) = start_helper(&["copy"], || {
        sys!(dup2, there.r, 0).must();
        sys!(dup2, back.w, 1).must();
        for fd in [there.r, there.w, back.r, back.w] {
            sys!(fcntl, fd, F_SETFD, FD_CLOEXEC).must();
        }
    });
    sys!(close, there.r).must();
    sys!(close, back.w).must();
    for number in 0..300 {
        let sent = bytes_at(number, 1 + number * 7 % 500);
        write_all(there.w, &sent);
        check!(read_exactly(back.r, sent.len()) == sent, "{number}");
    }
    sys!(close, there.w).must();
    check_eq!(read_byte(back.r), Ok(None));
    child.ok();
    check_eq!(read_all(output).len(), 0);
});

each_stream!(a_new_program_keeps_the_numbers_only, [execve, read], |kind| {
    // What was at 0 and 1 in the old program, and in much use there, is something else now.
    let stream = kind.warm();
    let (child, output) = start_helper(&["copy"], || {
        let keep = sys!(fcntl, 1, F_DUPFD, 200).must() as i32;
        sys!(dup2, stream.r, 0).must();
        sys!(dup2, stream.w, 1).must();
        Stream { r: 0, w: 1 }.warm_up();
        create(c"input", b"of the new one");
        sys!(dup2, open(c"input", O_RDONLY), 0).must();
        sys!(dup2, keep, 1).must();
    });
    check_eq!(read_all(output), *b"of the new one");
    child.ok();
    stream.warm_up();
});

each_stream!(a_chain_of_programs_passes_all_bytes, [execve, read, write], 20, |kind| {
    const TOTAL: usize = 400_000;
    let streams = [kind.stream(), kind.stream(), kind.stream()];
    let all = streams.map(|stream| [stream.r, stream.w]).concat();
    let children: Vec<_> = (0..2)
        .map(|at| {
            start_helper(&["copy"], || {
                sys!(dup2, streams[at].r, 0).must();
                sys!(dup2, streams[at + 1].w, 1).must();
                for &fd in &all {
                    sys!(close, fd).must();
                }
            })
        })
        .collect();
    let writer = fork(|| {
        let first = streams[0].w;
        for &fd in all.iter().filter(|&&fd| fd != first) {
            sys!(close, fd).must();
        }
        for at in (0..TOTAL).step_by(1000) {
            write_all(first, &bytes_at(at, 1000));
        }
    });
    let last = streams[2].r;
    for &fd in all.iter().filter(|&&fd| fd != last) {
        sys!(close, fd).must();
    }
    check!(read_exactly(last, TOTAL) == bytes_at(0, TOTAL));
    check_eq!(read_byte(last), Ok(None));
    writer.ok();
    for (child, _) in children {
        child.ok();
    }
});

case!(the_death_of_a_process_gives_its_ends_back, [read, write, kill], {
    // Many that come, use the pipe and are killed at any moment.
    let stream = Kind::Pipe.warm();
    ignore(SIGPIPE);
    for round in 0..40 {
        let child = fork(|| {
            loop {
                let _ = sys!(write, stream.w, &[1_u8; 16], 16);
                let _ = sys!(read, stream.r, &mut [0_u8; 16], 16);
            }
        });
        sleep_ms(round % 6);
        child.end();
        let mut left = -1_i32;
        sys!(ioctl, stream.r, FIONREAD, &mut left).must();
        check!(left == 0 || left == 16, "{left}");
        check_eq!(read_exactly(stream.r, left as usize).len(), left as usize);
        stream.warm_up();
    }
    sys!(close, stream.w).must();
    check_eq!(read_byte(stream.r), Ok(None));
});

/// What children tell of themselves.
static SEEN: [AtomicI64; 3] = [const { AtomicI64::new(0) }; 3];

/// Asks again and again who it is; ends with 1 if the answers differ.
extern "C" fn ask_who(rounds: usize) -> i32 {
    let who = || [sys!(getpid), sys!(gettid), sys!(getppid)];
    let first = who();
    let mut mask = 0u64;
    for _ in 0..rounds {
        let _ = sys!(rt_sigprocmask, SIG_BLOCK, NULL, &mut mask, 8);
        if who() != first {
            return 1;
        }
    }
    for (place, answer) in SEEN.iter().zip(first) {
        place.store(answer.unwrap_or(-1), SeqCst);
    }
    0
}

/// Lets children that share the memory, and the parent's FS.base, find out who they are.
fn children_ask(flags: i32, how_long: impl Fn(usize) -> usize) {
    let own = sys!(getpid).must();
    for round in 0..60 {
        check_eq!(ask_who(20), 0);
        check_eq!(SEEN[0].load(SeqCst), own);
        let pid = clone_on_stack(flags, 0, 0, 0, ask_who, how_long(round)).must();
        // Both at the same time, if it does not wait for the child.
        (0..50).for_each(|_| check_eq!(sys!(getpid), Ok(own)));
        check_eq!(wait_pid(pid as i32, 0), Status::Exited(0));
        let seen = SEEN.each_ref().map(|place| place.load(SeqCst));
        check_eq!(seen, [pid, pid, own]);
    }
}

case!(a_vfork_child_is_itself, [clone, getpid, gettid, getppid], {
    children_ask(CLONE_VM | CLONE_VFORK | SIGCHLD, |round| if round % 3 == 0 { 3 } else { 300 });
});

case!(a_child_beside_its_parent_is_itself, [clone, getpid, gettid, getppid], {
    children_ask(CLONE_VM | SIGCHLD, |_| 300);
});

case!(a_vfork_child_that_is_killed_leaves_its_parent_alone, [clone, kill, getpid], {
    extern "C" fn end(signal: usize) -> i32 {
        (0..100).for_each(|_| assert!(sys!(getpid).is_ok()));
        let _ = sys!(kill, sys!(getpid).unwrap_or(0), signal);
        loop {
            std::hint::spin_loop();
        }
    }
    let own = sys!(getpid).must();
    for signal in [SIGKILL, SIGTERM].repeat(10) {
        let flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
        let pid = clone_on_stack(flags, 0, 0, 0, end, signal as usize).must();
        check_eq!(wait_pid(pid as i32, 0), Status::Signaled(signal));
        (0..100).for_each(|_| check_eq!(sys!(getpid), Ok(own)));
        check_eq!(ask_who(20), 0);
        check_eq!(SEEN[0].load(SeqCst), own);
    }
});
