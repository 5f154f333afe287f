//! Traces of calls on a small made-up memory.

use linux_abi::Errno;
use zerocopy::IntoBytes;

use super::call::Arguments;
use super::{Call, SysResult};
use crate::syscall::strace::ArgKind;

/// Memory of one page at [`BASE`].
struct Page(Vec<u8>);

const BASE: u64 = 0x10000;

impl Page {
    fn new() -> Page {
        Page(vec![0; 4096])
    }

    fn put(mut self, offset: usize, bytes: impl AsRef<[u8]>) -> Page {
        let bytes = bytes.as_ref();
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn read(&self, addr: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let start = addr.checked_sub(BASE).ok_or(Errno::EFAULT)? as usize;
        let from = self.0.get(start..).filter(|rest| !rest.is_empty()).ok_or(Errno::EFAULT)?;
        let len = from.len().min(buffer.len());
        buffer[..len].copy_from_slice(&from[..len]);
        Ok(len)
    }

    fn trace(&self, name: &str, args: Arguments, raw: &[u64], result: SysResult) -> String {
        let mut registers = [0; 6];
        registers[..raw.len()].copy_from_slice(raw);
        let memory = |addr: u64, buffer: &mut [u8]| self.read(addr, buffer);
        Call::enter(name, args, registers, &memory).exit(result, &memory)
    }
}

const OPENAT: Arguments =
    &[("dirfd", ArgKind::DirFd), ("path", ArgKind::Path), ("flags", ArgKind::OpenFlags)];
const READ: Arguments = &[("fd", ArgKind::Fd), ("buf", ArgKind::OutBuf), ("count", ArgKind::Size)];
const WRITE: Arguments = &[("fd", ArgKind::Fd), ("buf", ArgKind::Buf), ("count", ArgKind::Size)];

fn one(kind: &'static [(&'static str, ArgKind)], value: u64) -> String {
    Page::new().trace("f", kind, &[value], Ok(0))
}

#[test]
fn open_shows_path_flags_and_descriptor() {
    let page = Page::new().put(8, b"/etc/passwd\0");
    let raw = [-100i64 as u64, BASE + 8, 0o2000000];
    let line = page.trace("openat", OPENAT, &raw, Ok(3));
    assert_eq!(line, "openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3");
    let line = page.trace("openat", OPENAT, &raw, Err(Errno::ENOENT));
    assert_eq!(
        line,
        "openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) \
         = -1 ENOENT (No such file or directory)"
    );
}

#[test]
fn a_bad_pointer_shows_as_an_address() {
    let line = Page::new().trace("openat", OPENAT, &[4, 0x66, 0o1101], Err(Errno::EFAULT));
    assert_eq!(line, "openat(4, 0x66, O_WRONLY|O_CREAT|O_TRUNC) = -1 EFAULT (Bad address)");
    let line = Page::new().trace("openat", OPENAT, &[4, 0, 0], Err(Errno::EFAULT));
    assert_eq!(line, "openat(4, NULL, O_RDONLY) = -1 EFAULT (Bad address)");
}

#[test]
fn read_shows_what_arrived() {
    let page = Page::new().put(0, b"a\n\x001\"\xff\0");
    let line = page.trace("read", READ, &[3, BASE, 100], Ok(7));
    assert_eq!(line, "read(3, \"a\\n\\0001\\\"\\377\\0\", 100) = 7");
    let line = page.trace("read", READ, &[3, BASE, 100], Ok(0));
    assert_eq!(line, "read(3, \"\", 100) = 0");
    let line = page.trace("read", READ, &[3, BASE, 100], Err(Errno::EBADF));
    assert_eq!(line, "read(3, 0x10000, 100) = -1 EBADF (Bad file descriptor)");
}

#[test]
fn buffers_are_cut_at_64_bytes() {
    let page = Page::new().put(0, [b'x'; 200]);
    let line = page.trace("write", WRITE, &[1, BASE, 200], Ok(200));
    assert_eq!(line, format!("write(1, \"{}\"..., 200) = 200", "x".repeat(64)));
    let line = page.trace("write", WRITE, &[1, BASE, u64::MAX], Err(Errno::EFAULT));
    assert!(line.len() < 200, "{line}");
}

#[test]
fn restarts_say_so() {
    let line = Page::new().trace("read", READ, &[0, BASE, 1], Err(Errno::ERESTARTSYS));
    assert!(line.ends_with(" = ? ERESTARTSYS (To be restarted if SA_RESTART is set)"), "{line}");
}

