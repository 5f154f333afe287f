//! execve, execveat: what a new program gets, and what is refused.

use crate::support::prelude::*;

/// Tries to execute a file in a child and returns the error.
fn exec_error(path: &std::ffi::CStr) -> Errno {
    let words = words();
    fork(|| words[0].store(exec(path, &["x"], &[]).0 as u32, SeqCst)).ok();
    Errno(words[0].load(SeqCst) as i32)
}

fn script(name: &std::ffi::CStr, text: &str) {
    create(name, text.as_bytes());
    sys!(chmod, name, 0o755).must();
}

/// Runs a script and returns its helper's output.
fn output_of(path: &std::ffi::CStr, args: &[&str]) -> (Status, String) {
    let (r, w) = pipe();
    let child = fork(|| {
        sys!(dup2, w, 1).must();
        let errno = exec(path, args, &[]);
        fail!("execve: {errno:?}");
    });
    sys!(close, w).must();
    let text = String::from_utf8_lossy(&read_all(r)).into_owned();
    (child.wait(), text)
}

case!(arguments_and_environment_are_passed, [execve], {
    let (status, text) = run_helper(&["args", "one", "", "tre e"], || {});
    check_eq!((status, text.as_str()), (Status::Exited(0), "one||tre e"));
    let (_, text) = run_helper(&["env"], || {});
    check_eq!(text, "PATH=/bin|CASE=yes");
});

case!(identity_stays, [execve], {
    let parent = getpid();
    let words = words();
    let state = state_after_exec(|| words[0].store(getpid() as u32, SeqCst));
    check_eq!(state["pid"], words[0].load(SeqCst).to_string());
    check_eq!(state["tid"], state["pid"]);
    check_eq!(state["ppid"], parent.to_string());
    check_eq!(state["pgid"], sys!(getpgid, 0).must().to_string());
    check_eq!(state["sid"], sys!(getsid, 0).must().to_string());
});

case!(inherited_attributes, [execve], {
    let state = state_after_exec(|| {
        sys!(mkdir, c"d", 0o755).must();
        sys!(chdir, c"d").must();
        sys!(umask, 0o031).must();
        sys!(alarm, 500).must();
        sys!(setrlimit, RLIMIT_NOFILE, &rlimit { rlim_cur: 77, rlim_max: 77 }).must();
    });
    check!(state["cwd"].ends_with("/d"), "{}", state["cwd"]);
    check_eq!(state["umask"], "25");
    check!(state["alarm"].parse::<i32>().is_ok_and(|s| s > 400), "the alarm goes on");
    check_eq!(state["nofile"], "77");
});

case!(name_is_the_file_s, [execve, prctl], {
    let exe = self_exe();
    sys!(symlink, exe.as_c_str(), c"a-very-long-program-name").must();
    let (_, text) = output_of(c"a-very-long-program-name", &["argv0", "helper", "state"]);
    check!(text.contains("\ncomm=a-very-long-pro\n"), "{text}");
});

case!(cloexec_descriptors_are_closed, [execve, fcntl], {
    let state = state_after_exec(|| {
        let fd = open(c"f", O_RDWR | O_CREAT);
        sys!(dup3, fd, 40, 0).must();
        sys!(dup3, fd, 41, O_CLOEXEC).must();
        sys!(dup3, fd, 42, 0).must();
        sys!(fcntl, 42, F_SETFD, FD_CLOEXEC).must();
    });
    let fds: Vec<&str> = state["fds"].split(',').collect();
    check!(fds.contains(&"40") && !fds.contains(&"41") && !fds.contains(&"42"), "{fds:?}");
});

case!(failed_exec_keeps_cloexec_descriptors, [execve], {
    let fd = open(c"f", O_RDWR | O_CREAT | O_CLOEXEC);
    check_eq!(exec(c"missing", &["x"], &[]), ENOENT);
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(1));
});

