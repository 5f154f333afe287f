//! uname, sysinfo, getrandom, sethostname, syslog, unknown and ancient syscalls.

use crate::support::prelude::*;

fn uname() -> [String; 5] {
    let mut buf = [0u8; 390];
    sys!(uname, &mut buf).must();
    let field = |i: usize| {
        let text = &buf[i * 65..(i + 1) * 65];
        let end = text.iter().position(|b| *b == 0).must();
        String::from_utf8_lossy(&text[..end]).into_owned()
    };
    [field(0), field(1), field(2), field(3), field(4)]
}

case!(uname_names_linux_on_x86_64, [uname], {
    let [system, _, release, version, machine] = uname();
    check_eq!((system.as_str(), machine.as_str()), ("Linux", "x86_64"));
    let major: u32 = release.split('.').next().must().parse().ok().must();
    check!(major >= 4, "{release}");
    check!(version.starts_with('#'), "{version}");
    check_eq!(sys!(uname, BAD), Err(EFAULT));
});

case!(hostname_can_be_set_in_its_namespace, [sethostname, setdomainname, uname], {
    need_cap("CAP_SYS_ADMIN", 21);
    // A namespace of its own, so that the machine keeps its name.
    match sys!(unshare, CLONE_NEWUTS) {
        Ok(_) => {}
        // In a container the name is the container's anyway.
        Err(_) if uname()[1] == "conformance" => {}
        Err(errno) => skip!("no UTS namespace: {errno:?}"),
    }
    check_eq!(sys!(sethostname, b"case", 4), Ok(0));
    check_eq!(uname()[1], "case");
    check_eq!(sys!(sethostname, b"case", 2), Ok(0));
    check_eq!(uname()[1], "ca");
    check_eq!(sys!(setdomainname, b"domain", 6), Ok(0));
    check_eq!(sys!(sethostname, &[b'x'; 65], 65), Err(EINVAL));
    check_eq!(sys!(sethostname, c"x", -1), Err(EINVAL));
    check_eq!(sys!(sethostname, BAD, 4), Err(EFAULT));
    check_eq!(sys!(sethostname, b"conformance", 11), Ok(0));
    as_nobody(|| {
        check_eq!(sys!(sethostname, b"case", 4), Err(EPERM));
        check_eq!(sys!(setdomainname, b"case", 4), Err(EPERM));
    });
});

case!(sysinfo_is_plausible, [sysinfo], {
    let mut info: sysinfo = zeroed();
    check_eq!(sys!(sysinfo, &mut info), Ok(0));
    check!(info.totalram > 0 && info.freeram <= info.totalram && info.mem_unit > 0);
    check!(info.uptime >= 0 && info.procs >= 1);
    check_eq!(sys!(sysinfo, BAD), Err(EFAULT));
});

case!(getrandom_fills_the_buffer, [getrandom], {
    let (mut one, mut two) = ([0u8; 32], [0u8; 32]);
    check_eq!(sys!(getrandom, &mut one, 32, 0), Ok(32));
    check_eq!(sys!(getrandom, &mut two, 32, GRND_NONBLOCK), Ok(32));
    check!(one != two && one != [0; 32]);
    check_eq!(sys!(getrandom, &mut one, 0, 0), Ok(0));
    check_eq!(sys!(getrandom, &mut one, 32, GRND_RANDOM), Ok(32));
    let big = anon(1 << 20);
    check_eq!(sys!(getrandom, big, 1 << 20, 0), Ok(1 << 20));
    check!(peek_bytes(big + (1 << 20) - 64, 64) != vec![0; 64]);
});

case!(getrandom_errors, [getrandom], {
    let mut buf = [0u8; 32];
    check_eq!(sys!(getrandom, &mut buf, 32, 0x100), Err(EINVAL));
    check_eq!(sys!(getrandom, &mut buf, 32, GRND_RANDOM | GRND_INSECURE), Err(EINVAL));
    check_eq!(sys!(getrandom, BAD, 32, 0), Err(EFAULT));
    check_eq!(sys!(getrandom, 8, 32, 0), Err(EFAULT));
});

case!(unknown_syscalls_are_enosys, [], {
    use crate::support::sys::call;
    for number in [387, 400, 423, 600, 1000, 4096, 0x7fff_ffff] {
        check_eq!(call(number, [0; 6]), Err(ENOSYS), "syscall {number}");
    }
    check_eq!(call(-1, [0; 6]), Err(ENOSYS));
    check_eq!(call(i64::MIN + 1000, [0; 6]), Err(ENOSYS));
});

case!(syscall_numbers_are_taken_as_32_bits, [getpid], {
    // entry_SYSCALL_64 uses the low half of rax.
    let number = crate::support::numbers::getpid | 1 << 32;
    let result = crate::support::sys::call(number, [0; 6]);
    check_eq!(result, Ok(i64::from(getpid())));
});

case!(calls_that_no_kernel_serves_any_more, [uselib, create_module], {
    check_eq!(sys!(create_module), Err(ENOSYS));
    check_eq!(sys!(get_kernel_syms), Err(ENOSYS));
    check_eq!(sys!(query_module), Err(ENOSYS));
    check_eq!(sys!(nfsservctl), Err(ENOSYS));
    check_eq!(sys!(_sysctl), Err(ENOSYS));
    check_eq!(sys!(getpmsg), Err(ENOSYS));
    check_eq!(sys!(putpmsg), Err(ENOSYS));
    check_eq!(sys!(afs_syscall), Err(ENOSYS));
    check_eq!(sys!(tuxcall), Err(ENOSYS));
    check_eq!(sys!(security), Err(ENOSYS));
    check_eq!(sys!(vserver), Err(ENOSYS));
    check_eq!(sys!(epoll_ctl_old), Err(ENOSYS));
    check_eq!(sys!(epoll_wait_old), Err(ENOSYS));
});

case!(privileged_calls_are_eperm_for_ordinary_users, [reboot, acct, swapon, swapoff, mount], {
    as_nobody(|| {
        check_eq!(sys!(mount, c"none", c"/", c"tmpfs", 0, NULL), Err(EPERM));
        check_eq!(sys!(umount2, c"/", 0), Err(EPERM));
        check_eq!(sys!(pivot_root, c"/", c"/"), Err(EPERM));
        check_eq!(sys!(swapoff, c"/missing"), Err(EPERM));
        check_eq!(sys!(vhangup), Err(EPERM));
        check_eq!(sys!(reboot, 0, 0, 0, 0), Err(EPERM));
        check_eq!(sys!(acct, c"/missing"), Err(EPERM));
    });
});

case!(restart_syscall_out_of_context_is_eintr, [restart_syscall], {
    check_eq!(sys!(restart_syscall), Err(EINTR));
});
