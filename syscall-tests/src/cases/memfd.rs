//! memfd_create and seals.

use crate::support::prelude::*;

fn memfd(flags: u32) -> i32 {
    sys!(memfd_create, c"case", flags).must() as i32
}

fn seal(fd: i32, seals: i32) -> Result<i64, Errno> {
    sys!(fcntl, fd, F_ADD_SEALS, seals)
}

case!(is_a_file_without_a_name, [memfd_create, read, write, mmap], {
    let fd = memfd(MFD_CLOEXEC);
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(1));
    check_eq!(sys!(write, fd, b"hello", 5), Ok(5));
    check_eq!((fstat(fd).st_size, fstat(fd).st_nlink), (5, 0));
    let area = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    poke(area, b'J');
    let mut buf = [0u8; 5];
    sys!(pread64, fd, &mut buf, 5, 0).must();
    check_eq!(&buf, b"Jello");
    let link = cstr(&format!("/proc/self/fd/{fd}"));
    let mut name = [0u8; 64];
    let len = sys!(readlink, link.as_c_str(), &mut name, 64).must() as usize;
    check_eq!(&name[..len], b"/memfd:case (deleted)");
});

case!(errors, [memfd_create], {
    check_eq!(sys!(memfd_create, BAD, 0), Err(EFAULT));
    check_eq!(sys!(memfd_create, c"x", 0x100), Err(EINVAL));
    check_eq!(sys!(memfd_create, cstr(&"n".repeat(250)).as_c_str(), 0), Err(EINVAL));
    check!(sys!(memfd_create, cstr(&"n".repeat(249)).as_c_str(), 0).is_ok());
    check!(sys!(memfd_create, c"", 0).is_ok());
});

case!(sealing_must_be_allowed, [fcntl], {
    let fd = memfd(0);
    check_eq!(sys!(fcntl, fd, F_GET_SEALS), Ok(i64::from(F_SEAL_SEAL)));
    check_eq!(seal(fd, F_SEAL_WRITE), Err(EPERM));
    let fd = memfd(MFD_ALLOW_SEALING);
    check_eq!(sys!(fcntl, fd, F_GET_SEALS), Ok(0));
    check_eq!(seal(fd, 0x1000), Err(EINVAL));
    check_eq!(sys!(fcntl, open(c"f", O_RDWR | O_CREAT), F_GET_SEALS).err().is_some(), true);
});

case!(write_seal, [fcntl, write, mmap], {
    let fd = memfd(MFD_ALLOW_SEALING);
    sys!(write, fd, b"hello", 5).must();
    let area = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check_eq!(seal(fd, F_SEAL_WRITE), Err(EBUSY), "a writable mapping");
    sys!(munmap, area, PAGE).must();
    check_eq!(seal(fd, F_SEAL_WRITE), Ok(0));
    check_eq!(sys!(pwrite64, fd, b"x", 1, 0), Err(EPERM));
    let shared = sys!(mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check_eq!(shared, Err(EPERM));
    check!(sys!(mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0).is_ok());
    check!(sys!(mmap, 0, PAGE, PROT_READ, MAP_SHARED, fd, 0).is_ok());
    check_eq!(sys!(ftruncate, fd, 100), Ok(0), "growing is another seal");
});

case!(shrink_and_grow_seals, [fcntl, ftruncate], {
    let fd = memfd(MFD_ALLOW_SEALING);
    sys!(ftruncate, fd, 100).must();
    seal(fd, F_SEAL_SHRINK).must();
    check_eq!(sys!(ftruncate, fd, 99), Err(EPERM));
    check_eq!(sys!(ftruncate, fd, 101), Ok(0));
    seal(fd, F_SEAL_GROW).must();
    check_eq!(sys!(ftruncate, fd, 102), Err(EPERM));
    check_eq!(sys!(pwrite64, fd, b"x", 1, 101), Err(EPERM));
    check_eq!(sys!(pwrite64, fd, b"x", 1, 50), Ok(1));
    check_eq!(sys!(fcntl, fd, F_GET_SEALS), Ok(i64::from(F_SEAL_SHRINK | F_SEAL_GROW)));
});

case!(seal_seal_ends_sealing, [fcntl], {
    let fd = memfd(MFD_ALLOW_SEALING);
    seal(fd, F_SEAL_SEAL).must();
    check_eq!(seal(fd, F_SEAL_WRITE), Err(EPERM));
});

case!(future_write_seal_keeps_old_mappings, [fcntl, mmap], {
    let fd = memfd(MFD_ALLOW_SEALING);
    sys!(ftruncate, fd, PAGE).must();
    let area = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check_eq!(seal(fd, F_SEAL_FUTURE_WRITE), Ok(0));
    poke(area, 1u8);
    check_eq!(sys!(pwrite64, fd, b"x", 1, 0), Err(EPERM));
});