#[test]
fn flags_name_the_larger_flag_and_show_unknown_bits() {
    assert_eq!(one(&[("f", ArgKind::OpenFlags)], 0o4010002), "f(O_RDWR|O_SYNC) = 0");
    assert_eq!(one(&[("f", ArgKind::OpenFlags)], 0o20200001), "f(O_WRONLY|O_TMPFILE) = 0");
    assert_eq!(one(&[("f", ArgKind::MmapProt)], 0), "f(PROT_NONE) = 0");
    assert_eq!(one(&[("f", ArgKind::MmapProt)], 0x103), "f(PROT_READ|PROT_WRITE|0x100) = 0");
    assert_eq!(one(&[("f", ArgKind::MmapFlags)], 0x22), "f(MAP_PRIVATE|MAP_ANONYMOUS) = 0");
    assert_eq!(one(&[("f", ArgKind::MmapFlags)], 3), "f(MAP_SHARED_VALIDATE) = 0");
    assert_eq!(one(&[("f", ArgKind::CloneFlags)], 0x4111), "f(CLONE_VM|CLONE_VFORK|SIGCHLD) = 0");
    assert_eq!(one(&[("f", ArgKind::AtFlags)], 0x200), "f(AT_REMOVEDIR) = 0");
    assert_eq!(one(&[("f", ArgKind::AccessFlags)], 0x200), "f(AT_EACCESS) = 0");
    assert_eq!(one(&[("f", ArgKind::WaitOptions)], 0x4000_0001), "f(WNOHANG|__WALL) = 0");
}

#[test]
fn choices_have_names() {
    assert_eq!(one(&[("w", ArgKind::Whence)], 2), "f(SEEK_END) = 0");
    assert_eq!(one(&[("w", ArgKind::Whence)], 77), "f(77) = 0");
    assert_eq!(one(&[("c", ArgKind::FcntlCmd)], 1030), "f(F_DUPFD_CLOEXEC) = 0");
    assert_eq!(one(&[("r", ArgKind::IoctlCmd)], 0x5401), "f(TCGETS) = 0");
    assert_eq!(
        one(&[("r", ArgKind::IoctlCmd)], 0x8004_7766),
        "f(_IOC(_IOC_READ, 0x77, 0x66, 0x4)) = 0"
    );
    assert_eq!(
        one(&[("o", ArgKind::FutexOp)], 0x189),
        "f(FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME) = 0"
    );
    assert_eq!(one(&[("t", ArgKind::SocketType)], 0x80001), "f(SOCK_STREAM|SOCK_CLOEXEC) = 0");
    assert_eq!(one(&[("s", ArgKind::Signal)], 35), "f(SIGRT_3) = 0");
    assert_eq!(one(&[("m", ArgKind::Mode)], 0o10644), "f(S_IFIFO|0644) = 0");
}

#[test]
fn the_option_depends_on_the_level() {
    const ARGS: Arguments = &[
        ("fd", ArgKind::Fd),
        ("level", ArgKind::SocketLevel),
        ("option", ArgKind::SocketOption),
        ("value", ArgKind::SockoptValue),
        ("len", ArgKind::Int),
    ];
    let page = Page::new().put(0, 1i32.to_le_bytes());
    let line = page.trace("setsockopt", ARGS, &[3, 6, 1, BASE, 4], Ok(0));
    assert_eq!(line, "setsockopt(3, SOL_TCP, TCP_NODELAY, [1], 4) = 0");
    let line = page.trace("setsockopt", ARGS, &[3, 1, 2, BASE, 4], Ok(0));
    assert_eq!(line, "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0");
}

