//! What a child has before it starts: files, and descriptors of every kind.

use crate::rng::Rng;
use crate::support::errno::Errno;
use crate::support::sys::{Result, sys};
use std::ffi::CStr;
use std::io::Write;

/// Descriptors that a child's calls draw from are below this.
pub const DESCRIPTORS: usize = 72;

const RDWR: i32 = libc::O_RDWR;
const CREATE: i32 = libc::O_RDWR | libc::O_CREAT;
/// Opening a fifo or a terminal must not wait.
const NOWAIT: i32 = libc::O_NONBLOCK | libc::O_NOCTTY;

/// Files that are opened, with their flags.
const FILES: &[(&CStr, i32)] = &[
    (c"f0", CREATE),
    (c"f1", CREATE | libc::O_APPEND),
    (c"f2", CREATE | libc::O_NONBLOCK),
    (c"f0", libc::O_RDONLY),
    (c"f1", libc::O_WRONLY),
    (c"f3", libc::O_PATH),
    (c".", libc::O_RDONLY | libc::O_DIRECTORY),
    (c"d0", libc::O_RDONLY | libc::O_DIRECTORY),
    (c"d0", libc::O_PATH),
    (c"/", libc::O_RDONLY),
    (c".", CREATE & !libc::O_CREAT | libc::O_TMPFILE),
    (c"p0", RDWR | NOWAIT),
    (c"p0", libc::O_RDONLY | NOWAIT),
    (c"/dev/null", RDWR),
    (c"/dev/zero", RDWR),
    (c"/dev/full", RDWR),
    (c"/dev/urandom", RDWR),
    (c"/dev/tty", RDWR | NOWAIT),
    (c"/dev/ptmx", RDWR | NOWAIT),
    (c"/dev/pts/0", RDWR | NOWAIT),
    (c"/dev/pts/1", RDWR | NOWAIT),
    (c"/dev", libc::O_RDONLY),
    (c"/dev/shm", libc::O_RDONLY),
    (c"/dev/mqueue", libc::O_RDONLY),
    (c"/proc", libc::O_RDONLY),
    (c"/proc/self", libc::O_RDONLY),
    (c"/proc/self/maps", libc::O_RDONLY),
    (c"/proc/self/smaps", libc::O_RDONLY),
    (c"/proc/self/mem", RDWR),
    (c"/proc/self/stat", libc::O_RDONLY),
    (c"/proc/self/fd", libc::O_RDONLY),
    (c"/proc/self/fdinfo", libc::O_RDONLY),
    (c"/proc/self/task", libc::O_RDONLY),
    (c"/proc/self/ns/pid", libc::O_RDONLY),
    (c"/proc/self/comm", RDWR),
    (c"/proc/self/oom_score_adj", RDWR),
    (c"/proc/self/pagemap", libc::O_RDONLY),
    (c"/proc/self/exe", libc::O_RDONLY),
    (c"/proc/self/cwd", libc::O_PATH),
    (c"/proc/mounts", libc::O_RDONLY),
    (c"/proc/sys/kernel/hostname", RDWR),
    (c"/proc/meminfo", libc::O_RDONLY),
    (c"/proc/net", libc::O_RDONLY),
    (c"/sys", libc::O_RDONLY),
    (c"/sys/devices/system/cpu/online", libc::O_RDONLY),
];

/// Makes the child's files in the current directory.
pub fn make_files(rng: &Rng) {
    for name in ["f0", "f1", "f2", "f3"] {
        let _ = std::fs::write(name, vec![b'x'; rng.below(9000)]);
    }
    for name in ["d0", "d0/d1", "d0/d1/d2", "d3"] {
        let _ = std::fs::create_dir(name);
    }
    let _ = std::fs::write("d0/f4", "data");
    for (target, name) in [("f0", "l0"), ("l2", "l1"), ("l1", "l2"), ("d0", "l3"), ("/proc", "l4")]
    {
        let _ = std::os::unix::fs::symlink(target, name);
    }
    let _ = sys!(mknod, c"p0", libc::S_IFIFO | 0o666, 0);
    make_programs(rng);
}

