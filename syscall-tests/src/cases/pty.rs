//! Pseudo-terminals: /dev/ptmx, line discipline, window size.

use crate::support::prelude::*;
use crate::support::tty::{attributes, make, set_attributes, slave_of};

fn read_now(fd: i32) -> Vec<u8> {
    let mut poll = pollfd { fd, events: POLLIN, revents: 0 };
    sys!(poll, &mut poll, 1, 1000).must();
    let mut buf = [0u8; 256];
    let len = sys!(read, fd, &mut buf, 256).must() as usize;
    buf[..len].to_vec()
}

/// Waits until input has passed the line discipline, which works in the background.
fn wait_input(fd: i32) {
    let mut poll = pollfd { fd, events: POLLIN, revents: 0 };
    check_eq!(sys!(poll, &mut poll, 1, 2000), Ok(1));
}

fn write(fd: i32, text: &[u8]) {
    check_eq!(sys!(write, fd, text, text.len()), Ok(text.len() as i64));
}

case!(pair_is_made_and_named, [open, ioctl], {
    let (master, slave) = make();
    let mut number = -1i32;
    sys!(ioctl, master, TIOCGPTN, &mut number).must();
    let name = cstr(&format!("/dev/pts/{number}"));
    check_eq!(stat(&name).st_ino, fstat(slave).st_ino);
    check_eq!(stat(&name).st_mode & S_IFMT, S_IFCHR);
    check_eq!(major(stat(&name).st_rdev), 136);
    check_eq!(sys!(ioctl, slave, TIOCGPTN, &mut number), Err(ENOTTY));
});

case!(slave_is_locked_at_first, [open, ioctl], {
    let master = open(c"/dev/ptmx", O_RDWR | O_NOCTTY);
    let mut number = 0i32;
    sys!(ioctl, master, TIOCGPTN, &mut number).must();
    let name = cstr(&format!("/dev/pts/{number}"));
    check_eq!(sys!(open, name.as_c_str(), O_RDWR | O_NOCTTY, 0), Err(EIO));
    sys!(ioctl, master, TIOCSPTLCK, &0i32).must();
    check!(sys!(open, name.as_c_str(), O_RDWR | O_NOCTTY, 0).is_ok());
});

case!(peer_is_opened_through_the_master, [ioctl], {
    let (master, slave) = make();
    let fd = sys!(ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC).must() as i32;
    check_eq!(fstat(fd).st_rdev, fstat(slave).st_rdev);
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(1));
});

case!(default_attributes, [ioctl], {
    let (_master, slave) = make();
    let term = attributes(slave);
    check_eq!(term.c_iflag, ICRNL | IXON);
    check_eq!(term.c_oflag, OPOST | ONLCR);
    check_eq!(term.c_cflag, B38400 | CS8 | CREAD);
    check_eq!(term.c_lflag, ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN);
    check_eq!((term.c_cc[VINTR], term.c_cc[VEOF], term.c_cc[VERASE]), (3, 4, 127));
});

case!(canonical_mode_gives_lines, [read, write], {
    let (master, slave) = make();
    write(master, b"par");
    sys!(fcntl, slave, F_SETFL, O_NONBLOCK).must();
    check_eq!(sys!(read, slave, &mut [0u8; 8], 8), Err(EAGAIN), "no line yet");
    write(master, b"tial\rnext\n");
    check_eq!(read_now(slave), b"partial\n", "one line, with \\r made \\n");
    check_eq!(sys!(read, slave, &mut [0u8; 8], 3), Ok(3), "a part of the next");
    check_eq!(read_now(slave), b"t\n");
});

case!(echo_and_output_processing, [read, write], {
    let (master, slave) = make();
    write(master, b"ab\x03c\n".split_at(2).0);
    check_eq!(read_now(master), b"ab");
    write(master, b"\n");
    check_eq!(read_now(master), b"\r\n");
    write(slave, b"x\ny");
    check_eq!(read_now(master), b"x\r\ny");
    write(master, b"\x01");
    check_eq!(read_now(master), b"^A", "control characters are shown");
});

case!(line_editing, [read], {
    let (master, slave) = make();
    write(master, b"abX\x7fc\n");
    check_eq!(read_now(slave), b"abc\n", "erase");
    write(master, b"wrong\x15right\n");
    check_eq!(read_now(slave), b"right\n", "kill");
    write(master, b"one two\x17three\n");
    check_eq!(read_now(slave), b"one three\n", "word erase");
    write(master, b"a\x16\x03b\n");
    check_eq!(read_now(slave), b"a\x03b\n", "literal next");
});

case!(end_of_file_character, [read], {
    let (master, slave) = make();
    write(master, b"\x04");
    check_eq!(read_now(slave), b"", "at the start of a line");
    write(master, b"abc\x04");
    check_eq!(read_now(slave), b"abc", "in a line: what is there");
});

