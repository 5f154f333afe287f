//! Calls that belong to no family: mounts and namespaces, rseq, handles, keys.

use crate::support::prelude::*;

case!(mount_and_unmount_a_tmpfs, [mount, umount2], {
    need_cap("CAP_SYS_ADMIN", 21);
    if let Err(errno) = sys!(unshare, CLONE_NEWNS) {
        skip!("no mount namespace: {errno:?}");
    }
    sys!(mount, c"none", c"/", NULL, MS_REC | MS_PRIVATE, NULL).must();
    sys!(mkdir, c"m", 0o755).must();
    create(c"m/below", b"");
    check_eq!(sys!(mount, c"none", c"m", c"tmpfs", 0, c"size=64k,mode=0711"), Ok(0));
    check_eq!(stat(c"m").st_mode & 0o777, 0o711);
    check_eq!(sys!(stat, c"m/below", &mut zeroed::<stat>()), Err(ENOENT), "covered");
    create(c"m/f", b"x");
    check_eq!(sys!(rmdir, c"m"), Err(EBUSY));
    check_eq!(sys!(rename, c"m/f", c"f"), Err(EXDEV));
    let fd = open(c"m/f", O_RDONLY);
    check_eq!(sys!(umount2, c"m", 0), Err(EBUSY), "a file is open");
    sys!(close, fd).must();
    check_eq!(sys!(umount2, c"m", 0), Ok(0));
    check_eq!(content(c"m/below"), b"");
    check_eq!(sys!(umount2, c"m", 0), Err(EINVAL), "not a mount point");
});

case!(bind_and_read_only_mounts, [mount, umount2], {
    need_cap("CAP_SYS_ADMIN", 21);
    if let Err(errno) = sys!(unshare, CLONE_NEWNS) {
        skip!("no mount namespace: {errno:?}");
    }
    sys!(mount, c"none", c"/", NULL, MS_REC | MS_PRIVATE, NULL).must();
    sys!(mkdir, c"a", 0o755).must();
    sys!(mkdir, c"b", 0o755).must();
    create(c"a/f", b"abc");
    sys!(mount, c"a", c"b", NULL, MS_BIND, NULL).must();
    check_eq!(content(c"b/f"), b"abc");
    sys!(mount, NULL, c"b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL).must();
    check_eq!(sys!(open, c"b/f", O_RDWR, 0), Err(EROFS));
    check_eq!(sys!(mkdir, c"b/d", 0o755), Err(EROFS));
    check_eq!(sys!(unlink, c"b/f"), Err(EROFS));
    check_eq!(sys!(chmod, c"b/f", 0o600), Err(EROFS));
    check!(sys!(open, c"a/f", O_RDWR, 0).is_ok());
    check_eq!(sys!(umount2, c"b", MNT_DETACH), Ok(0));
});

case!(mount_errors, [mount, umount2], {
    need_cap("CAP_SYS_ADMIN", 21);
    if let Err(errno) = sys!(unshare, CLONE_NEWNS) {
        skip!("no mount namespace: {errno:?}");
    }
    sys!(mkdir, c"m", 0o755).must();
    check_eq!(sys!(mount, c"none", c"m", c"no-such-type", 0, NULL), Err(ENODEV));
    check_eq!(sys!(mount, c"none", c"missing", c"tmpfs", 0, NULL), Err(ENOENT));
    check_eq!(sys!(mount, c"none", BAD, c"tmpfs", 0, NULL), Err(EFAULT));
    check_eq!(sys!(umount2, c"missing", 0), Err(ENOENT));
    check_eq!(sys!(umount2, c"m", 0x100), Err(EINVAL));
    check_eq!(sys!(umount2, BAD, 0), Err(EFAULT));
});

case!(pivot_root_swaps_the_root, [pivot_root, unshare, umount2], {
    need_cap("CAP_SYS_ADMIN", 21);
    if let Err(errno) = sys!(unshare, CLONE_NEWNS) {
        skip!("no mount namespace: {errno:?}");
    }
    sys!(mount, c"none", c"/", NULL, MS_REC | MS_PRIVATE, NULL).must();
    sys!(mkdir, c"m", 0o755).must();
    sys!(mkdir, c"d", 0o755).must();
    check_eq!(sys!(pivot_root, c"d", c"d"), Err(EBUSY), "on the current root's mount");
    sys!(mount, c"none", c"m", c"tmpfs", 0, NULL).must();
    sys!(mkdir, c"m/old", 0o755).must();
    create(c"m/new", b"");
    check_eq!(sys!(pivot_root, c"m", c"d"), Err(EBUSY));
    sys!(chdir, c"m").must();
    check_eq!(sys!(pivot_root, c".", c"old"), Ok(0));
    check!(sys!(stat, c"/new", &mut zeroed::<stat>()).is_ok());
    check!(sys!(stat, c"/old/proc", &mut zeroed::<stat>()).is_ok());
    check_eq!(sys!(stat, c"/proc", &mut zeroed::<stat>()), Err(ENOENT));
    check_eq!(sys!(umount2, c"/old", MNT_DETACH), Ok(0));
    check_eq!(sys!(stat, c"/old/proc", &mut zeroed::<stat>()), Err(ENOENT));
    as_nobody(|| check_eq!(sys!(pivot_root, c"/", c"/old"), Err(EPERM)));
});

case!(unshare_files_and_fs, [unshare], {
    let fd = open(c"f", O_RDWR | O_CREAT);
    sys!(mkdir, c"d", 0o755).must();
    spawn(move || {
        check_eq!(sys!(unshare, CLONE_FILES | CLONE_FS), Ok(0));
        sys!(close, fd).must();
        sys!(chdir, c"d").must();
    })
    .join()
    .ok()
    .must();
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(0));
    check!(sys!(stat, c"d", &mut zeroed::<stat>()).is_ok());
    check_eq!(sys!(unshare, 0), Ok(0));
    check_eq!(sys!(unshare, 1), Err(EINVAL));
});

