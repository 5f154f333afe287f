//! /proc/self: what programs read about themselves.

use crate::support::prelude::*;

fn text(path: &str) -> String {
    String::from_utf8_lossy(&content(&cstr(path))).into_owned()
}

fn link(path: &str) -> String {
    let mut buf = [0u8; 4096];
    let len = sys!(readlink, cstr(path).as_c_str(), &mut buf, 4096).must() as usize;
    String::from_utf8_lossy(&buf[..len]).into_owned()
}

/// A line of /proc/self/status.
fn status(key: &str) -> String {
    let all = text("/proc/self/status");
    let line = all.lines().find(|l| l.starts_with(&format!("{key}:"))).must();
    line.split_once(':').must().1.trim().to_owned()
}

case!(self_names_the_process, [readlink], {
    check_eq!(link("/proc/self"), getpid().to_string());
    check_eq!(link("/proc/thread-self"), format!("{0}/task/{0}", getpid()));
    spawn(|| check_eq!(link("/proc/thread-self"), format!("{}/task/{}", getpid(), gettid())))
        .join()
        .ok()
        .must();
});

case!(exe_cwd_root_links, [readlink, chdir], {
    check_eq!(link("/proc/self/exe"), self_exe().to_string_lossy());
    let cwd = link("/proc/self/cwd");
    sys!(mkdir, c"d", 0o755).must();
    sys!(chdir, c"d").must();
    check_eq!(link("/proc/self/cwd"), format!("{cwd}/d"));
    check_eq!(link("/proc/self/root"), "/");
    create(c"f", b"abc");
    check_eq!(content(c"/proc/self/cwd/f"), b"abc");
});

case!(cmdline_and_environ, [read], {
    let (_, out) = run_helper(&["file", "/proc/self/cmdline"], || {});
    check_eq!(out, "syscall-cases\0helper\0file\0/proc/self/cmdline\0");
    let (_, out) = run_helper(&["file", "/proc/self/environ"], || {});
    check_eq!(out, "PATH=/bin\0CASE=yes\0");
});

case!(stat_fields, [read], {
    sys!(prctl, PR_SET_NAME, c"odd) name").must();
    let stat = text("/proc/self/stat");
    let (head, tail) = stat.rsplit_once(')').must();
    check_eq!(head, format!("{} (odd) name", getpid()));
    let fields: Vec<&str> = tail.split_whitespace().collect();
    check_eq!(fields.len(), 50, "52 fields with pid and name");
    check_eq!(fields[0], "R");
    check_eq!(fields[1], sys!(getppid).must().to_string());
    check_eq!(fields[2], sys!(getpgid, 0).must().to_string());
    check_eq!(fields[3], sys!(getsid, 0).must().to_string());
    check_eq!(fields[17], "1", "threads");
    check!(fields[20].parse::<u64>().is_ok_and(|v| v > 1 << 20), "vsize {}", fields[20]);
});

case!(status_fields, [read], {
    check_eq!(status("Pid"), getpid().to_string());
    check_eq!(status("PPid"), sys!(getppid).must().to_string());
    let uid = sys!(getuid).must();
    check_eq!(status("Uid"), format!("{uid}\t{uid}\t{uid}\t{uid}"));
    check_eq!(status("Threads"), "1");
    check_eq!(status("NoNewPrivs"), "0");
    block(&[SIGUSR1]);
    raise(SIGUSR1);
    ignore(SIGHUP);
    count_signal(SIGTERM, 0);
    check_eq!(status("SigBlk"), format!("{:016x}", mask_of(&[SIGUSR1])));
    check_eq!(status("SigPnd"), format!("{:016x}", mask_of(&[SIGUSR1])));
    check_eq!(status("SigIgn"), format!("{:016x}", mask_of(&[SIGHUP])));
    check_eq!(status("SigCgt"), format!("{:016x}", mask_of(&[SIGTERM])));
    sys!(umask, 0o027).must();
    check_eq!(status("Umask"), "0027");
    let vm: u64 = status("VmRSS").trim_end_matches(" kB").trim().parse().ok().must();
    check!(vm > 100, "{vm} kB");
});

