//! Terminals: `termios(3)`, `ioctl_tty(2)`, `pts(4)`; and requests that any descriptor takes.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The number of control characters of the kernel's structures.
pub const NCCS: usize = 19;

/// The kernel's `struct termios`, `TCGETS`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Termios {
    pub iflag: u32,
    pub oflag: u32,
    pub cflag: u32,
    pub lflag: u32,
    pub line: u8,
    pub cc: [u8; NCCS],
}

/// `struct termios2`, `TCGETS2`: with speeds in baud.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Termios2 {
    pub iflag: u32,
    pub oflag: u32,
    pub cflag: u32,
    pub lflag: u32,
    pub line: u8,
    pub cc: [u8; NCCS],
    pub ispeed: u32,
    pub ospeed: u32,
}

/// `struct winsize`, `TIOCGWINSZ`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Winsize {
    pub row: u16,
    pub col: u16,
    pub xpixel: u16,
    pub ypixel: u16,
}

bitflags::bitflags! {
    /// `c_iflag`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct InputFlags: u32 {
        const IGNBRK = 0x1;
        const BRKINT = 0x2;
        const IGNPAR = 0x4;
        const PARMRK = 0x8;
        const INPCK = 0x10;
        const ISTRIP = 0x20;
        const INLCR = 0x40;
        const IGNCR = 0x80;
        const ICRNL = 0x100;
        const IUCLC = 0x200;
        const IXON = 0x400;
        const IXANY = 0x800;
        const IXOFF = 0x1000;
        const IMAXBEL = 0x2000;
        const IUTF8 = 0x4000;
    }
}

bitflags::bitflags! {
    /// `c_oflag`; the delay fields are not listed.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct OutputFlags: u32 {
        const OPOST = 0x1;
        const OLCUC = 0x2;
        const ONLCR = 0x4;
        const OCRNL = 0x8;
        const ONOCR = 0x10;
        const ONLRET = 0x20;
        const OFILL = 0x40;
        const OFDEL = 0x80;
        const XTABS = 0x1800;
    }
}

bitflags::bitflags! {
    /// `c_cflag` without the speed; `CSIZE` is the field of the `CS*` sizes.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ControlFlags: u32 {
        const CSIZE = 0x30;
        const CS6 = 0x10;
        const CS7 = 0x20;
        const CSTOPB = 0x40;
        const CREAD = 0x80;
        const PARENB = 0x100;
        const PARODD = 0x200;
        const HUPCL = 0x400;
        const CLOCAL = 0x800;
        const CBAUDEX = 0x1000;
        const CMSPAR = 0x40000000;
        const CRTSCTS = 0x80000000;
    }
}

bitflags::bitflags! {
    /// `c_lflag`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct LocalFlags: u32 {
        const ISIG = 0x1;
        const ICANON = 0x2;
        const XCASE = 0x4;
        const ECHO = 0x8;
        const ECHOE = 0x10;
        const ECHOK = 0x20;
        const ECHONL = 0x40;
        const NOFLSH = 0x80;
        const TOSTOP = 0x100;
        const ECHOCTL = 0x200;
        const ECHOPRT = 0x400;
        const ECHOKE = 0x800;
        const FLUSHO = 0x1000;
        const PENDIN = 0x4000;
        const IEXTEN = 0x8000;
        const EXTPROC = 0x10000;
    }
}

// Sizes and speeds, fields of `c_cflag`.
pub const CS5: u32 = 0o0;
pub const CS8: u32 = 0o60;
pub const CBAUD: u32 = 0o10017;
pub const B0: u32 = 0o0;
pub const B9600: u32 = 0o15;
pub const B19200: u32 = 0o16;
pub const B38400: u32 = 0o17;
pub const B115200: u32 = 0o10002;

// Indices of control characters.
pub const VINTR: usize = 0;
pub const VQUIT: usize = 1;
pub const VERASE: usize = 2;
pub const VKILL: usize = 3;
pub const VEOF: usize = 4;
pub const VTIME: usize = 5;
pub const VMIN: usize = 6;
pub const VSWTC: usize = 7;
pub const VSTART: usize = 8;
pub const VSTOP: usize = 9;
pub const VSUSP: usize = 10;
pub const VEOL: usize = 11;
pub const VREPRINT: usize = 12;
pub const VDISCARD: usize = 13;
pub const VWERASE: usize = 14;
pub const VLNEXT: usize = 15;
pub const VEOL2: usize = 16;
/// The value of a control character that is switched off.
pub const POSIX_VDISABLE: u8 = 0;

// Line disciplines.
pub const N_TTY: i32 = 0;