case!(rseq_registration, [rseq], {
    // The C library has registered the thread; a second area is refused.
    #[repr(C, align(32))]
    #[derive(Clone, Copy)]
    struct Rseq([u32; 8]);
    let mut area = Rseq([0; 8]);
    let result = sys!(rseq, &mut area, 32, 0, 0x5305_3053);
    check!(matches!(result, Err(EINVAL | EPERM | EBUSY | ENOSYS) | Ok(0)), "{result:?}");
    check!(matches!(sys!(rseq, &mut area, 31, 0, 1), Err(EINVAL | EPERM | ENOSYS)));
});

case!(file_handles, [name_to_handle_at, open_by_handle_at], {
    create(c"f", b"");
    let mut mount = 0i32;
    let mut handle = [0u32; 34];
    let result = sys!(name_to_handle_at, AT_FDCWD, c"f", &mut handle, &mut mount, 0);
    check!(matches!(result, Err(EOVERFLOW | EOPNOTSUPP | ENOSYS)), "no room: {result:?}");
    if result == Err(EOVERFLOW) {
        check!((1..=128).contains(&handle[0]), "needs {}", handle[0]);
    }
    check_eq!(
        sys!(name_to_handle_at, AT_FDCWD, c"missing", &mut handle, &mut mount, 0)
            .err()
            .filter(|e| *e != ENOSYS)
            .unwrap_or(ENOENT),
        ENOENT
    );
    as_nobody(|| {
        check_eq!(sys!(open_by_handle_at, AT_FDCWD, &mut handle, O_RDONLY), Err(EPERM));
    });
});

case!(file_handles_tell_files_apart, [name_to_handle_at], {
    let handle_of = |name: &std::ffi::CStr| {
        let (mut mount, mut handle) = (0i32, [0u32; 34]);
        handle[0] = 128;
        let result = sys!(name_to_handle_at, AT_FDCWD, name, &mut handle, &mut mount, 0);
        result.map(|_| (mount, handle))
    };
    create(c"f", b"");
    create(c"g", b"");
    sys!(link, c"f", c"h").must();
    let Ok((mount, handle)) = handle_of(c"f") else { skip!("no handles here") };
    check!(mount > 0);
    check_eq!(handle_of(c"h"), Ok((mount, handle)));
    check!(handle_of(c"g") != Ok((mount, handle)));
    let mut too_large = [0u32; 34];
    too_large[0] = 129;
    let result = sys!(name_to_handle_at, AT_FDCWD, c"f", &mut too_large, NULL, 0);
    check_eq!(result, Err(EINVAL));
});

case!(kernel_log_is_not_for_everyone, [syslog], {
    as_nobody(|| {
        let result = sys!(syslog, 5, NULL, 0);
        check!(matches!(result, Err(EPERM)), "clearing the log: {result:?}");
    });
    check_eq!(sys!(syslog, 99, NULL, 0).err().is_some(), true);
});