case!(statm_and_limits, [read], {
    let statm = text("/proc/self/statm");
    let fields: Vec<u64> = statm.split_whitespace().map(|f| f.parse().ok().must()).collect();
    check_eq!(fields.len(), 7);
    check!(fields[0] >= fields[1] && fields[1] > 0, "{statm}");
    sys!(setrlimit, RLIMIT_NOFILE, &rlimit { rlim_cur: 123, rlim_max: 456 }).must();
    let limits = text("/proc/self/limits");
    let line = limits.lines().find(|l| l.starts_with("Max open files")).must();
    let words: Vec<&str> = line.split_whitespace().collect();
    check_eq!(words[3..], ["123", "456", "files"]);
});

case!(maps_show_every_mapping, [mmap], {
    create(c"mapped-file", &[1; 3 * PAGE]);
    let fd = open(c"mapped-file", O_RDWR);
    let rw = PROT_READ | PROT_WRITE;
    let file = map(2 * PAGE, rw, MAP_SHARED, fd, PAGE as i64);
    let none = map(PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    let maps = text("/proc/self/maps");
    let find = |addr: usize| {
        maps.lines().find(|l| l.starts_with(&format!("{addr:08x}-"))).must().to_owned()
    };
    let line = find(file);
    let words: Vec<&str> = line.split_whitespace().collect();
    check_eq!(words[0], format!("{:08x}-{:08x}", file, file + 2 * PAGE));
    check_eq!((words[1], words[2]), ("rw-s", "00001000"));
    check_eq!(words[4], stat(c"mapped-file").st_ino.to_string());
    check_eq!(words[5], path("mapped-file").to_string_lossy());
    check_eq!(find(none).split_whitespace().nth(1), Some("---p"));
    let exe = self_exe().to_string_lossy().into_owned();
    check!(maps.lines().any(|l| l.ends_with(&exe) && l.contains(" r-xp ")), "{maps}");
    check!(maps.contains("[stack]"), "{maps}");
    sys!(unlink, c"mapped-file").must();
    check!(text("/proc/self/maps").contains("mapped-file (deleted)"));
});

case!(maps_are_sorted_and_apart, [mmap], {
    for _ in 0..20 {
        map(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        map(PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    let mut last = 0;
    for line in text("/proc/self/maps").lines() {
        let (start, end) = line.split(' ').next().must().split_once('-').must();
        let number = |hex: &str| u64::from_str_radix(hex, 16).ok().must();
        if line.contains("[vsyscall]") {
            continue;
        }
        check!(last <= number(start) && number(start) < number(end), "{line}");
        last = number(end);
    }
});

case!(fd_directory, [getdents64, readlink], {
    create(c"f", b"abc");
    let fd = open(c"f", O_RDONLY);
    check_eq!(link(&format!("/proc/self/fd/{fd}")), path("f").to_string_lossy());
    sys!(unlink, c"f").must();
    check!(link(&format!("/proc/self/fd/{fd}")).ends_with("/f (deleted)"));
    check_eq!(content(&cstr(&format!("/proc/self/fd/{fd}"))), b"abc", "reopened all the same");
    let names: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .must()
        .map(|e| e.must().file_name().to_string_lossy().into_owned())
        .collect();
    check!(names.contains(&fd.to_string()), "{names:?}");
    check_eq!(sys!(readlink, c"/proc/self/fd/99", &mut [0u8; 8], 8), Err(ENOENT));
});

case!(fdinfo, [read], {
    create(c"f", b"0123456789");
    let fd = open(c"f", O_RDWR | O_APPEND | O_CLOEXEC);
    sys!(lseek, fd, 7, SEEK_SET).must();
    let info = text(&format!("/proc/self/fdinfo/{fd}"));
    check!(info.contains("pos:\t7\n"), "{info}");
    let flags = info.lines().find_map(|l| l.strip_prefix("flags:\t")).must();
    let flags = i32::from_str_radix(flags, 8).ok().must();
    check_eq!(flags & (O_ACCMODE | O_APPEND | O_CLOEXEC), O_RDWR | O_APPEND | O_CLOEXEC);
});

case!(tasks, [getdents64], {
    let list = || {
        let mut ids: Vec<String> = std::fs::read_dir("/proc/self/task")
            .must()
            .map(|e| e.must().file_name().to_string_lossy().into_owned())
            .collect();
        ids.sort();
        ids
    };
    check_eq!(list(), vec![getpid().to_string()]);
    let stop = words();
    let (r, w) = pipe();
    let thread = spawn(move || {
        sys!(write, w, &gettid(), 4).must();
        while stop[0].load(SeqCst) == 0 {
            sleep_ms(1);
        }
    });
    let mut tid = 0i32;
    sys!(read, r, &mut tid, 4).must();
    check!(list().contains(&tid.to_string()));
    check_eq!(status("Threads"), "2");
    stop[0].store(1, SeqCst);
    thread.join().ok().must();
});

case!(comm_can_be_written, [write], {
    let fd = open(c"/proc/self/comm", O_RDWR);
    sys!(write, fd, b"renamed\n", 8).must();
    let mut name = [0u8; 16];
    sys!(prctl, PR_GET_NAME, &mut name).must();
    check!(name.starts_with(b"renamed"));
});

case!(mounts, [read], {
    let info = text("/proc/self/mountinfo");
    let root = info.lines().find(|l| l.split(' ').nth(4) == Some("/")).must();
    check!(root.contains(" - "), "{root}");
    check!(info.lines().any(|l| l.split(' ').nth(4) == Some("/proc") && l.contains(" - proc ")));
    let mounts = text("/proc/self/mounts");
    check!(mounts.lines().any(|l| l.contains(" /proc proc ")), "{mounts}");
    check_eq!(text("/proc/mounts"), mounts);
});

case!(other_processes_are_seen_and_vanish, [fork, open], {
    let gate = Gate::new();
    let child = fork(|| gate.wait());
    let file = format!("/proc/{}/stat", child.pid);
    check!(text(&file).starts_with(&format!("{} (", child.pid)));
    let open_file = open(&cstr(&file), O_RDONLY);
    gate.open();
    child.ok();
    check_eq!(sys!(open, cstr(&file).as_c_str(), O_RDONLY, 0), Err(ENOENT));
    check_eq!(sys!(read, open_file, &mut [0u8; 8], 8), Err(ESRCH));
});

case!(memory_file, [pread64, pwrite64], {
    let area = anon(PAGE);
    poke_bytes(area, b"hello");
    let fd = open(c"/proc/self/mem", O_RDWR);
    let mut buf = [0u8; 5];
    check_eq!(sys!(pread64, fd, &mut buf, 5, area), Ok(5));
    check_eq!(&buf, b"hello");
    check_eq!(sys!(pwrite64, fd, b"J", 1, area), Ok(1));
    check_eq!(peek::<u8>(area), b'J');
    check_eq!(sys!(pread64, fd, &mut buf, 5, 8), Err(EIO));
});

case!(oom_score_adjustment, [write, read], {
    check_eq!(text("/proc/self/oom_score_adj").trim().parse::<i32>().is_ok(), true);
    let fd = open(c"/proc/self/oom_score_adj", O_WRONLY);
    check_eq!(sys!(write, fd, b"500", 3), Ok(3));
    check_eq!(text("/proc/self/oom_score_adj"), "500\n");
    check_eq!(sys!(write, fd, b"2000", 4), Err(EINVAL));
});
