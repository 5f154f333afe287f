//! access, faccessat, faccessat2.

use crate::support::prelude::*;

case!(existence_and_modes, [access], {
    create(c"f", b"");
    check_eq!(sys!(access, c"f", F_OK), Ok(0));
    check_eq!(sys!(access, c"f", R_OK | W_OK), Ok(0));
    check_eq!(sys!(access, c"f", X_OK), Err(EACCES), "even root needs one x bit");
    sys!(chmod, c"f", 0o100).must();
    check_eq!(sys!(access, c"f", X_OK), Ok(0));
    check_eq!(sys!(access, c"missing", F_OK), Err(ENOENT));
    check_eq!(sys!(access, c"f/x", F_OK), Err(ENOTDIR));
    check_eq!(sys!(access, c"f", 8), Err(EINVAL));
    check_eq!(sys!(access, c"f", -1), Err(EINVAL));
    check_eq!(sys!(access, BAD, F_OK), Err(EFAULT));
});

case!(follows_symlinks, [access, faccessat2], {
    sys!(symlink, c"missing", c"link").must();
    check_eq!(sys!(access, c"link", F_OK), Err(ENOENT));
    check_eq!(sys!(faccessat2, AT_FDCWD, c"link", F_OK, AT_SYMLINK_NOFOLLOW), Ok(0));
});

case!(ordinary_users_are_checked, [access], {
    need_root();
    create(c"f", b"");
    sys!(chmod, c"f", 0o640).must();
    as_nobody(|| {
        check_eq!(sys!(access, c"f", F_OK), Ok(0));
        check_eq!(sys!(access, c"f", R_OK), Err(EACCES));
        check_eq!(sys!(access, c"f", W_OK), Err(EACCES));
    });
});

case!(real_ids_count_unless_at_eaccess, [access, faccessat, faccessat2], {
    need_root();
    create(c"f", b"");
    sys!(chmod, c"f", 0o600).must();
    sys!(setresuid, 65534, -1, -1).must();
    check_eq!(sys!(access, c"f", R_OK), Err(EACCES));
    check_eq!(sys!(faccessat, AT_FDCWD, c"f", R_OK), Err(EACCES));
    check_eq!(sys!(faccessat2, AT_FDCWD, c"f", R_OK, 0), Err(EACCES));
    check_eq!(sys!(faccessat2, AT_FDCWD, c"f", R_OK, AT_EACCESS), Ok(0));
});

case!(relative_to_a_directory, [faccessat, faccessat2], {
    sys!(mkdir, c"d", 0o755).must();
    create(c"d/f", b"");
    let dir = open(c"d", O_RDONLY);
    check_eq!(sys!(faccessat, dir, c"f", R_OK), Ok(0));
    check_eq!(sys!(faccessat2, dir, c"f", R_OK, 0), Ok(0));
    check_eq!(sys!(faccessat, 99, c"f", R_OK), Err(EBADF));
    check_eq!(sys!(faccessat2, dir, c"", R_OK, 0), Err(ENOENT));
    check_eq!(sys!(faccessat2, dir, c"", R_OK, AT_EMPTY_PATH), Ok(0));
    check_eq!(sys!(faccessat2, dir, c"f", R_OK, 0x8000), Err(EINVAL));
});
