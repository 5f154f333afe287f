//! Extended attributes: setxattr, getxattr, listxattr, removexattr and their l and f forms.

use crate::support::prelude::*;

/// Makes a file and skips the case if its file system has no user attributes.
fn file() {
    create(c"f", b"");
    if sys!(setxattr, c"f", c"user.probe", b"", 0, 0) == Err(EOPNOTSUPP) {
        skip!("the file system has no extended attributes");
    }
    sys!(removexattr, c"f", c"user.probe").must();
}

case!(set_and_get, [setxattr, getxattr], {
    file();
    check_eq!(sys!(setxattr, c"f", c"user.a", b"value", 5, 0), Ok(0));
    let mut buf = [0u8; 16];
    check_eq!(sys!(getxattr, c"f", c"user.a", &mut buf, 16), Ok(5));
    check_eq!(&buf[..5], b"value");
    check_eq!(sys!(getxattr, c"f", c"user.a", NULL, 0), Ok(5), "size 0 asks for the size");
    check_eq!(sys!(getxattr, c"f", c"user.a", &mut buf, 4), Err(ERANGE));
    check_eq!(sys!(getxattr, c"f", c"user.b", &mut buf, 16), Err(ENODATA));
});

case!(create_and_replace_flags, [setxattr], {
    file();
    check_eq!(sys!(setxattr, c"f", c"user.a", b"1", 1, XATTR_REPLACE), Err(ENODATA));
    check_eq!(sys!(setxattr, c"f", c"user.a", b"1", 1, XATTR_CREATE), Ok(0));
    check_eq!(sys!(setxattr, c"f", c"user.a", b"2", 1, XATTR_CREATE), Err(EEXIST));
    check_eq!(sys!(setxattr, c"f", c"user.a", b"2", 1, XATTR_REPLACE), Ok(0));
    check_eq!(sys!(setxattr, c"f", c"user.a", b"2", 1, 4), Err(EINVAL));
});

case!(list_and_remove, [listxattr, removexattr, flistxattr, fremovexattr], {
    file();
    sys!(setxattr, c"f", c"user.a", b"1", 1, 0).must();
    sys!(setxattr, c"f", c"user.bb", b"2", 1, 0).must();
    let mut buf = [0u8; 256];
    let len = sys!(listxattr, c"f", &mut buf, 256).must() as usize;
    let names: Vec<_> = buf[..len].split(|b| *b == 0).filter(|n| n.starts_with(b"user.")).collect();
    check_eq!(names.len(), 2);
    check!(names.contains(&&b"user.a"[..]) && names.contains(&&b"user.bb"[..]));
    check_eq!(sys!(listxattr, c"f", NULL, 0), Ok(len as i64));
    check_eq!(sys!(listxattr, c"f", &mut buf, 3), Err(ERANGE));
    check_eq!(sys!(removexattr, c"f", c"user.a"), Ok(0));
    check_eq!(sys!(removexattr, c"f", c"user.a"), Err(ENODATA));
    let fd = open(c"f", O_RDONLY);
    check_eq!(sys!(fremovexattr, fd, c"user.bb"), Ok(0));
    let left = sys!(flistxattr, fd, &mut buf, 256).must() as usize;
    check!(!buf[..left].windows(5).any(|w| w == b"user."));
});

case!(through_a_descriptor, [fsetxattr, fgetxattr], {
    file();
    let fd = open(c"f", O_RDONLY);
    check_eq!(sys!(fsetxattr, fd, c"user.a", b"v", 1, 0), Ok(0));
    let mut buf = [0u8; 4];
    check_eq!(sys!(fgetxattr, fd, c"user.a", &mut buf, 4), Ok(1));
    check_eq!(sys!(fgetxattr, 99, c"user.a", &mut buf, 4), Err(EBADF));
    check_eq!(sys!(fsetxattr, open(c"f", O_PATH), c"user.a", b"v", 1, 0), Err(EBADF));
});

case!(symlinks_have_no_user_attributes, [lsetxattr, lgetxattr, llistxattr, lremovexattr], {
    file();
    sys!(symlink, c"f", c"s").must();
    check_eq!(sys!(lsetxattr, c"s", c"user.a", b"v", 1, 0), Err(EPERM));
    check_eq!(sys!(setxattr, c"s", c"user.a", b"v", 1, 0), Ok(0), "on the target");
    let mut buf = [0u8; 64];
    let result = sys!(lgetxattr, c"s", c"user.a", &mut buf, 64);
    check!(matches!(result, Err(ENODATA | EPERM)), "{result:?}");
    check_eq!(sys!(lgetxattr, c"f", c"user.a", &mut buf, 64), Ok(1));
    check!(sys!(llistxattr, c"f", &mut buf, 64).must() >= 7);
    check_eq!(sys!(lremovexattr, c"f", c"user.a"), Ok(0));
});

case!(name_and_size_limits, [setxattr, getxattr], {
    file();
    let mut buf = [0u8; 4];
    check_eq!(sys!(setxattr, c"f", c"noprefix", b"v", 1, 0), Err(EOPNOTSUPP));
    check_eq!(sys!(getxattr, c"f", c"noprefix", &mut buf, 4), Err(EOPNOTSUPP));
    check_eq!(sys!(setxattr, c"f", c"", b"v", 1, 0), Err(ERANGE));
    let long = cstr(&format!("user.{}", "n".repeat(251)));
    check_eq!(sys!(setxattr, c"f", long.as_c_str(), b"v", 1, 0), Err(ERANGE));
    let big = vec![1u8; 65537];
    check_eq!(sys!(setxattr, c"f", c"user.a", &big[..], 65537, 0), Err(E2BIG));
});

case!(bad_pointers, [setxattr, getxattr, listxattr, removexattr], {
    file();
    sys!(setxattr, c"f", c"user.a", b"v", 1, 0).must();
    check_eq!(sys!(setxattr, BAD, c"user.a", b"v", 1, 0), Err(EFAULT));
    check_eq!(sys!(setxattr, c"f", BAD, b"v", 1, 0), Err(EFAULT));
    check_eq!(sys!(setxattr, c"f", c"user.a", BAD, 1, 0), Err(EFAULT));
    check_eq!(sys!(getxattr, c"f", c"user.a", BAD, 4), Err(EFAULT));
    check_eq!(sys!(listxattr, c"f", BAD, 64), Err(EFAULT));
    check_eq!(sys!(removexattr, c"f", BAD), Err(EFAULT));
    check_eq!(sys!(getxattr, c"missing", c"user.a", NULL, 0), Err(ENOENT));
});

case!(user_attributes_follow_file_permission, [setxattr, getxattr], {
    need_root();
    file();
    sys!(setxattr, c"f", c"user.a", b"v", 1, 0).must();
    sys!(chmod, c"f", 0o604).must();
    as_nobody(|| {
        let mut buf = [0u8; 4];
        check_eq!(sys!(getxattr, c"f", c"user.a", &mut buf, 4), Ok(1));
        check_eq!(sys!(setxattr, c"f", c"user.a", b"v", 1, 0), Err(EACCES));
    });
});