case!(raw_mode, [ioctl, read], {
    let (master, slave) = make();
    let mut term = attributes(slave);
    term.c_lflag &= !(ICANON | ECHO | ISIG | IEXTEN);
    term.c_iflag = 0;
    term.c_oflag &= !OPOST;
    set_attributes(slave, &term);
    write(master, b"a\r\x03");
    check_eq!(read_now(slave), b"a\r\x03");
    write(slave, b"x\n");
    check_eq!(read_now(master), b"x\n");
});

case!(minimum_and_time, [ioctl, read], {
    let (master, slave) = make();
    let mut term = attributes(slave);
    term.c_lflag &= !(ICANON | ECHO);
    (term.c_cc[VMIN], term.c_cc[VTIME]) = (0, 1);
    set_attributes(slave, &term);
    let start = now();
    check_eq!(sys!(read, slave, &mut [0u8; 8], 8), Ok(0), "a tenth of a second");
    check!(now() - start >= Duration::from_millis(90));
    (term.c_cc[VMIN], term.c_cc[VTIME]) = (3, 0);
    set_attributes(slave, &term);
    let child = fork(|| {
        write(master, b"a");
        settle();
        write(master, b"bc");
    });
    check_eq!(sys!(read, slave, &mut [0u8; 8], 8), Ok(3));
    child.ok();
});

case!(flush_discards_input, [ioctl], {
    let (master, slave) = make();
    write(master, b"lost\n");
    wait_input(slave);
    check_eq!(sys!(ioctl, slave, TCFLSH, TCIFLUSH), Ok(0));
    write(master, b"kept\n");
    check_eq!(read_now(slave), b"kept\n");
    check_eq!(sys!(ioctl, slave, TCFLSH, 9), Err(EINVAL));
});

case!(window_size_is_shared, [ioctl], {
    let (master, slave) = make();
    let mut size = winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    sys!(ioctl, slave, TIOCGWINSZ, &mut size).must();
    check_eq!((size.ws_row, size.ws_col), (0, 0));
    (size.ws_row, size.ws_col) = (24, 80);
    sys!(ioctl, master, TIOCSWINSZ, &size).must();
    let mut seen: winsize = zeroed();
    sys!(ioctl, slave, TIOCGWINSZ, &mut seen).must();
    check_eq!((seen.ws_row, seen.ws_col), (24, 80));
    check_eq!(sys!(ioctl, slave, TIOCGWINSZ, BAD), Err(EFAULT));
});

case!(closing_the_slave_is_eio_for_the_master, [close, read, poll], {
    let (master, slave) = make();
    sys!(close, slave).must();
    check_eq!(sys!(read, master, &mut [0u8; 8], 8), Err(EIO));
    let mut poll = pollfd { fd: master, events: POLLIN, revents: 0 };
    sys!(poll, &mut poll, 1, 0).must();
    check_eq!(poll.revents & POLLHUP, POLLHUP);
    let again = slave_of(master);
    write(again, b"x");
    check_eq!(read_now(master), b"x", "and it can be opened again");
});

case!(closing_the_master_ends_the_slave, [close, read, write], {
    let (master, slave) = make();
    sys!(close, master).must();
    check_eq!(sys!(read, slave, &mut [0u8; 8], 8), Ok(0));
    check_eq!(sys!(write, slave, b"x", 1), Err(EIO));
    check_eq!(sys!(ioctl, slave, TCGETS, &mut [0u8; 64]), Err(EIO));
});

case!(other_files_are_no_terminals, [ioctl], {
    let mut term = [0u8; 64];
    let (r, _w) = pipe();
    check_eq!(sys!(ioctl, r, TCGETS, &mut term), Err(ENOTTY));
    check_eq!(sys!(ioctl, open(c"/dev/null", O_RDWR), TCGETS, &mut term), Err(ENOTTY));
    check_eq!(sys!(ioctl, open(c"f", O_RDWR | O_CREAT), TCGETS, &mut term), Err(ENOTTY));
    check_eq!(sys!(ioctl, 99, TCGETS, &mut term), Err(EBADF));
    check_eq!(sys!(ioctl, open(c"f", O_PATH), TCGETS, &mut term), Err(EBADF));
});

case!(bytes_waiting, [ioctl], {
    let (master, slave) = make();
    write(master, b"abc\n");
    wait_input(slave);
    let mut count = 0i32;
    sys!(ioctl, slave, FIONREAD, &mut count).must();
    check_eq!(count, 4);
});

case!(flow_control_stops_output, [write, read], {
    let (master, slave) = make();
    write(master, b"\x13");
    settle();
    sys!(fcntl, slave, F_SETFL, O_NONBLOCK).must();
    let result = sys!(write, slave, b"held", 4);
    check!(matches!(result, Err(EAGAIN) | Ok(_)), "{result:?}");
    sys!(fcntl, master, F_SETFL, O_NONBLOCK).must();
    check_eq!(sys!(read, master, &mut [0u8; 8], 8), Err(EAGAIN), "stopped by ^S");
    write(master, b"\x11");
    settle();
    if result == Err(EAGAIN) {
        write(slave, b"held");
    }
    check_eq!(read_now(master), b"held", "started by ^Q");
});
