//! statfs, fstatfs, sync, syncfs, fsync, fdatasync, sync_file_range, fadvise64, readahead.

use crate::support::prelude::*;

case!(statfs_describes_the_file_system, [statfs, fstatfs], {
    let mut fs: statfs = zeroed();
    check_eq!(sys!(statfs, c".", &mut fs), Ok(0));
    check!(fs.f_bsize > 0 && fs.f_namelen == 255, "{} {}", fs.f_bsize, fs.f_namelen);
    check!(fs.f_bfree <= fs.f_blocks && fs.f_bavail <= fs.f_bfree);
    let mut same: statfs = zeroed();
    check_eq!(sys!(fstatfs, open(c".", O_RDONLY), &mut same), Ok(0));
    check_eq!((same.f_type, same.f_bsize), (fs.f_type, fs.f_bsize));
});

case!(statfs_magic_numbers, [statfs, fstatfs], {
    let mut fs: statfs = zeroed();
    sys!(statfs, c"/proc", &mut fs).must();
    check_eq!(fs.f_type, PROC_SUPER_MAGIC);
    sys!(statfs, c"/dev/shm", &mut fs).must();
    check_eq!(fs.f_type, TMPFS_MAGIC);
    let (r, _w) = pipe();
    sys!(fstatfs, r, &mut fs).must();
    check_eq!(fs.f_type, 0x5049_5045, "PIPEFS_MAGIC");
});

case!(statfs_errors, [statfs, fstatfs], {
    let mut fs: statfs = zeroed();
    check_eq!(sys!(statfs, c"missing", &mut fs), Err(ENOENT));
    check_eq!(sys!(statfs, BAD, &mut fs), Err(EFAULT));
    check_eq!(sys!(statfs, c".", BAD), Err(EFAULT));
    check_eq!(sys!(fstatfs, 99, &mut fs), Err(EBADF));
    check_eq!(sys!(fstatfs, open(c".", O_PATH), &mut fs), Ok(0));
});

case!(fsync_works_on_files_and_directories, [fsync, fdatasync], {
    create(c"f", b"abc");
    let fd = open(c"f", O_RDWR);
    check_eq!(sys!(fsync, fd), Ok(0));
    check_eq!(sys!(fdatasync, fd), Ok(0));
    check_eq!(sys!(fsync, open(c"f", O_RDONLY)), Ok(0));
    check_eq!(sys!(fsync, open(c".", O_RDONLY)), Ok(0));
    check_eq!(sys!(fsync, 99), Err(EBADF));
    check_eq!(sys!(fdatasync, 99), Err(EBADF));
    let (r, _w) = pipe();
    check_eq!(sys!(fsync, r), Err(EINVAL));
    check_eq!(sys!(fdatasync, r), Err(EINVAL));
});

case!(sync_never_fails, [sync], {
    create(c"f", b"abc");
    check_eq!(sys!(sync), Ok(0));
});

case!(syncfs_takes_any_descriptor, [syncfs], {
    check_eq!(sys!(syncfs, open(c"/proc/self/stat", O_RDONLY)), Ok(0));
    check_eq!(sys!(syncfs, 99), Err(EBADF));
});

case!(sync_file_range_checks_its_arguments, [sync_file_range], {
    create(c"f", b"abc");
    let fd = open(c"f", O_RDWR);
    check_eq!(sys!(sync_file_range, fd, 0, 0, SYNC_FILE_RANGE_WRITE), Ok(0));
    check_eq!(sys!(sync_file_range, fd, -1, 0, SYNC_FILE_RANGE_WRITE), Err(EINVAL));
    check_eq!(sys!(sync_file_range, fd, 0, 0, 0x100), Err(EINVAL));
    check_eq!(sys!(sync_file_range, 99, 0, 0, 0), Err(EBADF));
    let (r, _w) = pipe();
    check_eq!(sys!(sync_file_range, r, 0, 0, 0), Err(ESPIPE));
});

case!(fadvise_checks_its_arguments, [fadvise64], {
    create(c"f", b"abc");
    let fd = open(c"f", O_RDWR);
    for advice in 0..=5 {
        check_eq!(sys!(fadvise64, fd, 0, 0, advice), Ok(0));
    }
    check_eq!(sys!(fadvise64, fd, 0, 0, 6), Err(EINVAL));
    check_eq!(sys!(fadvise64, fd, 0, -1, 0), Err(EINVAL));
    check_eq!(sys!(fadvise64, 99, 0, 0, 0), Err(EBADF));
    let (r, _w) = pipe();
    check_eq!(sys!(fadvise64, r, 0, 0, 0), Err(ESPIPE));
});

case!(readahead_needs_a_readable_file, [readahead], {
    create(c"f", b"abc");
    check_eq!(sys!(readahead, open(c"f", O_RDONLY), 0, 4096), Ok(0));
    check_eq!(sys!(readahead, open(c"f", O_WRONLY), 0, 4096), Err(EBADF));
    let (r, _w) = pipe();
    check_eq!(sys!(readahead, r, 0, 4096), Err(EINVAL));
});