#[test]
fn socket_addresses_are_decoded() {
    const ARGS: Arguments =
        &[("fd", ArgKind::Fd), ("addr", ArgKind::Sockaddr), ("len", ArgKind::Int)];
    let page = Page::new()
        .put(0, [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
        .put(32, b"\x01\0/run/x\0")
        .put(64, b"\x01\0\0abs");
    let connect = |addr: u64, len: u64| page.trace("connect", ARGS, &[3, addr, len], Ok(0));
    assert_eq!(
        connect(BASE, 16),
        "connect(3, {sa_family=AF_INET, sin_port=htons(8080), \
         sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0"
    );
    assert_eq!(
        connect(BASE + 32, 110),
        "connect(3, {sa_family=AF_UNIX, sun_path=\"/run/x\"}, 110) = 0"
    );
    assert_eq!(connect(BASE + 64, 6), "connect(3, {sa_family=AF_UNIX, sun_path=@\"abs\"}, 6) = 0");
    assert_eq!(connect(BASE, 1), "connect(3, \"\\2\", 1) = 0");
}

#[test]
fn poll_shows_events_before_and_after() {
    const ARGS: Arguments =
        &[("fds", ArgKind::PollFds), ("n", ArgKind::UInt), ("timeout", ArgKind::Int)];
    let page = Page::new().put(0, [3, 0, 0, 0, 1, 0, 0x11, 0]);
    assert_eq!(
        page.trace("poll", ARGS, &[BASE, 1, u64::MAX], Ok(1)),
        "poll([{fd=3, events=POLLIN}], 1, -1) = 1 ([{fd=3, revents=POLLIN|POLLHUP}])"
    );
    assert!(page.trace("poll", ARGS, &[BASE, 1, 5], Ok(0)).ends_with(", 1, 5) = 0 (Timeout)"));
}

#[test]
fn vectors_show_their_strings() {
    const ARGS: Arguments =
        &[("path", ArgKind::Path), ("argv", ArgKind::ArgvArray), ("envp", ArgKind::EnvArray)];
    let page = Page::new().put(0, b"/bin/sh\0").put(16, [BASE, BASE + 5, 0, BASE, 0].as_bytes());
    assert_eq!(
        page.trace("execve", ARGS, &[BASE, BASE + 16, BASE + 40], Ok(0)),
        "execve(\"/bin/sh\", [\"/bin/sh\", \"sh\"], 0x10028 /* 1 var */) = 0"
    );
}

#[test]
fn received_pieces_are_filled_in_order() {
    const ARGS: Arguments = &[("fd", ArgKind::Fd), ("iov", ArgKind::OutIoVec), ("n", ArgKind::Int)];
    let page = Page::new()
        .put(0, [BASE + 100, 3, BASE + 200, 10].as_bytes())
        .put(100, b"abcxxx")
        .put(200, b"dexxx");
    assert_eq!(
        page.trace("readv", ARGS, &[3, BASE, 2], Ok(5)),
        "readv(3, [{iov_base=\"abc\", iov_len=3}, {iov_base=\"de\", iov_len=10}], 2) = 5"
    );
}

#[test]
fn statuses_and_sets_are_decoded() {
    const WAIT: Arguments = &[("pid", ArgKind::Pid), ("status", ArgKind::WaitStatus)];
    let status = |value: i32| {
        let line =
            Page::new().put(0, value.to_le_bytes()).trace("wait4", WAIT, &[u64::MAX, BASE], Ok(7));
        line.replace("wait4(-1, [{", "").replace("}]) = 7", "")
    };
    assert_eq!(status(0x300), "WIFEXITED(s) && WEXITSTATUS(s) == 3");
    assert_eq!(status(11 | 0x80), "WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)");
    assert_eq!(status(0x137f), "WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP");
    assert_eq!(status(0xffff), "WIFCONTINUED(s)");
    const MASK: Arguments = &[("how", ArgKind::SigMaskHow), ("set", ArgKind::SigSet)];
    let page = Page::new().put(0, [0x4002u64, !0x100].as_bytes());
    assert_eq!(page.trace("m", MASK, &[0, BASE], Ok(0)), "m(SIG_BLOCK, [INT TERM]) = 0");
    assert_eq!(page.trace("m", MASK, &[2, BASE + 8], Ok(0)), "m(SIG_SETMASK, ~[KILL]) = 0");
}

#[test]
fn calls_without_a_row_show_registers() {
    let memory = |_: u64, _: &mut [u8]| Err(Errno::EFAULT);
    let line = |number| {
        Call::enter_unknown(number, [1, 2, 3, 4, 5, 6], &memory).exit(Err(Errno::ENOSYS), &memory)
    };
    let rest = "(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) = -1 ENOSYS (Function not implemented)";
    assert_eq!(line(425), format!("io_uring_setup{rest}"));
    assert_eq!(line(9999), format!("syscall_0x270f{rest}"));
}

#[test]
fn every_kind_survives_any_value() {
    // Arrays and lengths are the workload's: none may make the trace long or make it panic.
    let page = Page::new().put(0, [0xffu8; 4096]);
    let memory = |addr: u64, buffer: &mut [u8]| page.read(addr, buffer);
    for kind in super::kind::ALL {
        for value in [0, 1, BASE, BASE + 4090, u64::MAX, 1 << 63, 0x8000_0000] {
            for other in [0, 5, BASE, u64::MAX] {
                let raw = [other, value, other, value, other, value];
                for result in [None, Some(Ok(0)), Some(Ok(usize::MAX)), Some(Err(Errno::EIO))] {
                    let arg = super::Arg { raw: &raw, index: 1, result, memory: &memory };
                    let text = super::format_arg(*kind, &arg);
                    assert!(text.len() < 20_000, "{kind:?} {text}");
                }
            }
        }
    }
}