case!(handlers_are_reset_but_ignored_signals_stay, [execve, rt_sigaction], {
    let state = state_after_exec(|| {
        count_signal(SIGUSR1, 0);
        ignore(SIGUSR2);
        block(&[SIGHUP, SIGUSR1]);
        raise(SIGHUP);
    });
    let ignored = u64::from_str_radix(&state["ignored"], 16).ok().must();
    check_eq!(ignored & mask_of(&[SIGUSR1, SIGUSR2]), mask_of(&[SIGUSR2]));
    check_eq!(state["mask"], format!("{:x}", mask_of(&[SIGHUP, SIGUSR1])));
    check_eq!(state["pending"], format!("{:x}", mask_of(&[SIGHUP])), "pending signals stay");
});

case!(attributes_that_are_reset, [execve, prctl], {
    let state = state_after_exec(|| {
        sys!(prctl, PR_SET_KEEPCAPS, 1).must();
        sys!(prctl, PR_SET_DUMPABLE, 0).must();
        sys!(prctl, PR_SET_PDEATHSIG, SIGUSR1).must();
        sys!(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).must();
    });
    check_eq!((state["keepcaps"].as_str(), state["dumpable"].as_str()), ("0", "1"));
    check_eq!(state["pdeathsig"], SIGUSR1.to_string(), "stays without set-user-id");
    check_eq!(state["nnp"], "1");
});

case!(exec_in_a_thread_replaces_the_process, [execve, clone], {
    let (r, w) = pipe();
    let exe = self_exe();
    let child = fork(|| {
        sys!(dup2, w, 1).must();
        for _ in 0..3 {
            spawn(|| {
                loop {
                    sleep_ms(1000);
                }
            });
        }
        let thread = spawn(move || exec(&exe, &["x", "helper", "state"], &[]));
        let _ = thread.join();
        fail!("execve came back");
    });
    sys!(close, w).must();
    let text = String::from_utf8_lossy(&read_all(r)).into_owned();
    check_eq!(child.wait(), Status::Exited(0));
    check!(text.contains(&format!("pid={0}\ntid={0}\n", child.pid)), "{text}");
});

case!(vfork_ends_at_exec, [vfork, execve, clone], {
    extern "C" fn exec_helper(args: usize) -> i32 {
        let [path, argv, envp] = peek::<[usize; 3]>(args);
        let _ = sys!(execve, path, argv, envp);
        99
    }
    let exe = self_exe();
    let argv = Strings::new(&["x", "helper", "exit", "12"]);
    let envp = Strings::new::<&str>(&[]);
    let args = [
        exe.as_ptr() as usize,
        argv.pointers().as_ptr() as usize,
        envp.pointers().as_ptr() as usize,
    ];
    let flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
    let pid = clone_on_stack(flags, 0, 0, 0, exec_helper, args.as_ptr() as usize).must();
    check_eq!(wait_pid(pid as i32, 0), Status::Exited(12));
});

case!(programs_start_side_by_side, [execve, vfork, kill], {
    let one = |number: i32| {
        let status = (number % 50).to_string();
        match number % 3 {
            0 => {
                let (child, read) = start_helper(&["pause"], || {});
                let mut buf = [0u8; 6];
                check_eq!(sys!(read, read, &mut buf, 6), Ok(6));
                sys!(close, read).must();
                child.kill(SIGKILL);
                check_eq!(child.wait(), Status::Signaled(SIGKILL));
            }
            1 => check_eq!(run_helper(&["exit", &status], || {}).0, Status::Exited(number % 50)),
            // One that is killed on its way there, or behind.
            _ => {
                let (child, read) = start_helper(&["exit", &status], || {});
                std::thread::sleep(std::time::Duration::from_micros(number as u64 * 37 % 1500));
                child.kill(SIGKILL);
                let ended = child.wait();
                let may_be = [Status::Signaled(SIGKILL), Status::Exited(number % 50)];
                check!(may_be.contains(&ended), "{ended:?}");
                sys!(close, read).must();
            }
        }
    };
    let parents: Vec<_> = (0..3).map(|_| fork(|| (0..30).for_each(one))).collect();
    parents.into_iter().for_each(Child::ok);
});