// Requests on terminals, `ioctl_tty(2)`.
pub const TCGETS: u32 = 0x5401;
pub const TCSETS: u32 = 0x5402;
pub const TCSETSW: u32 = 0x5403;
pub const TCSETSF: u32 = 0x5404;
pub const TCGETA: u32 = 0x5405;
pub const TCSETA: u32 = 0x5406;
pub const TCSETAW: u32 = 0x5407;
pub const TCSETAF: u32 = 0x5408;
pub const TCSBRK: u32 = 0x5409;
pub const TCXONC: u32 = 0x540a;
pub const TCFLSH: u32 = 0x540b;
pub const TCGETS2: u32 = 0x802c542a;
pub const TCSETS2: u32 = 0x402c542b;
pub const TCSETSW2: u32 = 0x402c542c;
pub const TCSETSF2: u32 = 0x402c542d;
pub const TCSBRKP: u32 = 0x5425;
pub const TIOCEXCL: u32 = 0x540c;
pub const TIOCNXCL: u32 = 0x540d;
pub const TIOCSCTTY: u32 = 0x540e;
pub const TIOCGPGRP: u32 = 0x540f;
pub const TIOCSPGRP: u32 = 0x5410;
pub const TIOCOUTQ: u32 = 0x5411;
pub const TIOCSTI: u32 = 0x5412;
pub const TIOCGWINSZ: u32 = 0x5413;
pub const TIOCSWINSZ: u32 = 0x5414;
pub const TIOCMGET: u32 = 0x5415;
pub const TIOCMBIS: u32 = 0x5416;
pub const TIOCMBIC: u32 = 0x5417;
pub const TIOCMSET: u32 = 0x5418;
pub const TIOCGSOFTCAR: u32 = 0x5419;
pub const TIOCSSOFTCAR: u32 = 0x541a;
pub const TIOCINQ: u32 = 0x541b;
pub const TIOCLINUX: u32 = 0x541c;
pub const TIOCCONS: u32 = 0x541d;
pub const TIOCGSERIAL: u32 = 0x541e;
pub const TIOCSSERIAL: u32 = 0x541f;
pub const TIOCPKT: u32 = 0x5420;
pub const TIOCNOTTY: u32 = 0x5422;
pub const TIOCSETD: u32 = 0x5423;
pub const TIOCGETD: u32 = 0x5424;
pub const TIOCSBRK: u32 = 0x5427;
pub const TIOCCBRK: u32 = 0x5428;
pub const TIOCGSID: u32 = 0x5429;
pub const TIOCGPTN: u32 = 0x80045430;
pub const TIOCSPTLCK: u32 = 0x40045431;
pub const TIOCGPTLCK: u32 = 0x80045439;
pub const TIOCGDEV: u32 = 0x80045432;
pub const TIOCSIG: u32 = 0x40045436;
pub const TIOCVHANGUP: u32 = 0x5437;
pub const TIOCGPKT: u32 = 0x80045438;
pub const TIOCGEXCL: u32 = 0x80045440;
pub const TIOCGPTPEER: u32 = 0x5441;

// Bits of the first byte a master reads in packet mode, `TIOCPKT`.
pub const TIOCPKT_DATA: u8 = 0;
pub const TIOCPKT_FLUSHREAD: u8 = 1;
pub const TIOCPKT_FLUSHWRITE: u8 = 2;
pub const TIOCPKT_STOP: u8 = 4;
pub const TIOCPKT_START: u8 = 8;
pub const TIOCPKT_NOSTOP: u8 = 16;
pub const TIOCPKT_DOSTOP: u8 = 32;
pub const TIOCPKT_IOCTL: u8 = 64;

// Actions and queues of `tcflow(3)` and `tcflush(3)`.
pub const TCOOFF: i32 = 0;
pub const TCOON: i32 = 1;
pub const TCIOFF: i32 = 2;
pub const TCION: i32 = 3;
pub const TCIFLUSH: i32 = 0;
pub const TCOFLUSH: i32 = 1;
pub const TCIOFLUSH: i32 = 2;
pub const TCSANOW: i32 = 0;
pub const TCSADRAIN: i32 = 1;
pub const TCSAFLUSH: i32 = 2;

// Requests on any descriptor, `ioctl(2)`.
pub const FIONREAD: u32 = 0x541b;
pub const FIONBIO: u32 = 0x5421;
pub const FIOASYNC: u32 = 0x5452;
pub const FIOCLEX: u32 = 0x5451;
pub const FIONCLEX: u32 = 0x5450;
pub const FIOQSIZE: u32 = 0x5460;
pub const FIGETBSZ: u32 = 0x2;
pub const FIBMAP: u32 = 0x1;
pub const FIFREEZE: u32 = 0xc0045877;
pub const FITHAW: u32 = 0xc0045878;
pub const FITRIM: u32 = 0xc0185879;
pub const FICLONE: u32 = 0x40049409;
pub const FICLONERANGE: u32 = 0x4020940d;
pub const FIDEDUPERANGE: u32 = 0xc0189436;
pub const FS_IOC_GETFLAGS: u32 = 0x80086601;
pub const FS_IOC_SETFLAGS: u32 = 0x40086602;
pub const FS_IOC_GETVERSION: u32 = 0x80087601;
pub const FS_IOC_SETVERSION: u32 = 0x40087602;
pub const FS_IOC_FSGETXATTR: u32 = 0x801c581f;
pub const FS_IOC_FSSETXATTR: u32 = 0x401c5820;
pub const FS_IOC_FIEMAP: u32 = 0xc020660b;
pub const BLKGETSIZE64: u32 = 0x80081272;
pub const BLKGETSIZE: u32 = 0x1260;
pub const BLKSSZGET: u32 = 0x1268;
pub const BLKROGET: u32 = 0x125e;
pub const BLKFLSBUF: u32 = 0x1261;

// Requests on namespace descriptors, `ioctl_ns(2)`.
pub const NS_GET_USERNS: u32 = 0xb701;
pub const NS_GET_PARENT: u32 = 0xb702;
pub const NS_GET_NSTYPE: u32 = 0xb703;
pub const NS_GET_OWNER_UID: u32 = 0xb704;
