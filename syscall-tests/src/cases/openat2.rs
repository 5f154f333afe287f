//! openat2 and its ways to resolve a path.

use crate::support::prelude::*;

/// The kernel's `struct open_how`.
#[repr(C)]
#[derive(Clone, Copy)]
struct How {
    flags: u64,
    mode: u64,
    resolve: u64,
}

fn how(flags: i32, resolve: u64) -> How {
    How { flags: flags as u64, mode: 0, resolve }
}

const NO_XDEV: u64 = 1;
const NO_MAGICLINKS: u64 = 2;
const NO_SYMLINKS: u64 = 4;
const BENEATH: u64 = 8;
const IN_ROOT: u64 = 16;
const CACHED: u64 = 32;

fn resolve(path: &std::ffi::CStr, resolve: u64) -> Result<i64, Errno> {
    sys!(openat2, AT_FDCWD, path, &how(O_RDONLY, resolve), 24)
}

case!(opens_like_openat, [openat2], {
    let create = How { flags: (O_RDWR | O_CREAT) as u64, mode: 0o600, resolve: 0 };
    let fd = sys!(openat2, AT_FDCWD, c"f", &create, 24).must() as i32;
    check_eq!(fstat(fd).st_mode & 0o777, 0o600);
    check!(resolve(c"f", 0).is_ok());
    check_eq!(resolve(c"missing", 0), Err(ENOENT));
});

case!(arguments_are_strict, [openat2], {
    create(c"f", b"");
    check_eq!(sys!(openat2, AT_FDCWD, c"f", &how(0x4000_0000, 0), 24), Err(EINVAL));
    check_eq!(sys!(openat2, AT_FDCWD, c"f", &how(0, 0x100), 24), Err(EINVAL));
    let mode = How { flags: 0, mode: 0o600, resolve: 0 };
    check_eq!(sys!(openat2, AT_FDCWD, c"f", &mode, 24), Err(EINVAL), "a mode without O_CREAT");
    let mode = How { flags: (O_CREAT | O_RDWR) as u64, mode: 0o17777, resolve: 0 };
    check_eq!(sys!(openat2, AT_FDCWD, c"f", &mode, 24), Err(EINVAL));
    let path = how(O_PATH | O_RDWR, 0);
    check_eq!(sys!(openat2, AT_FDCWD, c"f", &path, 24), Err(EINVAL));
    check_eq!(resolve(c"f", BENEATH | IN_ROOT), Err(EINVAL));
});

case!(structure_size_is_checked, [openat2], {
    create(c"f", b"");
    let mut large = [0u64; 8];
    check_eq!(sys!(openat2, AT_FDCWD, c"f", &large, 23), Err(EINVAL));
    check!(sys!(openat2, AT_FDCWD, c"f", &large, 64).is_ok(), "zeros beyond what is known");
    large[5] = 1;
    check_eq!(sys!(openat2, AT_FDCWD, c"f", &large, 64), Err(E2BIG));
    check_eq!(sys!(openat2, AT_FDCWD, c"f", BAD, 24), Err(EFAULT));
    check_eq!(sys!(openat2, AT_FDCWD, BAD, &large, 24), Err(EFAULT));
});

case!(beneath_keeps_inside, [openat2], {
    sys!(mkdir, c"d", 0o755).must();
    create(c"d/f", b"");
    create(c"f", b"");
    sys!(symlink, c"../f", c"d/out").must();
    sys!(symlink, c"f", c"d/in").must();
    sys!(symlink, c"/etc", c"d/abs").must();
    let dir = open(c"d", O_RDONLY);
    let at = |path: &std::ffi::CStr| sys!(openat2, dir, path, &how(O_RDONLY, BENEATH), 24);
    check!(at(c"f").is_ok() && at(c"in").is_ok() && at(c"./../d/f").is_err());
    check_eq!(at(c"../f"), Err(EXDEV));
    check_eq!(at(c"out"), Err(EXDEV));
    check_eq!(at(c"abs"), Err(EXDEV));
    check_eq!(at(c"/etc"), Err(EXDEV));
});

case!(in_root_treats_the_directory_as_root, [openat2], {
    sys!(mkdir, c"d", 0o755).must();
    create(c"d/f", b"inside");
    sys!(symlink, c"/f", c"d/abs").must();
    let dir = open(c"d", O_RDONLY);
    let at = |path: &std::ffi::CStr| sys!(openat2, dir, path, &how(O_RDONLY, IN_ROOT), 24);
    check_eq!(read_all(at(c"/f").must() as i32), b"inside");
    check_eq!(read_all(at(c"abs").must() as i32), b"inside");
    check_eq!(read_all(at(c"../../f").must() as i32), b"inside");
});

case!(no_symlinks, [openat2], {
    sys!(mkdir, c"d", 0o755).must();
    create(c"d/f", b"");
    sys!(symlink, c"d", c"s").must();
    check!(resolve(c"s/f", 0).is_ok());
    check_eq!(resolve(c"s/f", NO_SYMLINKS), Err(ELOOP));
    check_eq!(resolve(c"s", NO_SYMLINKS), Err(ELOOP));
    check!(resolve(c"d/f", NO_SYMLINKS).is_ok());
});

case!(no_magic_links, [openat2], {
    create(c"f", b"");
    let fd = open(c"f", O_RDONLY);
    let link = cstr(&format!("/proc/self/fd/{fd}"));
    check!(resolve(link.as_c_str(), 0).is_ok());
    check_eq!(resolve(link.as_c_str(), NO_MAGICLINKS), Err(ELOOP));
    sys!(symlink, c"f", c"s").must();
    check!(resolve(c"s", NO_MAGICLINKS).is_ok(), "ordinary symlinks are fine");
});

case!(no_xdev, [openat2], {
    check_eq!(resolve(c"/proc/self/stat", NO_XDEV), Err(EXDEV));
    create(c"f", b"");
    check!(resolve(c"f", NO_XDEV).is_ok());
});

case!(cached_may_say_try_again, [openat2], {
    create(c"f", b"");
    let result = resolve(c"f", CACHED);
    check!(matches!(result, Ok(_) | Err(EAGAIN)), "{result:?}");
    let create = How { flags: (O_RDWR | O_CREAT) as u64, mode: 0o600, resolve: CACHED };
    check_eq!(sys!(openat2, AT_FDCWD, c"g", &create, 24), Err(EAGAIN));
});