case!(refused_files, [execve], {
    create(c"plain", b"#!/bin/true\n");
    script(c"empty", "");
    script(c"garbage", "\x01\x02\x03\x04 not a program");
    sys!(mkdir, c"d", 0o755).must();
    check_eq!(exec_error(c"plain"), EACCES, "no x bit");
    check_eq!(exec_error(c"empty"), ENOEXEC);
    check_eq!(exec_error(c"garbage"), ENOEXEC);
    check_eq!(exec_error(c"d"), EACCES);
    check_eq!(exec_error(c"missing"), ENOENT);
    check_eq!(exec_error(c"plain/x"), ENOTDIR);
    check_eq!(exec_error(c""), ENOENT);
    check_eq!(exec_error(c"/dev/null"), EACCES);
});

case!(damaged_elf_files, [execve], {
    let exe = content(&self_exe());
    let damaged = |at: usize, byte: u8, len: usize| {
        let mut bytes = exe[..len].to_vec();
        bytes[at] = byte;
        create(c"elf", &bytes);
        sys!(chmod, c"elf", 0o755).must();
        exec_error(c"elf")
    };
    check_eq!(damaged(0, 0x7e, 4096), ENOEXEC, "magic");
    check_eq!(damaged(18, 0xff, 4096), ENOEXEC, "machine");
    check_eq!(damaged(16, 0, 4096), ENOEXEC, "type");
    check_eq!(damaged(54, 3, 4096), ENOEXEC, "size of a program header");
    check_eq!(damaged(56, 0, 4096), ENOEXEC, "no program headers");
    check_eq!(damaged(0, 0x7f, 20), ENOEXEC, "shorter than a header");
});

case!(file_open_for_writing_is_etxtbsy, [execve, open], {
    let exe = self_exe();
    create(c"copy", &content(&exe));
    sys!(chmod, c"copy", 0o755).must();
    let fd = open(c"copy", O_WRONLY);
    check_eq!(exec_error(c"copy"), ETXTBSY);
    sys!(close, fd).must();
    let (r, w) = pipe();
    let child = fork(|| {
        sys!(dup2, w, 1).must();
        exec(c"copy", &["x", "helper", "pause"], &[]);
    });
    let mut buf = [0u8; 6];
    check_eq!(sys!(read, r, &mut buf, 6), Ok(6));
    check_eq!(sys!(open, c"copy", O_WRONLY, 0), Err(ETXTBSY));
    check_eq!(sys!(truncate, c"copy", 0), Err(ETXTBSY));
    check_eq!(sys!(unlink, c"copy"), Ok(0), "it may be unlinked");
    child.end();
});

case!(scripts_run_their_interpreter, [execve], {
    let exe = self_exe();
    let exe = exe.to_string_lossy();
    script(c"s", &format!("#!{exe} helper\n"));
    let (_, text) = output_of(c"s", &["ignored", "b"]);
    check_eq!(text, "", "the helper got the script's path as its name");
    // One optional argument, taken whole; then the script's path and the arguments.
    sys!(mkdir, c"bin", 0o755).must();
    sys!(symlink, self_exe().as_c_str(), c"bin/i").must();
    script(c"t", "#!bin/i   helper  \n");
    let (status, _) = output_of(c"t", &["x", "y"]);
    check_eq!(status, Status::Exited(98), "helper ./t y: an unknown helper");
});

case!(script_limits, [execve], {
    script(c"nointerp", "#!/missing/interpreter\n");
    check_eq!(exec_error(c"nointerp"), ENOENT);
    script(c"blank", "#!\n");
    check_eq!(exec_error(c"blank"), ENOEXEC);
    script(c"self", "#!self\n");
    check_eq!(exec_error(c"self"), ELOOP);
    script(c"long", &format!("#!/{}\n", "a".repeat(300)));
    check_eq!(exec_error(c"long"), ENOEXEC);
    create(c"noexec", b"x");
    script(c"interp", "#!noexec\n");
    check_eq!(exec_error(c"interp"), EACCES);
});

case!(argument_limits_are_e2big, [execve], {
    let exe = self_exe();
    let too_long = "a".repeat(131_072);
    check_eq!(exec(&exe, &["x", &too_long], &[]), E2BIG, "one string of 128 KiB");
    let longest = "a".repeat(131_071);
    let (status, text) = run_helper(&["args", &longest], || {});
    check_eq!((status, text.len()), (Status::Exited(0), 131_071));
    let many = vec!["aaaaaaaaaaaaaaaa"; 1_000_000];
    check_eq!(exec(&exe, &many, &[]), E2BIG, "all together");
});