/// Programs that are none: damaged copies of this one, odd interpreter lines.
fn make_programs(rng: &Rng) {
    let header = std::fs::read("/proc/self/exe").unwrap_or_default();
    let header = &header[..header.len().min(4096)];
    for index in 0..4 {
        let mut bytes = header.to_vec();
        for _ in 0..1 + rng.below(6) {
            if !bytes.is_empty() {
                let at = rng.below(bytes.len().min(600));
                bytes[at] = rng.pick(&[0, 1, 0x7f, 0x80, 0xff, rng_byte(rng)]);
            }
        }
        if rng.one_in(3) {
            bytes.truncate(rng.below(bytes.len().max(1)));
        }
        program(&format!("x{index}"), &bytes);
    }
    let lines: [&[u8]; 6] =
        [b"#!", b"#!\n", b"#!./x5 a b\n", b"#!/proc/self/exe --leaf\n", b"#! \t \n", b"#!l1\n"];
    program("x4", rng.pick(&lines));
    program("x5", b"#!./x4\n");
    let mut long = b"#!/".to_vec();
    long.resize(300, b'y');
    program("x6", &long);
}

fn rng_byte(rng: &Rng) -> u8 {
    rng.next() as u8
}

fn program(name: &str, bytes: &[u8]) {
    use std::os::unix::fs::OpenOptionsExt;
    let file =
        std::fs::File::options().write(true).create(true).truncate(true).mode(0o755).open(name);
    if let Ok(mut file) = file {
        let _ = file.write_all(bytes);
    }
}

/// Opens one descriptor of each kind.
pub fn open_all(rng: &Rng) {
    for kind in 0..FILES.len() + OTHERS {
        let _ = open_kind(kind, rng);
    }
}

/// Opens a descriptor of some kind.
pub fn open_one(rng: &Rng) {
    let kind = rng.below(FILES.len() + OTHERS);
    let _ = open_kind(kind, rng);
}

/// Number of kinds besides files.
const OTHERS: usize = 20;

fn open_kind(kind: usize, rng: &Rng) -> Result {
    if let Some((path, flags)) = FILES.get(kind) {
        return sys!(openat, libc::AT_FDCWD, *path, *flags, 0o666);
    }
    let mut pair = [0i32; 2];
    // Mostly without waiting, so that threads get on.
    let nonblock = if rng.one_in(3) { 0 } else { libc::O_NONBLOCK };
    match kind - FILES.len() {
        0 | 1 => sys!(pipe2, &mut pair, nonblock),
        2 => sys!(socketpair, libc::AF_UNIX, libc::SOCK_STREAM | nonblock, 0, &mut pair),
        3 => sys!(socketpair, libc::AF_UNIX, libc::SOCK_DGRAM | nonblock, 0, &mut pair),
        4 => sys!(socketpair, libc::AF_UNIX, libc::SOCK_SEQPACKET | nonblock, 0, &mut pair),
        5 => sys!(socket, libc::AF_UNIX, libc::SOCK_STREAM | nonblock, 0),
        6 => listening(nonblock, rng),
        7 => sys!(socket, libc::AF_INET, libc::SOCK_STREAM | nonblock, 0),
        8 => sys!(socket, libc::AF_INET, libc::SOCK_DGRAM | nonblock, 0),
        9 => sys!(socket, libc::AF_NETLINK, libc::SOCK_RAW | nonblock, 0),
        10 | 11 => sys!(epoll_create1, 0),
        12 => sys!(eventfd2, 0, nonblock),
        13 => sys!(timerfd_create, libc::CLOCK_MONOTONIC, nonblock),
        14 => sys!(signalfd4, -1, &(1u64 << 33), 8, nonblock),
        15 => sys!(inotify_init1, nonblock),
        16 | 17 => sys!(memfd_create, c"m", 2),
        18 => sys!(pidfd_open, sys!(getpid).unwrap_or(0), 0),
        19 => sys!(mq_open, c"q", CREATE | nonblock, 0o600, 0),
        _ => Err(Errno(libc::EINVAL)),
    }
}

/// A socket that waits for connections at one of the names that [`crate::args`] draws.
fn listening(nonblock: i32, rng: &Rng) -> Result {
    let fd = sys!(socket, libc::AF_UNIX, libc::SOCK_STREAM | nonblock, 0)?;
    let name = [1u8, 0, b's', b'0' + rng.below(6) as u8, 0];
    let _ = sys!(bind, fd, &name[..], name.len());
    sys!(listen, fd, 2)
}

