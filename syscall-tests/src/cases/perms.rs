//! chmod, fchmod, fchmodat, fchmodat2, chown, fchown, lchown, fchownat.

use crate::support::prelude::*;

fn mode(path: &std::ffi::CStr) -> u32 {
    stat(path).st_mode & 0o7777
}

case!(chmod_sets_all_twelve_bits, [chmod, fchmod, fchmodat], {
    create(c"f", b"");
    check_eq!(sys!(chmod, c"f", 0o7654), Ok(0));
    check_eq!(mode(c"f"), 0o7654);
    check_eq!(sys!(fchmod, open(c"f", O_RDONLY), 0o600), Ok(0));
    check_eq!(mode(c"f"), 0o600);
    check_eq!(sys!(fchmodat, AT_FDCWD, c"f", 0o640), Ok(0));
    check_eq!(mode(c"f"), 0o640);
    check_eq!(sys!(chmod, c"f", 0o177777), Ok(0), "other bits are ignored");
    check_eq!(stat(c"f").st_mode, S_IFREG | 0o7777);
});

case!(chmod_follows_symlinks, [chmod, fchmodat2], {
    create(c"f", b"");
    sys!(symlink, c"f", c"s").must();
    check_eq!(sys!(chmod, c"s", 0o600), Ok(0));
    check_eq!(mode(c"f"), 0o600);
    let result = sys!(fchmodat2, AT_FDCWD, c"s", 0o644, AT_SYMLINK_NOFOLLOW);
    if result == Err(ENOSYS) {
        skip!("no fchmodat2 before Linux 6.6");
    }
    check_eq!(result, Err(EOPNOTSUPP), "the mode of a symlink cannot change");
    check_eq!(sys!(fchmodat2, AT_FDCWD, c"s", 0o644, 0), Ok(0));
    check_eq!(sys!(fchmodat2, open(c"f", O_PATH), c"", 0o611, AT_EMPTY_PATH), Ok(0));
    check_eq!(mode(c"f"), 0o611);
    check_eq!(sys!(fchmodat2, AT_FDCWD, c"f", 0o644, 0x8000), Err(EINVAL));
});

case!(chmod_errors, [chmod, fchmod, fchmodat], {
    check_eq!(sys!(chmod, c"missing", 0o600), Err(ENOENT));
    check_eq!(sys!(chmod, BAD, 0o600), Err(EFAULT));
    check_eq!(sys!(fchmod, 99, 0o600), Err(EBADF));
    check_eq!(sys!(fchmodat, 99, c"x", 0o600), Err(EBADF));
    check_eq!(sys!(fchmod, open(c".", O_PATH), 0o600), Err(EBADF));
});

case!(chmod_is_for_the_owner, [chmod], {
    need_root();
    create(c"f", b"");
    sys!(chmod, c"f", 0o666).must();
    as_nobody(|| check_eq!(sys!(chmod, c"f", 0o600), Err(EPERM)));
});

case!(chmod_drops_setgid_of_a_foreign_group, [chmod, chown], {
    need_root();
    create(c"f", b"");
    sys!(chown, c"f", NOBODY_ID, 1234).must();
    as_nobody(|| {
        check_eq!(sys!(chmod, c"f", 0o2755), Ok(0));
        check_eq!(mode(c"f"), 0o755);
    });
});

const NOBODY_ID: u32 = 65534;

case!(chown_sets_owner_and_group, [chown, fchown, lchown, fchownat], {
    need_root();
    create(c"f", b"");
    let ids = || (stat(c"f").st_uid, stat(c"f").st_gid);
    check_eq!(sys!(chown, c"f", 10, 20), Ok(0));
    check_eq!(ids(), (10, 20));
    check_eq!(sys!(chown, c"f", -1, 30), Ok(0));
    check_eq!(ids(), (10, 30));
    check_eq!(sys!(fchown, open(c"f", O_RDONLY), 11, -1), Ok(0));
    check_eq!(ids(), (11, 30));
    check_eq!(sys!(lchown, c"f", 12, 31), Ok(0));
    check_eq!(sys!(fchownat, AT_FDCWD, c"f", 13, 32, 0), Ok(0));
    check_eq!(ids(), (13, 32));
    check_eq!(sys!(fchownat, open(c"f", O_PATH), c"", 14, 33, AT_EMPTY_PATH), Ok(0));
    check_eq!(ids(), (14, 33));
});

case!(lchown_changes_the_link, [lchown, chown, fchownat], {
    need_root();
    create(c"f", b"");
    sys!(symlink, c"f", c"s").must();
    sys!(lchown, c"s", 10, 20).must();
    check_eq!(stat(c"f").st_uid, 0);
    let mut st: stat = zeroed();
    sys!(lstat, c"s", &mut st).must();
    check_eq!((st.st_uid, st.st_gid), (10, 20));
    sys!(fchownat, AT_FDCWD, c"s", 11, 21, AT_SYMLINK_NOFOLLOW).must();
    check_eq!(stat(c"f").st_uid, 0);
    sys!(chown, c"s", 12, 22).must();
    check_eq!(stat(c"f").st_uid, 12);
});

case!(chown_clears_setuid_and_setgid, [chown], {
    need_root();
    create(c"f", b"");
    sys!(chmod, c"f", 0o6755).must();
    sys!(chown, c"f", 10, 20).must();
    check_eq!(mode(c"f"), 0o755);
    sys!(chmod, c"f", 0o2745).must();
    sys!(chown, c"f", 10, 20).must();
    check_eq!(mode(c"f"), 0o2745, "setgid without group x is a mark for locking: it stays");
});

case!(write_by_another_user_clears_setuid, [write], {
    need_root();
    create(c"f", b"abc");
    sys!(chmod, c"f", 0o4777).must();
    as_nobody(|| {
        let fd = open(c"f", O_WRONLY);
        check_eq!(sys!(write, fd, b"x", 1), Ok(1));
    });
    check_eq!(mode(c"f"), 0o777);
});

case!(chown_rules_for_ordinary_users, [chown], {
    need_root();
    create(c"f", b"");
    sys!(chown, c"f", 1000, 2000).must();
    fork(|| {
        sys!(setgroups, 1, &[2001u32]).must();
        sys!(setresgid, 2000, 2000, 2000).must();
        sys!(setresuid, 1000, 1000, 1000).must();
        check_eq!(sys!(chown, c"f", 1001, -1), Err(EPERM));
        check_eq!(sys!(chown, c"f", -1, 3000), Err(EPERM), "not in that group");
        check_eq!(sys!(chown, c"f", -1, 2001), Ok(0), "a supplementary group");
        check_eq!(sys!(chown, c"f", 1000, -1), Ok(0), "to oneself");
    })
    .ok();
    as_nobody(|| check_eq!(sys!(chown, c"f", NOBODY_ID, -1), Err(EPERM)));
});

case!(chown_errors, [chown, fchown, fchownat, lchown], {
    check_eq!(sys!(chown, c"missing", -1, -1), Err(ENOENT));
    check_eq!(sys!(chown, BAD, -1, -1), Err(EFAULT));
    check_eq!(sys!(lchown, c"missing", -1, -1), Err(ENOENT));
    check_eq!(sys!(fchown, 99, -1, -1), Err(EBADF));
    check_eq!(sys!(fchownat, AT_FDCWD, c".", -1, -1, 0x8000), Err(EINVAL));
    check_eq!(sys!(fchownat, 99, c"x", -1, -1, 0), Err(EBADF));
    check_eq!(sys!(chown, c".", -1, -1), Ok(0));
});
