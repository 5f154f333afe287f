//! Settings of a new terminal, and the forms in which programs see them.

use linux_abi::tty::*;

/// Settings of a new pseudoterminal (`tty_std_termios`, with the flags of `pts`).
pub const STANDARD: Termios2 = Termios2 {
    iflag: InputFlags::ICRNL.union(InputFlags::IXON).bits(),
    oflag: OutputFlags::OPOST.union(OutputFlags::ONLCR).bits(),
    cflag: B38400 | CS8 | ControlFlags::CREAD.bits(),
    lflag: LocalFlags::ISIG
        .union(LocalFlags::ICANON)
        .union(LocalFlags::ECHO)
        .union(LocalFlags::ECHOE)
        .union(LocalFlags::ECHOK)
        .union(LocalFlags::ECHOCTL)
        .union(LocalFlags::ECHOKE)
        .union(LocalFlags::IEXTEN)
        .bits(),
    line: 0,
    cc: CONTROL_CHARACTERS,
    ispeed: 38400,
    ospeed: 38400,
};

/// `INIT_C_CC`, in the order of the `V*` indices.
const CONTROL_CHARACTERS: [u8; NCCS] = [
    0x03, // VINTR ^C
    0x1c, // VQUIT ^\
    0x7f, // VERASE DEL
    0x15, // VKILL ^U
    0x04, // VEOF ^D
    0,    // VTIME
    1,    // VMIN
    0,    // VSWTC
    0x11, // VSTART ^Q
    0x13, // VSTOP ^S
    0x1a, // VSUSP ^Z
    0,    // VEOL
    0x12, // VREPRINT ^R
    0x0f, // VDISCARD ^O
    0x17, // VWERASE ^W
    0x16, // VLNEXT ^V
    0,    // VEOL2
    0, 0,
];

/// Baud rates by their `B*` code in `c_cflag`.
const SPEEDS: [(u32, u32); 30] = [
    (0, 0),
    (1, 50),
    (2, 75),
    (3, 110),
    (4, 134),
    (5, 150),
    (6, 200),
    (7, 300),
    (8, 600),
    (9, 1200),
    (10, 1800),
    (11, 2400),
    (12, 4800),
    (13, 9600),
    (14, 19200),
    (15, 38400),
    (0o10001, 57600),
    (0o10002, 115_200),
    (0o10003, 230_400),
    (0o10004, 460_800),
    (0o10005, 500_000),
    (0o10006, 576_000),
    (0o10007, 921_600),
    (0o10010, 1_000_000),
    (0o10011, 1_152_000),
    (0o10012, 1_500_000),
    (0o10013, 2_000_000),
    (0o10014, 2_500_000),
    (0o10015, 3_000_000),
    (0o10016, 3_500_000),
];

/// The form of `TCGETS`.
pub fn to_termios(settings: &Termios2) -> Termios {
    Termios {
        iflag: settings.iflag,
        oflag: settings.oflag,
        cflag: settings.cflag,
        lflag: settings.lflag,
        line: settings.line,
        cc: settings.cc,
    }
}

/// The settings after `TCSETS`: speeds follow the code in `c_cflag`.
pub fn from_termios(new: &Termios, old: &Termios2) -> Termios2 {
    let speed = SPEEDS.iter().find(|(code, _)| *code == new.cflag & CBAUD);
    let speed = speed.map_or(old.ospeed, |(_, speed)| *speed);
    Termios2 {
        iflag: new.iflag,
        oflag: new.oflag,
        cflag: new.cflag,
        lflag: new.lflag,
        line: new.line,
        cc: new.cc,
        ispeed: speed,
        ospeed: speed,
    }
}
