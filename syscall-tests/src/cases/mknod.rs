//! mknod, mknodat and fifos.

use crate::support::prelude::*;

case!(makes_files_fifos_and_sockets, [mknod, mknodat], {
    sys!(umask, 0o022).must();
    check_eq!(sys!(mknod, c"file", 0o666, 0), Ok(0), "no type means a regular file");
    check_eq!(stat(c"file").st_mode, S_IFREG | 0o644);
    check_eq!(sys!(mknodat, AT_FDCWD, c"fifo", S_IFIFO | 0o600, 0), Ok(0));
    check_eq!(stat(c"fifo").st_mode, S_IFIFO | 0o600);
    check_eq!(sys!(mknod, c"socket", S_IFSOCK | 0o600, 0), Ok(0));
    check_eq!(sys!(open, c"socket", O_RDONLY, 0), Err(ENXIO));
});

case!(errors, [mknod, mknodat], {
    create(c"f", b"");
    check_eq!(sys!(mknod, c"f", S_IFIFO | 0o600, 0), Err(EEXIST));
    check_eq!(sys!(mknod, c"missing/x", S_IFIFO, 0), Err(ENOENT));
    check_eq!(sys!(mknod, c"x", S_IFDIR | 0o755, 0), Err(EPERM));
    check_eq!(sys!(mknod, c"x", 0o170000, 0), Err(EINVAL));
    check_eq!(sys!(mknod, BAD, S_IFIFO, 0), Err(EFAULT));
    check_eq!(sys!(mknodat, 99, c"x", S_IFIFO, 0), Err(EBADF));
    as_nobody(|| {
        let result = sys!(mknod, c"dev", S_IFCHR | 0o666, makedev(1, 3));
        check!(matches!(result, Err(EPERM | EACCES)), "{result:?}");
    });
});

case!(fifo_open_waits_for_the_other_side, [open], {
    sys!(mknod, c"fifo", S_IFIFO | 0o600, 0).must();
    let writer = fork(|| {
        settle();
        let fd = open(c"fifo", O_WRONLY);
        sys!(write, fd, b"hello", 5).must();
    });
    let fd = open(c"fifo", O_RDONLY);
    check_eq!(read_all(fd), b"hello");
    writer.ok();
});

case!(fifo_nonblocking_open, [open], {
    sys!(mknod, c"fifo", S_IFIFO | 0o600, 0).must();
    check_eq!(sys!(open, c"fifo", O_WRONLY | O_NONBLOCK, 0), Err(ENXIO), "no reader");
    let r = open(c"fifo", O_RDONLY | O_NONBLOCK);
    let mut buf = [0u8; 4];
    check_eq!(sys!(read, r, &mut buf, 4), Ok(0), "no writer: end of file, not EAGAIN");
    let w = open(c"fifo", O_WRONLY | O_NONBLOCK);
    check_eq!(sys!(read, r, &mut buf, 4), Err(EAGAIN));
    check_eq!(sys!(write, w, b"ab", 2), Ok(2));
    check_eq!(sys!(read, r, &mut buf, 4), Ok(2));
});

case!(fifo_open_for_both_never_waits, [open], {
    sys!(mknod, c"fifo", S_IFIFO | 0o600, 0).must();
    let fd = open(c"fifo", O_RDWR);
    check_eq!(sys!(write, fd, b"ab", 2), Ok(2));
    let mut buf = [0u8; 4];
    check_eq!(sys!(read, fd, &mut buf, 4), Ok(2));
});

case!(fifo_open_is_interrupted, [open], {
    sys!(mknod, c"fifo", S_IFIFO | 0o600, 0).must();
    count_signal(SIGALRM, 0);
    sys!(alarm, 1).must();
    check_eq!(sys!(open, c"fifo", O_RDONLY, 0), Err(EINTR));
});

case!(fifo_survives_its_users, [open, read], {
    sys!(mknod, c"fifo", S_IFIFO | 0o600, 0).must();
    let both = open(c"fifo", O_RDWR);
    sys!(write, both, b"lost", 4).must();
    sys!(close, both).must();
    let again = open(c"fifo", O_RDWR | O_NONBLOCK);
    let mut buf = [0u8; 4];
    check_eq!(sys!(read, again, &mut buf, 4), Err(EAGAIN), "data goes with the last user");
    check_eq!(stat(c"fifo").st_size, 0);
});
