//! fork, vfork, clone, clone3, exit, exit_group.

use crate::support::prelude::*;

case!(child_sees_zero_and_a_new_pid, [fork, getpid, getppid], {
    let parent = getpid();
    let words = words();
    let pid = sys!(fork).must() as i32;
    if pid == 0 {
        check_eq!(sys!(getppid), Ok(i64::from(parent)));
        check!(getpid() != parent && getpid() == gettid());
        words[0].store(getpid() as u32, SeqCst);
        exit(3);
    }
    check_eq!(wait_pid(pid, 0), Status::Exited(3));
    check_eq!(words[0].load(SeqCst), pid as u32);
});

case!(threads_have_ids_of_their_own, [gettid, getpid], {
    check_eq!(gettid(), getpid());
    let (pid, first) = (getpid(), gettid());
    spawn(move || check!(getpid() == pid && gettid() != first)).join().ok().must();
});

case!(descriptors_are_copied, [fork], {
    let (r, w) = pipe();
    fork(|| {
        sys!(close, r).must();
        sys!(write, w, b"x", 1).must();
    })
    .ok();
    let mut buf = [0u8; 4];
    check_eq!(sys!(read, r, &mut buf, 4), Ok(1), "closed in the child only");
});

case!(only_the_forking_thread_lives_on, [fork], {
    let words = words();
    let other = spawn(|| {
        loop {
            words[0].fetch_add(1, SeqCst);
            sleep_ms(1);
        }
    });
    sleep_ms(20);
    fork(|| {
        let mine = AtomicU32::new(0);
        mine.store(getpid() as u32, SeqCst);
        check_eq!(count_threads(), 1);
    })
    .ok();
    drop(other);
});

fn count_threads() -> usize {
    let text = content(c"/proc/self/status");
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find_map(|l| l.strip_prefix("Threads:")).must();
    line.trim().parse().ok().must()
}

case!(pending_signals_and_alarms_are_not_inherited, [fork, alarm], {
    block(&[SIGUSR1]);
    raise(SIGUSR1);
    sys!(alarm, 100).must();
    fork(|| {
        check_eq!(pending(), 0);
        check_eq!(sys!(alarm, 0), Ok(0));
        check_eq!(set_mask(0), mask_of(&[SIGUSR1]), "the mask is");
    })
    .ok();
    check_eq!(pending(), mask_of(&[SIGUSR1]));
});

case!(handlers_are_inherited, [fork, rt_sigaction], {
    count_signal(SIGUSR1, 0);
    fork(|| {
        raise(SIGUSR1);
        check_eq!(counted(SIGUSR1), 1);
    })
    .ok();
    check_eq!(counted(SIGUSR1), 0);
});

case!(vfork_suspends_the_parent_and_shares_memory, [vfork], {
    let word = anon(PAGE);
    let start = now();
    let pid = vfork_store(word, &millis(50), 9).must();
    check!(now() - start >= Duration::from_millis(50), "the parent went on too early");
    check_eq!(peek::<u32>(word), 1);
    check_eq!(wait_pid(pid as i32, 0), Status::Exited(9));
});

extern "C" fn store_one(word: usize) -> i32 {
    poke(word, 1u32);
    5
}

case!(clone_without_vm_copies_memory, [clone], {
    let word = anon(PAGE);
    let pid = clone_on_stack(SIGCHLD, 0, 0, 0, store_one, word).must();
    check_eq!(wait_pid(pid as i32, 0), Status::Exited(5));
    check_eq!(peek::<u32>(word), 0);
});

case!(clone_vm_shares_memory, [clone], {
    let word = anon(PAGE);
    let pid = clone_on_stack(CLONE_VM | SIGCHLD, 0, 0, 0, store_one, word).must();
    check_eq!(wait_pid(pid as i32, 0), Status::Exited(5));
    check_eq!(peek::<u32>(word), 1);
});

case!(clone_without_exit_signal_needs_wclone, [clone, wait4], {
    let word = anon(PAGE);
    let pid = clone_on_stack(CLONE_VM, 0, 0, 0, store_one, word).must() as i32;
    sleep_ms(50);
    check_eq!(sys!(wait4, pid, 0, WNOHANG, 0), Err(ECHILD));
    check_eq!(sys!(wait4, pid, 0, __WCLONE, 0), Ok(i64::from(pid)));
});

extern "C" fn close_fd(fd: usize) -> i32 {
    let _ = sys!(close, fd);
    let _ = sys!(chdir, c"/");
    0
}