/// Writes a path with its final zero into the buffer; returns the length of both.
pub fn path(rng: &Rng, buffer: &mut [u8]) -> usize {
    const PATHS: &[&str] = &[
        "",
        ".",
        "..",
        "/",
        "//",
        "f0",
        "f1",
        "f2",
        "f3",
        "f0/",
        "f0/x",
        "d0",
        "d0/",
        "d0/f4",
        "d0/d1",
        "d0/d1/d2",
        "d0/../f1",
        "d0/new",
        "d3",
        "d3/..",
        "new0",
        "new1",
        "new2",
        "l0",
        "l1",
        "l3",
        "l3/f4",
        "l3/",
        "l4/self/stat",
        "p0",
        "s0",
        "s1",
        "s2",
        "x0",
        "x1",
        "x2",
        "x3",
        "x4",
        "x5",
        "x6",
        "./././f0",
        "../..",
        "/tmp",
        "/dev/null",
        "/dev/tty",
        "/dev/ptmx",
        "/dev/pts/0",
        "/dev/pts/99999999999",
        "/dev/fd/3",
        "/dev/stdin",
        "/dev/full",
        "/dev/shm/x",
        "/dev/mqueue/q",
        "/proc",
        "/proc/self",
        "/proc/thread-self",
        "/proc/1",
        "/proc/2",
        "/proc/0",
        "/proc/-1",
        "/proc/99999999999999999999",
        "/proc/self/exe",
        "/proc/self/root",
        "/proc/self/root/proc/self/cwd/..",
        "/proc/self/cwd",
        "/proc/self/maps",
        "/proc/self/smaps",
        "/proc/self/mem",
        "/proc/self/environ",
        "/proc/self/cmdline",
        "/proc/self/auxv",
        "/proc/self/status",
        "/proc/self/limits",
        "/proc/self/mountinfo",
        "/proc/self/fd/0",
        "/proc/self/fd/5",
        "/proc/self/fd/9/..",
        "/proc/self/fd/99999",
        "/proc/self/fdinfo/5",
        "/proc/self/task",
        "/proc/self/task/1",
        "/proc/self/ns/mnt",
        "/proc/self/oom_score_adj",
        "/proc/self/uid_map",
        "/proc/self/stat",
        "/proc/self/statm",
        "/proc/self/wchan",
        "/proc/self/io",
        "/proc/stat",
        "/proc/meminfo",
        "/proc/cpuinfo",
        "/proc/uptime",
        "/proc/loadavg",
        "/proc/mounts",
        "/proc/filesystems",
        "/proc/net/unix",
        "/proc/sys",
        "/proc/sys/kernel/pid_max",
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/random/uuid",
        "/proc/sys/vm/overcommit_memory",
        "/sys",
        "/sys/class/net",
        "/sys/devices/system/cpu",
        "/sys/fs/cgroup",
        "/etc/passwd",
        "/bin",
        "nowhere/at/all",
    ];
    let mut text = |bytes: &[u8]| {
        buffer[..bytes.len()].copy_from_slice(bytes);
        buffer[bytes.len()] = 0;
        bytes.len() + 1
    };
    match rng.below(40) {
        0 => {
            let len = rng.pick(&[254, 255, 256, 1000, 4090, 4094]);
            text(&[b'n'; 4095][..len])
        }
        1 => {
            // A deep path, through a name that is there or not.
            let part: &[u8] = rng.pick(&[b"./".as_slice(), b"d0/../", b"../", b"q/"]);
            let bytes = part.repeat(rng.below(4000 / part.len()));
            text(&bytes)
        }
        2 => text(&[b'd', b'0', b'/', 0xff, rng.next() as u8 | 1, b'\n']),
        3 => {
            let own = sys!(getpid).unwrap_or(1) as usize;
            let name = rng.pick(&["stat", "maps", "fd", "mem", "task", "cwd", "status", "smaps"]);
            text(format!("/proc/{}/{name}", own.saturating_sub(3) + rng.below(9)).as_bytes())
        }
        4 => text(format!("/proc/self/fd/{}", rng.below(DESCRIPTORS)).as_bytes()),
        _ => text(rng.pick(PATHS).as_bytes()),
    }
}

/// Returns the number of an ioctl.
pub fn ioctl(rng: &Rng) -> usize {
    match rng.below(10) {
        // Terminals: TCGETS and those after it, then those with a size in them.
        0..6 => 0x5400 + rng.below(0x70),
        6 => rng.pick(&[0x802c_542a, 0x402c_542b, 0x8004_5430, 0x4004_5431, 0x8004_5439, 0x5441]),
        // Sockets and interfaces.
        7 => 0x8900 + rng.below(0x60),
        8 => rng.pick(&[0x5450, 0x5451, 0x5452, 0x5460, 2, 0x4004_7007, 0x8008_7601, 0x4008_6602]),
        _ => rng.next() as u32 as usize,
    }
}