case!(null_argument_list_becomes_one_empty_string, [execve], {
    // Since Linux 5.18.
    let exe = self_exe();
    let child = fork(|| {
        sys!(close, 2).must();
        let _ = sys!(execve, exe.as_c_str(), NULL, NULL);
    });
    check_eq!(child.wait(), Status::Exited(2), "the usage message's status");
});

case!(bad_pointers_are_efault, [execve, execveat], {
    let exe = self_exe();
    check_eq!(sys!(execve, BAD, NULL, NULL), Err(EFAULT));
    check_eq!(sys!(execve, exe.as_c_str(), BAD, NULL), Err(EFAULT));
    check_eq!(sys!(execve, exe.as_c_str(), &[BAD, 0], NULL), Err(EFAULT));
    check_eq!(sys!(execve, exe.as_c_str(), NULL, &[8usize, 0]), Err(EFAULT));
    check_eq!(sys!(execveat, AT_FDCWD, BAD, NULL, NULL, 0), Err(EFAULT));
});

case!(execveat_of_a_descriptor, [execveat], {
    let fd = open(&self_exe(), O_PATH);
    let args = Strings::new(&["x", "helper", "exit", "21"]);
    let run = |fd: i32, path: &std::ffi::CStr, flags: i32| {
        fork(|| {
            let result = sys!(execveat, fd, path, args.pointers(), NULL, flags);
            fail!("{result:?}");
        })
        .wait()
    };
    check_eq!(run(fd, c"", AT_EMPTY_PATH), Status::Exited(21));
    let dir = open(c"/", O_RDONLY);
    let exe = self_exe();
    let relative = cstr(exe.to_string_lossy().trim_start_matches('/'));
    check_eq!(run(dir, &relative, 0), Status::Exited(21));
});

case!(execveat_errors, [execveat], {
    let exe = self_exe();
    let args = Strings::new(&["x"]);
    let at = |fd: i32, path: &std::ffi::CStr, flags: i32| {
        sys!(execveat, fd, path, args.pointers(), NULL, flags)
    };
    check_eq!(at(AT_FDCWD, &exe, 0x8000), Err(EINVAL));
    check_eq!(at(99, c"x", 0), Err(EBADF));
    check_eq!(at(AT_FDCWD, c"", 0), Err(ENOENT));
    sys!(symlink, exe.as_c_str(), c"link").must();
    check_eq!(at(AT_FDCWD, c"link", AT_SYMLINK_NOFOLLOW), Err(ELOOP));
    script(c"s", "#!/bin/sh\n");
    let fd = open(c"s", O_RDONLY | O_CLOEXEC);
    check_eq!(at(fd, c"", AT_EMPTY_PATH), Err(ENOENT), "the interpreter could not open it");
});

case!(set_user_id_programs_change_the_user, [execve], {
    need_root();
    create(c"suid", &content(&self_exe()));
    sys!(chown, c"suid", 4242, 4343).must();
    sys!(chmod, c"suid", 0o6755).must();
    let (r, w) = pipe();
    let run = |nnp: bool| {
        let child = fork(|| {
            sys!(dup2, w, 1).must();
            if nnp {
                sys!(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).must();
            }
            drop_to_nobody();
            exec(c"suid", &["x", "helper", "state"], &[]);
        });
        check_eq!(child.wait(), Status::Exited(0));
        let mut buf = [0u8; 4096];
        let len = sys!(read, r, &mut buf, 4096).must() as usize;
        String::from_utf8_lossy(&buf[..len]).into_owned()
    };
    let text = run(false);
    if text.contains("\neuid=65534\n") {
        skip!("the file system is mounted with nosuid");
    }
    check!(text.contains("\nuid=65534\neuid=4242\ngid=65534\negid=4343\n"), "{text}");
    check!(text.contains("\ndumpable=0\n") && text.contains("\nsecure=1\n"), "{text}");
    let text = run(true);
    check!(text.contains("\nuid=65534\neuid=65534\n") && text.contains("\nsecure=0\n"), "{text}");
});
