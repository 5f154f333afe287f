//! Hostile arguments: bad pointers and wild values give an error and never a hang or a crash.

use crate::support::numbers::ALL;
use crate::support::prelude::*;
use crate::support::sys::call;

/// Calls that end or stop the process, wait without limit on purpose, or act on the machine.
const LEFT_OUT: &[&str] = &[
    "exit",
    "exit_group",
    "pause",
    "rt_sigreturn",
    "rt_sigsuspend",
    "vfork",
    "fork",
    "clone",
    "clone3",
    "reboot",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "swapon",
    "swapoff",
    "settimeofday",
    "clock_settime",
    "adjtimex",
    "clock_adjtime",
    "sethostname",
    "setdomainname",
    "vhangup",
    "sync",
    "syslog",
    "acct",
    "mount",
    "umount2",
    "pivot_root",
    "kill",
    "tkill",
    "tgkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "setpgid",
    "setsid",
    "unshare",
    "setns",
    "select",
    "pselect6",
    "poll",
    "ppoll",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "wait4",
    "waitid",
    "nanosleep",
    "clock_nanosleep",
    "futex",
    "futex_wait",
    "futex_waitv",
    "rt_sigtimedwait",
    "munmap",
    "mprotect",
    "mremap",
    "brk",
    "mmap",
    "madvise",
    "pkey_mprotect",
    "remap_file_pages",
    "seccomp",
    "ptrace",
    "prctl",
    "close_range",
    "restart_syscall",
    "chroot",
    "iopl",
    "ioperm",
    "modify_ldt",
    "personality",
    "alarm",
    "arch_prctl",
    "setitimer",
    "close",
    "uretprobe",
    "uprobe",
    "process_madvise",
    "mseal",
    "map_shadow_stack",
    "landlock_restrict_self",
    "quotactl",
    "quotactl_fd",
    "bpf",
    "userfaultfd",
    "perf_event_open",
    "set_robust_list",
    "set_tid_address",
    "rseq",
    "shmat",
    "shmdt",
    "keyctl",
    "add_key",
    "request_key",
    "fanotify_init",
    "fsopen",
    "fsmount",
    "open_tree",
    "move_mount",
    "mount_setattr",
    "open_tree_attr",
    "mlockall",
    "setrlimit",
    "prlimit64",
    "chdir",
    "fchdir",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setfsuid",
    "setfsgid",
    "setgroups",
    "capset",
    "memfd_secret",
    "lookup_dcookie",
    "migrate_pages",
    "move_pages",
    "mbind",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "cachestat",
    "io_setup",
    "io_uring_setup",
];

/// Runs a call in a child; it must come back, with whatever result, within a few seconds.
///
/// The standard descriptors become a scratch file: a call may well change what it is given.
fn survives(name: &str, number: i64, args: [usize; 6]) {
    let child = fork(|| {
        sys!(alarm, 5).must();
        let _ = sys!(unlink, c"scratch");
        let scratch = open(c"scratch", O_RDWR | O_CREAT);
        for fd in 0..3 {
            sys!(dup2, scratch, fd).must();
        }
        let _ = call(number, args);
    });
    let status = child.wait();
    check_eq!(status, Status::Exited(0), "{name} with {args:x?}");
}

case!(every_call_survives_bad_pointers, [read], 120, {
    for (name, number) in ALL.iter().filter(|(name, _)| !LEFT_OUT.contains(name)) {
        survives(name, *number, [BAD; 6]);
        survives(name, *number, [8, 8, 8, 8, 8, 8]);
    }
});

case!(every_call_survives_extreme_numbers, [read], 120, {
    for (name, number) in ALL.iter().filter(|(name, _)| !LEFT_OUT.contains(name)) {
        survives(name, *number, [usize::MAX; 6]);
        survives(name, *number, [i64::MAX as usize; 6]);
    }
});

case!(every_call_survives_null, [read], 120, {
    for (name, number) in ALL.iter().filter(|(name, _)| !LEFT_OUT.contains(name)) {
        survives(name, *number, [0; 6]);
    }
});

// Calls whose first argument is a descriptor, and what a free number gives.
case!(calls_on_a_free_descriptor_are_ebadf, [read, write, fstat, lseek, ioctl, fcntl], {
    let area = anon(PAGE);
    let names = [
        "read",
        "write",
        "fstat",
        "lseek",
        "ioctl",
        "pread64",
        "pwrite64",
        "readv",
        "writev",
        "fcntl",
        "fsync",
        "fdatasync",
        "ftruncate",
        "getdents",
        "getdents64",
        "fchdir",
        "fchmod",
        "fchown",
        "fstatfs",
        "dup",
        "sendfile",
        "connect",
        "accept",
        "bind",
        "listen",
        "getsockname",
        "getpeername",
        "shutdown",
        "setsockopt",
        "getsockopt",
        "sendmsg",
        "recvmsg",
        "readahead",
        "flistxattr",
        "fadvise64",
        "inotify_rm_watch",
        "fallocate",
        "timerfd_gettime",
        "preadv",
        "pwritev",
        "syncfs",
        "preadv2",
        "pwritev2",
        "sync_file_range",
        "tee",
        "vmsplice",
        "mq_getsetattr",
    ];
    for name in names {
        let number = ALL.iter().find(|(n, _)| *n == name).must().1;
        let result = call(number, [77, area, 0, 0, area, 0]);
        let expected = match name {
            // These look at another argument first.
            "fallocate" | "fadvise64" => matches!(result, Err(EBADF | EINVAL)),
            // Nothing to do is no error for these.
            "tee" | "vmsplice" => matches!(result, Err(EBADF) | Ok(0)),
            _ => result == Err(EBADF),
        };
        check!(expected, "{name}: {result:?}");
    }
});