case!(clone_files_and_fs_share_tables, [clone], {
    let (r, w) = pipe();
    let flags = CLONE_VM | CLONE_FILES | CLONE_FS | SIGCHLD;
    let pid = clone_on_stack(flags, 0, 0, 0, close_fd, r as usize).must();
    let _ = wait_pid(pid as i32, 0);
    check_eq!(sys!(close, r), Err(EBADF), "closed by the child");
    check_eq!(sys!(getcwd, &mut [0u8; 64], 64), Ok(2));
    let pid = clone_on_stack(CLONE_VM | SIGCHLD, 0, 0, 0, close_fd, w as usize).must();
    let _ = wait_pid(pid as i32, 0);
    check_eq!(sys!(close, w), Ok(0));
});

extern "C" fn thread_id(word: usize) -> i32 {
    poke(word + 8, sys!(gettid).unwrap_or(0) as u32);
    poke(word + 12, sys!(getpid).unwrap_or(0) as u32);
    0
}

const THREAD: i32 =
    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

case!(clone_thread_stores_and_clears_thread_ids, [clone, futex], {
    let word = anon(PAGE);
    let flags = THREAD | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID;
    poke(word + 4, 77u32);
    let tid = clone_on_stack(flags, word, word + 4, 0, thread_id, word).must() as u32;
    check_eq!(peek::<u32>(word), tid, "CLONE_PARENT_SETTID");
    // CLONE_CHILD_CLEARTID: zero and a futex wake at the end.
    loop {
        let value = peek::<u32>(word + 4);
        if value == 0 {
            break;
        }
        let _ = sys!(futex, word + 4, FUTEX_WAIT, value, 0);
    }
    check_eq!(peek::<u32>(word + 8), tid);
    check_eq!(peek::<u32>(word + 12), getpid() as u32, "one process");
    check_eq!(sys!(wait4, tid, 0, __WALL, 0), Err(ECHILD), "threads are not waited for");
});

extern "C" fn has_own_id_at(word: usize) -> i32 {
    i32::from(u32::from_ne_bytes(peek(word)) == sys!(gettid).unwrap_or(0) as u32)
}

case!(clone_stores_the_id_of_a_process_where_it_can, [clone], {
    let word = anon(PAGE) + PAGE - 4;
    let constant = anon(PAGE);
    check_eq!(sys!(mprotect, constant, PAGE, PROT_READ), Ok(0));
    let gone = anon(PAGE);
    check_eq!(sys!(munmap, gone, PAGE), Ok(0));
    for (place, is_stored) in [
        (word, 1),
        (word - 61, 1),
        (constant, 0),
        (gone, 0),
        (constant + 2, 0),
        (usize::MAX - 3, 0),
        (0, 0),
    ] {
        let read_at = if is_stored == 1 { place } else { word - 128 };
        let flags = CLONE_CHILD_SETTID | SIGCHLD;
        let pid = clone_on_stack(flags, 0, place, 0, has_own_id_at, read_at).must();
        check_eq!(wait_pid(pid as i32, 0), Status::Exited(is_stored), "at {place:#x}");
        check_eq!(peek::<u32>(word), 0, "the parent's own");
    }
});

case!(clone_flags_depend_on_each_other, [clone], {
    let word = anon(PAGE);
    let try_flags = |flags| clone_on_stack(flags, 0, 0, 0, store_one, word);
    check_eq!(try_flags(CLONE_THREAD | CLONE_VM), Err(EINVAL), "THREAD needs SIGHAND");
    check_eq!(try_flags(CLONE_SIGHAND), Err(EINVAL), "SIGHAND needs VM");
    check_eq!(try_flags(CLONE_FS | CLONE_NEWNS), Err(EINVAL));
    check_eq!(try_flags(CLONE_PIDFD | CLONE_PARENT_SETTID), Err(EINVAL));
});

case!(clone_parent_makes_a_sibling, [clone, getppid], {
    let word = anon(PAGE);
    let grandparent = getpid();
    let words = words();
    fork(|| {
        extern "C" fn ppid(word: usize) -> i32 {
            poke(word, sys!(getppid).unwrap_or(0) as u32);
            6
        }
        let pid = clone_on_stack(CLONE_PARENT | CLONE_VM, 0, 0, 0, ppid, word).must();
        words[1].store(pid as u32, SeqCst);
        sleep_ms(50);
        words[0].store(peek::<u32>(word), SeqCst);
    })
    .ok();
    check_eq!(words[0].load(SeqCst), grandparent as u32);
    check_eq!(wait_pid(words[1].load(SeqCst) as i32, __WALL), Status::Exited(6));
});

