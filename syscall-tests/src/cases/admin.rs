//! Calls of the administrator: reboot, vhangup, handles; and protection keys and kcmp.

use crate::support::prelude::*;

case!(reboot_wants_a_privilege_and_magic, [reboot], {
    const MAGIC: u32 = 0xfee1_dead;
    const MAGIC_2: u32 = 0x2812_1969;
    as_nobody(|| check_eq!(sys!(reboot, MAGIC, MAGIC_2, 0, NULL), Err(EPERM)));
    if can(22) {
        check_eq!(sys!(reboot, MAGIC, 1, 0, NULL), Err(EINVAL));
        check_eq!(sys!(reboot, 1, MAGIC_2, 0, NULL), Err(EINVAL));
        check_eq!(sys!(reboot, MAGIC, MAGIC_2, 0x7777_7777, NULL), Err(EINVAL));
    }
});

case!(vhangup_wants_a_privilege, [vhangup], {
    as_nobody(|| check_eq!(sys!(vhangup), Err(EPERM)));
    if can(26) {
        // In a session without a terminal there is nothing to hang up.
        fork(|| {
            sys!(setsid).must();
            check_eq!(sys!(vhangup), Ok(0));
        })
        .ok();
    }
});

case!(handles_are_for_the_privileged, [open_by_handle_at], {
    let mut handle = [0u32; 34];
    let result = sys!(open_by_handle_at, AT_FDCWD, &mut handle, O_RDONLY);
    check!(matches!(result, Err(EINVAL | ENOSYS)), "no bytes: {result:?}");
    handle[0] = 8;
    as_nobody(|| {
        let result = sys!(open_by_handle_at, AT_FDCWD, &mut handle, O_RDONLY);
        check!(matches!(result, Err(EPERM | ENOSYS)), "{result:?}");
    });
    let result = sys!(open_by_handle_at, AT_FDCWD, &mut handle, O_RDONLY);
    check!(result.is_err(), "a made-up handle leads nowhere: {result:?}");
});

case!(protection_keys, [pkey_alloc, pkey_free, pkey_mprotect], {
    let area = anon(PAGE);
    if let Err(ENOSYS) = sys!(pkey_alloc, 0, 0) {
        skip!("no protection keys");
    }
    check_eq!(sys!(pkey_alloc, 1, 0), Err(EINVAL), "flags");
    check_eq!(sys!(pkey_alloc, 0, 4), Err(EINVAL), "rights");
    check_eq!(sys!(pkey_free, 99), Err(EINVAL));
    check_eq!(sys!(pkey_mprotect, area, PAGE, PROT_READ, -1), Ok(0), "no key: plain mprotect");
    check_eq!(write_fault(area).map(|f| f.signal), Some(SIGSEGV));
    check_eq!(sys!(pkey_mprotect, area, PAGE, PROT_READ, 99), Err(EINVAL));
});

case!(kcmp_tells_what_is_shared, [kcmp], {
    const FILE: i32 = 0;
    const VM: i32 = 1;
    const FILES: i32 = 2;
    const SIGHAND: i32 = 4;
    let fd = open(c"f", O_RDWR | O_CREAT);
    let same = sys!(dup, fd).must();
    let other = open(c"f", O_RDWR);
    let own = getpid();
    match sys!(kcmp, own, own, FILE, fd, same) {
        Err(ENOSYS | EPERM) => skip!("no kcmp"),
        result => check_eq!(result, Ok(0)),
    }
    let order = sys!(kcmp, own, own, FILE, fd, other).must();
    check!(matches!(order, 1 | 2), "{order}");
    check_eq!(sys!(kcmp, own, own, FILE, other, fd), Ok(3 - order), "the other way round");
    let child = fork(|| sleep_ms(100_000));
    check_eq!(sys!(kcmp, own, child.pid, FILE, fd, fd), Ok(0), "inherited");
    for kind in [VM, FILES, SIGHAND] {
        check!(sys!(kcmp, own, child.pid, kind, 0, 0).must() != 0, "kind {kind}");
        check_eq!(sys!(kcmp, own, own, kind, 0, 0), Ok(0));
    }
    check_eq!(sys!(kcmp, own, own, 99, 0, 0), Err(EINVAL));
    check_eq!(sys!(kcmp, own, own, FILE, 999, fd), Err(EBADF));
    check_eq!(sys!(kcmp, own, i32::MAX, VM, 0, 0), Err(ESRCH));
    child.end();
});