case!(paths_in_unreadable_memory, [open, stat, mkdir, unlink, rename, readlink], {
    let area = map(PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for at in [BAD, 8, area, usize::MAX, usize::MAX - PAGE] {
        check_eq!(sys!(open, at, O_RDONLY, 0), Err(EFAULT));
        check_eq!(sys!(stat, at, anon(PAGE)), Err(EFAULT));
        check_eq!(sys!(mkdir, at, 0o755), Err(EFAULT));
        check_eq!(sys!(unlink, at), Err(EFAULT));
        check_eq!(sys!(rename, at, c"x"), Err(EFAULT));
        check_eq!(sys!(readlink, at, anon(PAGE), 8), Err(EFAULT));
        check_eq!(sys!(chdir, at), Err(EFAULT));
        check_eq!(sys!(truncate, at, 0), Err(EFAULT));
        check_eq!(sys!(access, at, 0), Err(EFAULT));
        check_eq!(sys!(symlink, at, c"x"), Err(EFAULT));
    }
});

case!(unterminated_path_is_enametoolong, [open], {
    let area = anon(2 * PAGE);
    for at in area..area + 2 * PAGE {
        poke(at, b'a');
    }
    check_eq!(sys!(open, area, O_RDONLY, 0), Err(ENAMETOOLONG));
});

case!(memory_unmapped_by_another_thread_during_calls, [read, write, munmap], {
    let (r, w) = pipe();
    static STOP: AtomicU32 = AtomicU32::new(0);
    let area = anon(4 * PAGE);
    let mapper = spawn(move || {
        while STOP.load(SeqCst) == 0 {
            let _ = sys!(munmap, area + PAGE, PAGE);
            let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
            let _ = sys!(mmap, area + PAGE, PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
        }
    });
    for _ in 0..2000 {
        match sys!(write, w, area, 4 * PAGE) {
            Ok(count) => check_eq!(sys!(read, r, &mut [0u8; 4 * PAGE], count), Ok(count)),
            Err(errno) => check_eq!(errno, EFAULT),
        }
    }
    STOP.store(1, SeqCst);
    mapper.join().ok().must();
});

case!(path_changed_by_another_thread_during_open, [open], {
    create(c"one", b"1");
    create(c"two", b"2");
    static STOP: AtomicU32 = AtomicU32::new(0);
    let area = anon(PAGE);
    poke_bytes(area, b"one\0");
    let writer = spawn(move || {
        while STOP.load(SeqCst) == 0 {
            poke_bytes(area, b"two\0");
            poke_bytes(area, b"one\0");
        }
    });
    for _ in 0..2000 {
        if let Ok(fd) = sys!(open, area, O_RDONLY, 0) {
            let mut buf = [0u8; 1];
            check_eq!(sys!(read, fd, &mut buf, 1), Ok(1));
            check!(buf == *b"1" || buf == *b"2");
            sys!(close, fd).must();
        }
    }
    STOP.store(1, SeqCst);
    writer.join().ok().must();
});

case!(descriptors_closed_by_another_thread_during_calls, [read, close, dup2], {
    static STOP: AtomicU32 = AtomicU32::new(0);
    create(c"f", b"abc");
    let fd = open(c"f", O_RDONLY);
    let closer = spawn(|| {
        while STOP.load(SeqCst) == 0 {
            let _ = sys!(close, 50);
        }
    });
    let mut buf = [0u8; 4];
    for _ in 0..3000 {
        let _ = sys!(dup2, fd, 50);
        let result = sys!(pread64, 50, &mut buf, 4, 0);
        check!(matches!(result, Ok(3) | Err(EBADF)), "{result:?}");
    }
    STOP.store(1, SeqCst);
    closer.join().ok().must();
});

case!(process_killed_in_the_middle_of_calls, [kill, read], {
    for wait_us in 0..40 {
        let child = fork(|| {
            let (r, w) = pipe();
            loop {
                let _ = sys!(write, w, &[0u8; 512], 512);
                let _ = sys!(read, r, &mut [0u8; 512], 512);
                let area = anon(PAGE);
                poke(area, 1u8);
                let _ = sys!(munmap, area, PAGE);
            }
        });
        let pause = timespec { tv_sec: 0, tv_nsec: wait_us * 25_000 };
        let _ = sys!(nanosleep, &pause, NULL);
        child.end();
    }
});