case!(clone3_makes_a_process, [clone3], {
    let args = CloneArgs { exit_signal: SIGCHLD as u64, ..CloneArgs::default() };
    let pid = clone3_fork(&args).must() as i32;
    if pid == 0 {
        exit(4);
    }
    check_eq!(wait_pid(pid, 0), Status::Exited(4));
    let word = anon(PAGE);
    let args = CloneArgs { flags: CLONE_VM as u64, ..args };
    let pid = clone3_on_stack(args, store_one, word).must();
    check_eq!(wait_pid(pid as i32, 0), Status::Exited(5));
    check_eq!(peek::<u32>(word), 1);
});

case!(clone3_checks_its_structure, [clone3], {
    let good = CloneArgs { exit_signal: SIGCHLD as u64, ..CloneArgs::default() };
    check_eq!(sys!(clone3, BAD, 88), Err(EFAULT));
    check_eq!(sys!(clone3, &good, 63), Err(EINVAL));
    check_eq!(sys!(clone3, &good, 1 << 20), Err(E2BIG));
    let bad = |args: CloneArgs| check_eq!(clone3_fork(&args), Err(EINVAL), "{args:?}");
    bad(CloneArgs { exit_signal: 65, ..good });
    bad(CloneArgs { flags: SIGCHLD as u64, ..good });
    bad(CloneArgs { flags: 1 << 60, ..good });
    bad(CloneArgs { stack: 4096, ..good });
    bad(CloneArgs { stack_size: 4096, ..good });
    bad(CloneArgs { flags: CLONE_THREAD as u64, ..good });
    bad(CloneArgs { set_tid_size: 1, ..good });
});

case!(clone_pidfd_gives_a_descriptor, [clone3, waitid], {
    let mut fd = -1i32;
    let args = CloneArgs {
        flags: CLONE_PIDFD as u64,
        pidfd: &raw mut fd as u64,
        exit_signal: SIGCHLD as u64,
        ..CloneArgs::default()
    };
    let pid = clone3_fork(&args).must() as i32;
    if pid == 0 {
        exit(4);
    }
    let fd = peek::<i32>(&raw const fd as usize);
    check!(fd >= 0);
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(1), "close-on-exec");
    let mut poll = pollfd { fd, events: POLLIN, revents: 0 };
    check_eq!(sys!(poll, &mut poll, 1, 5000), Ok(1));
    let mut info: SigInfo = zeroed();
    check_eq!(sys!(waitid, P_PIDFD, fd, &mut info, WEXITED, 0), Ok(0));
});

case!(exit_status_keeps_eight_bits, [exit, exit_group], {
    let end = |status: i32| {
        let pid = sys!(fork).must() as i32;
        if pid == 0 {
            let _ = sys!(exit_group, status);
        }
        wait_pid(pid, 0)
    };
    check_eq!(end(0x1234), Status::Exited(0x34));
    check_eq!(end(-1), Status::Exited(255));
});

case!(exit_of_one_thread_leaves_the_others, [exit], {
    let words = words();
    let child = fork(|| {
        spawn(move || {
            words[0].store(1, SeqCst);
            let _ = sys!(exit, 9);
        });
        while words[0].load(SeqCst) == 0 {
            sleep_ms(1);
        }
        sleep_ms(20);
        exit(2);
    });
    check_eq!(child.wait(), Status::Exited(2));
});

case!(process_lives_until_its_last_thread_ends, [exit], {
    let child = fork(|| {
        spawn(|| {
            sleep_ms(50);
            let _ = sys!(exit, 7);
        });
        let _ = sys!(exit, 3);
    });
    let start = now();
    let status = child.wait();
    check!(now() - start >= Duration::from_millis(40), "a process with a thread is alive");
    check_eq!(status, Status::Exited(7), "the status is the last thread's");
});

case!(exit_group_ends_all_threads, [exit_group], {
    let child = fork(|| {
        for _ in 0..4 {
            spawn(|| {
                loop {
                    sleep_ms(1000);
                }
            });
        }
        spawn(|| exit(8));
        loop {
            sleep_ms(1000);
        }
    });
    check_eq!(child.wait(), Status::Exited(8));
});

case!(process_limit_is_eagain, [fork, setrlimit], {
    need_root();
    as_nobody(|| {
        let limit = rlimit { rlim_cur: 0, rlim_max: 0 };
        sys!(setrlimit, RLIMIT_NPROC, &limit).must();
        check_eq!(sys!(fork), Err(EAGAIN));
    });
});

case!(many_children_at_once, [fork, wait4], {
    let children: Vec<_> = (0..50).map(|i| fork(move || exit(i))).collect();
    for (i, child) in children.into_iter().enumerate() {
        check_eq!(child.wait(), Status::Exited(i as i32));
    }
    check_eq!(sys!(wait4, -1, 0, 0, 0), Err(ECHILD));
});
