//! The system call table: one row a call, and everything made from it.
//!
//! A row is `number name(argument: Kind, …) => [mode] family::handler, level;` where *Kind* is how
//! strace shows the argument (`strace::ArgKind`), *mode* is `sync` or `async`, and *level* is
//! `full` or `partial "what is missing"`. `stubs` rows answer with a fixed errno: calls that we
//! leave out on purpose; with `needs CAP_…` it is EPERM for those who lack the capability. A number in neither list is ENOSYS, as for a kernel without that call.

use linux_abi::Errno;

use super::strace::ArgKind;
use super::{Args, Flow};
use crate::task::Ctx;

/// How much of a call is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Full,
    /// With what is missing.
    Partial(&'static str),
    /// Always fails.
    Stub(Stub),
}

/// How a call fails that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stub {
    pub errno: Errno,
    pub reason: &'static str,
    /// The capability without which it is EPERM.
    pub needs: Option<u32>,
}

impl Stub {
    fn answer(&self, ctx: &Ctx) -> Errno {
        match self.needs {
            Some(capability) if !ctx.task.credentials().has(capability) => Errno::EPERM,
            _ => self.errno,
        }
    }
}

/// A row of the table, for strace, documentation and tests.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub number: u32,
    pub name: &'static str,
    pub args: &'static [(&'static str, ArgKind)],
    pub level: Level,
}

macro_rules! syscall_table {
    (
        syscalls {
            $($nr:literal $name:ident($($arg:ident: $kind:ident),*)
                => [$mode:ident] $family:ident::$handler:ident, $level:ident $($note:literal)?;)*
        }
        stubs {
            $($stub_nr:literal $stub_name:ident
                => $errno:ident $(needs $capability:ident)? $reason:literal;)*
        }
    ) => {
        /// All rows, in the order they are written.
        pub const TABLE: &[Entry] = &[
            $(Entry {
                number: $nr,
                name: stringify!($name),
                args: &[$((stringify!($arg), ArgKind::$kind)),*],
                level: syscall_table!(@level $level $($note)?),
            },)*
            $(Entry {
                number: $stub_nr,
                name: stringify!($stub_name),
                args: &[],
                level: Level::Stub(syscall_table!(@stub $errno $reason $($capability)?)),
            },)*
        ];

        /// Runs system call `number`.
        pub async fn dispatch(ctx: &mut Ctx, number: u64, raw: [u64; 6]) -> Flow {
            let mut args = Args::new(raw);
            let _ = &mut args;
            match number {
                $($nr => syscall_table!(@call $mode $family $handler ctx args $($arg)*),)*
                $($stub_nr => {
                    const STUB: Stub = syscall_table!(@stub $errno $reason $($capability)?);
                    Flow::Return(Err(STUB.answer(ctx)))
                })*
                _ => Flow::Return(Err(Errno::ENOSYS)),
            }
        }
    };
    (@stub $errno:ident $reason:literal) => {
        Stub { errno: Errno::$errno, reason: $reason, needs: None }
    };
    (@stub $errno:ident $reason:literal $capability:ident) => {
        Stub {
            errno: Errno::$errno,
            reason: $reason,
            needs: Some(linux_abi::task::$capability),
        }
    };
    (@level full) => { Level::Full };
    (@level partial $note:literal) => { Level::Partial($note) };
    (@call sync $family:ident $handler:ident $ctx:ident $args:ident $($arg:ident)*) => {
        Flow::from(super::$family::$handler($ctx $(, { let $arg = $args.take(); $arg })*))
    };
    (@call async $family:ident $handler:ident $ctx:ident $args:ident $($arg:ident)*) => {
        Flow::from(super::$family::$handler($ctx $(, { let $arg = $args.take(); $arg })*).await)
    };
}

syscall_table! {
    syscalls {
        // Files: data.
        0 read(fd: Fd, buf: OutBuf, count: Size) => [async] read_write::read, full;
        1 write(fd: Fd, buf: Buf, count: Size) => [async] read_write::write, full;
        8 lseek(fd: Fd, offset: Offset, whence: Whence) => [sync] read_write::lseek, full;
        17 pread64(fd: Fd, buf: OutBuf, count: Size, offset: Offset)
            => [async] read_write::pread64, full;
        18 pwrite64(fd: Fd, buf: Buf, count: Size, offset: Offset)
            => [async] read_write::pwrite64, full;
        19 readv(fd: Fd, iov: OutIoVec, count: Size) => [async] read_write::readv, full;
        20 writev(fd: Fd, iov: IoVec, count: Size) => [async] read_write::writev, full;
        295 preadv(fd: Fd, iov: OutIoVec, count: Size, offset: Offset)
            => [async] read_write::preadv, full;
        296 pwritev(fd: Fd, iov: IoVec, count: Size, offset: Offset)
            => [async] read_write::pwritev, full;
        327 preadv2(fd: Fd, iov: OutIoVec, count: Size, offset: Offset, high: Hex, flags: RwFlags)
            => [async] read_write::preadv2, full;
        328 pwritev2(fd: Fd, iov: IoVec, count: Size, offset: Offset, high: Hex, flags: RwFlags)
            => [async] read_write::pwritev2, full;

        // Files: names and attributes.
        2 open(path: Path, flags: OpenFlags, mode: Mode) => [async] open::open, full;
        3 close(fd: Fd) => [sync] open::close, full;
        4 stat(path: Path, buf: Stat) => [sync] stat::stat, full;
        5 fstat(fd: Fd, buf: Stat) => [sync] stat::fstat, full;
        6 lstat(path: Path, buf: Stat) => [sync] stat::lstat, full;
        16 ioctl(fd: Fd, command: IoctlCmd, argument: IoctlArg) => [async] fd::ioctl, full;
        21 access(path: Path, mode: AccessMode) => [sync] stat::access, full;
        32 dup(fd: Fd) => [sync] fd::dup, full;
        33 dup2(old: Fd, new: Fd) => [sync] fd::dup2, full;
        72 fcntl(fd: Fd, command: FcntlCmd, argument: FcntlArg)
            => [async] fd::fcntl, partial "no leases, no F_NOTIFY";
        73 flock(fd: Fd, operation: FlockOp) => [async] locks::flock, full;
        74 fsync(fd: Fd) => [sync] sync::fsync, full;
        75 fdatasync(fd: Fd) => [sync] sync::fdatasync, full;
        76 truncate(path: Path, size: Offset) => [sync] attr::truncate, full;
        77 ftruncate(fd: Fd, size: Offset) => [sync] attr::ftruncate, full;
        78 getdents(fd: Fd, buf: Pointer, size: Size) => [sync] dir::getdents, full;
        79 getcwd(buf: OutPath, size: Size) => [sync] dir::getcwd, full;
        80 chdir(path: Path) => [sync] dir::chdir, full;
        81 fchdir(fd: Fd) => [sync] dir::fchdir, full;
        82 rename(old: Path, new: Path) => [sync] dir::rename, full;
        83 mkdir(path: Path, mode: Mode) => [sync] dir::mkdir, full;
        84 rmdir(path: Path) => [sync] dir::rmdir, full;
        85 creat(path: Path, mode: Mode) => [async] open::creat, full;
        86 link(old: Path, new: Path) => [sync] dir::link, full;
        87 unlink(path: Path) => [sync] dir::unlink, full;
        88 symlink(target: Path, path: Path) => [sync] dir::symlink, full;
        89 readlink(path: Path, buf: OutBuf, size: Size) => [sync] stat::readlink, full;
        90 chmod(path: Path, mode: Mode) => [sync] attr::chmod, full;
        91 fchmod(fd: Fd, mode: Mode) => [sync] attr::fchmod, full;
        92 chown(path: Path, uid: Uid, gid: Gid) => [sync] attr::chown, full;
        93 fchown(fd: Fd, uid: Uid, gid: Gid) => [sync] attr::fchown, full;
        94 lchown(path: Path, uid: Uid, gid: Gid) => [sync] attr::lchown, full;
        95 umask(mask: Mode) => [sync] attr::umask, full;
        132 utime(path: Path, times: Pointer) => [sync] attr::utime, full;
        133 mknod(path: Path, mode: Mode, device: Device) => [sync] dir::mknod, full;
        137 statfs(path: Path, buf: StatFs) => [sync] stat::statfs, full;
        138 fstatfs(fd: Fd, buf: StatFs) => [sync] stat::fstatfs, full;
        161 chroot(path: Path) => [sync] dir::chroot, full;
        162 sync() => [sync] sync::sync, full;
        187 readahead(fd: Fd, offset: Offset, count: Size) => [sync] sync::readahead, full;
        217 getdents64(fd: Fd, buf: Dirents, size: Size) => [sync] dir::getdents64, full;
        221 fadvise64(fd: Fd, offset: Offset, len: Size, advice: FadviseAdvice)
            => [sync] sync::fadvise64, full;
        235 utimes(path: Path, times: TimevalPair) => [sync] attr::utimes, full;
        257 openat(dirfd: DirFd, path: Path, flags: OpenFlags, mode: Mode)
            => [async] open::openat, full;
        258 mkdirat(dirfd: DirFd, path: Path, mode: Mode) => [sync] dir::mkdirat, full;
        259 mknodat(dirfd: DirFd, path: Path, mode: Mode, device: Device)
            => [sync] dir::mknodat, full;
        260 fchownat(dirfd: DirFd, path: Path, uid: Uid, gid: Gid, flags: AtFlags)
            => [sync] attr::fchownat, full;
        261 futimesat(dirfd: DirFd, path: Path, times: TimevalPair) => [sync] attr::futimesat, full;
        262 newfstatat(dirfd: DirFd, path: Path, buf: Stat, flags: AtFlags)
            => [sync] stat::newfstatat, full;
        263 unlinkat(dirfd: DirFd, path: Path, flags: AtFlags) => [sync] dir::unlinkat, full;
        264 renameat(olddir: DirFd, old: Path, newdir: DirFd, new: Path)
            => [sync] dir::renameat, full;
        265 linkat(olddir: DirFd, old: Path, newdir: DirFd, new: Path, flags: AtFlags)
            => [sync] dir::linkat, full;
        266 symlinkat(target: Path, dirfd: DirFd, path: Path) => [sync] dir::symlinkat, full;
        267 readlinkat(dirfd: DirFd, path: Path, buf: OutBuf, size: Size)
            => [sync] stat::readlinkat, full;
        268 fchmodat(dirfd: DirFd, path: Path, mode: Mode) => [sync] attr::fchmodat, full;
        269 faccessat(dirfd: DirFd, path: Path, mode: AccessMode) => [sync] stat::faccessat, full;
        277 sync_file_range(fd: Fd, offset: Offset, len: Size, flags: SyncFileRangeFlags)
            => [sync] sync::sync_file_range, full;
        280 utimensat(dirfd: DirFd, path: Path, times: TimespecPair, flags: AtFlags)
            => [sync] attr::utimensat, full;
        285 fallocate(fd: Fd, mode: FallocateFlags, offset: Offset, len: Size)
            => [sync] attr::fallocate, full;
        292 dup3(old: Fd, new: Fd, flags: OpenFlags) => [sync] fd::dup3, full;
        306 syncfs(fd: Fd) => [sync] sync::syncfs, full;
        316 renameat2(olddir: DirFd, old: Path, newdir: DirFd, new: Path, flags: RenameFlags)
            => [sync] dir::renameat2, full;
        332 statx(dirfd: DirFd, path: Path, flags: AtFlags, mask: StatxMask, buf: Statx)
            => [sync] stat::statx, full;
        436 close_range(first: UInt, last: UInt, flags: CloseRangeFlags)
            => [sync] open::close_range, full;
        437 openat2(dirfd: DirFd, path: Path, how: OpenHow, size: Size)
            => [async] open::openat2, full;
        439 faccessat2(dirfd: DirFd, path: Path, mode: AccessMode, flags: AccessFlags)
            => [sync] stat::faccessat2, full;
        452 fchmodat2(dirfd: DirFd, path: Path, mode: Mode, flags: AtFlags)
            => [sync] attr::fchmodat2, full;

        272 unshare(flags: UnshareFlags)
            => [sync] namespaces::unshare, partial "mount namespaces only; others are EINVAL";
        303 name_to_handle_at(dirfd: DirFd, path: Path, handle: Pointer, mount_id: OutInt, flags: AtFlags)
            => [sync] handles::name_to_handle_at, full;
        304 open_by_handle_at(mount: Fd, handle: Pointer, flags: OpenFlags)
            => [sync] handles::open_by_handle_at, partial "ESTALE: handles only tell files apart";

        // Files: events.
        253 inotify_init() => [sync] inotify::inotify_init, full;
        254 inotify_add_watch(fd: Fd, path: Path, mask: InotifyMask)
            => [sync] inotify::inotify_add_watch, full;
        255 inotify_rm_watch(fd: Fd, wd: Int) => [sync] inotify::inotify_rm_watch, full;
        294 inotify_init1(flags: InotifyInitFlags) => [sync] inotify::inotify_init1, full;

        // Files: extended attributes, transfers, mounts.
        40 sendfile(out: Fd, input: Fd, offset: LongPtr, count: Size)
            => [async] transfer::sendfile, full;
        155 pivot_root(new_root: Path, put_old: Path) => [sync] mount::pivot_root, full;
        165 mount(source: Path, target: Path, fs_type: Str, flags: MountFlags, data: Pointer)
            => [sync] mount::mount, partial "no shared propagation; options of file systems cannot change later";
        166 umount2(target: Path, flags: UmountFlags)
            => [sync] mount::umount2, partial "MNT_EXPIRE is EINVAL";
        188 setxattr(path: Path, name: Str, value: Pointer, size: Size, flags: XattrFlags)
            => [sync] xattr::setxattr, full;
        189 lsetxattr(path: Path, name: Str, value: Pointer, size: Size, flags: XattrFlags)
            => [sync] xattr::lsetxattr, full;
        190 fsetxattr(fd: Fd, name: Str, value: Pointer, size: Size, flags: XattrFlags)
            => [sync] xattr::fsetxattr, full;
        191 getxattr(path: Path, name: Str, value: OutBuf, size: Size)
            => [sync] xattr::getxattr, full;
        192 lgetxattr(path: Path, name: Str, value: OutBuf, size: Size)
            => [sync] xattr::lgetxattr, full;
        193 fgetxattr(fd: Fd, name: Str, value: OutBuf, size: Size)
            => [sync] xattr::fgetxattr, full;
        194 listxattr(path: Path, list: OutBuf, size: Size) => [sync] xattr::listxattr, full;
        195 llistxattr(path: Path, list: OutBuf, size: Size) => [sync] xattr::llistxattr, full;
        196 flistxattr(fd: Fd, list: OutBuf, size: Size) => [sync] xattr::flistxattr, full;
        197 removexattr(path: Path, name: Str) => [sync] xattr::removexattr, full;
        198 lremovexattr(path: Path, name: Str) => [sync] xattr::lremovexattr, full;
        199 fremovexattr(fd: Fd, name: Str) => [sync] xattr::fremovexattr, full;
        319 memfd_create(name: Str, flags: MemfdFlags)
            => [sync] memfd::memfd_create, partial "no huge pages";
        326 copy_file_range(input: Fd, in_offset: LongPtr, out: Fd, out_offset: LongPtr, len: Size, flags: Hex)
            => [sync] transfer::copy_file_range, full;

        // Memory.
        9 mmap(addr: Pointer, len: Size, prot: MmapProt, flags: MmapFlags, fd: Fd, offset: Offset)
            => [async] mmap::mmap, full;
        10 mprotect(addr: Pointer, len: Size, prot: MmapProt) => [sync] mmap::mprotect, full;
        11 munmap(addr: Pointer, len: Size) => [async] mmap::munmap, full;
        12 brk(addr: Pointer) => [sync] mmap::brk, full;
        25 mremap(addr: Pointer, old_len: Size, new_len: Size, flags: MremapFlags, new_addr: Pointer)
            => [async] mmap::mremap, full;
        26 msync(addr: Pointer, len: Size, flags: MsyncFlags) => [async] mmap::msync, full;
        27 mincore(addr: Pointer, len: Size, vec: Pointer) => [async] mmap::mincore, full;
        28 madvise(addr: Pointer, len: Size, advice: MadviseAdvice) => [sync] mmap::madvise, full;
        149 mlock(addr: Pointer, len: Size) => [async] mmap::mlock, full;
        150 munlock(addr: Pointer, len: Size) => [async] mmap::munlock, full;
        151 mlockall(flags: MlockallFlags) => [async] mmap::mlockall, full;
        152 munlockall() => [async] mmap::munlockall, full;
        324 membarrier(cmd: MembarrierCmd, flags: Hex, cpu: Int) => [async] mmap::membarrier, full;
        325 mlock2(addr: Pointer, len: Size, flags: Hex) => [async] mmap::mlock2, full;

        // Processes and threads.
        39 getpid() => [sync] process::getpid, full;
        56 clone(flags: CloneFlags, stack: Pointer, parent_tid: Pointer, child_tid: Pointer, tls: Pointer)
            => [async] process::clone, partial "no namespaces";
        57 fork() => [async] process::fork, full;
        58 vfork() => [async] process::vfork, full;
        59 execve(path: Path, argv: ArgvArray, envp: EnvArray)
            => [async] process::execve, partial "file capabilities are not honoured";
        60 exit(status: Int) => [sync] process::exit, full;
        61 wait4(pid: Pid, status: WaitStatus, options: WaitOptions, rusage: Rusage)
            => [async] process::wait4, full;
        109 setpgid(pid: Pid, pgid: Pid) => [sync] process::setpgid, full;
        110 getppid() => [sync] process::getppid, full;
        111 getpgrp() => [sync] process::getpgrp, full;
        112 setsid() => [sync] process::setsid, full;
        121 getpgid(pid: Pid) => [sync] process::getpgid, full;
        124 getsid(pid: Pid) => [sync] process::getsid, full;
        186 gettid() => [sync] process::gettid, full;
        231 exit_group(status: Int) => [sync] process::exit_group, full;
        247 waitid(idtype: WaitIdType, id: Pid, info: OutSigInfo, options: WaitOptions, rusage: Rusage)
            => [async] process::waitid, full;
        322 execveat(dirfd: DirFd, path: Path, argv: ArgvArray, envp: EnvArray, flags: AtFlags)
            => [async] process::execveat, partial "file capabilities are not honoured";
        435 clone3(args: CloneArgs, size: Size)
            => [async] process::clone3, partial "no namespaces, no CLONE_INTO_CGROUP, no set_tid";

        // Scheduling.
        24 sched_yield() => [async] sched::sched_yield, full;
        140 getpriority(which: PriorityWhich, who: Int) => [sync] sched::getpriority, full;
        141 setpriority(which: PriorityWhich, who: Int, prio: Int)
            => [sync] sched::setpriority, partial "kept, but does not change how the host schedules";
        142 sched_setparam(pid: Pid, param: SchedParam)
            => [sync] sched::sched_setparam, partial "kept, but does not change how the host schedules";
        143 sched_getparam(pid: Pid, param: Pointer) => [sync] sched::sched_getparam, full;
        144 sched_setscheduler(pid: Pid, policy: SchedPolicy, param: SchedParam)
            => [sync] sched::sched_setscheduler, partial "kept, but does not change how the host schedules";
        145 sched_getscheduler(pid: Pid) => [sync] sched::sched_getscheduler, full;
        146 sched_get_priority_max(policy: SchedPolicy) => [sync] sched::sched_get_priority_max, full;
        147 sched_get_priority_min(policy: SchedPolicy) => [sync] sched::sched_get_priority_min, full;
        148 sched_rr_get_interval(pid: Pid, interval: OutTimespec)
            => [sync] sched::sched_rr_get_interval, full;
        203 sched_setaffinity(pid: Pid, size: Size, mask: Pointer)
            => [sync] sched::sched_setaffinity, partial "binds host threads with systrap only";
        204 sched_getaffinity(pid: Pid, size: Size, mask: Pointer)
            => [sync] sched::sched_getaffinity, full;
        309 getcpu(cpu: OutInt, node: OutInt) => [sync] sched::getcpu, full;
        314 sched_setattr(pid: Pid, attr: Pointer, flags: Hex)
            => [sync] sched::sched_setattr, partial "no deadline policy; kept, but does not change how the host schedules";
        315 sched_getattr(pid: Pid, attr: Pointer, size: Size, flags: Hex)
            => [sync] sched::sched_getattr, full;

        // The system, limits, process control.
        63 uname(buf: Utsname) => [sync] system::uname, full;
        97 getrlimit(resource: RlimitResource, rlim: OutRlimit) => [sync] limits::getrlimit, full;
        98 getrusage(who: RusageWho, usage: Rusage)
            => [sync] limits::getrusage, partial "no fault, I/O and switch counts";
        99 sysinfo(info: SysInfo) => [sync] system::sysinfo, full;
        135 personality(persona: Hex)
            => [sync] system::personality, partial "kept; address space layout does not follow it";
        157 prctl(option: PrctlOption, arg2: Hex, arg3: Hex, arg4: Hex, arg5: Hex)
            => [async] prctl::prctl, partial "no PR_SET_MM, speculation control; others are EINVAL";
        317 seccomp(op: SeccompOp, flags: SeccompFlags, args: Pointer) => [async] seccomp::seccomp, full;
        158 arch_prctl(code: ArchPrctlCode, addr: Pointer)
            => [async] prctl::arch_prctl, partial "FS and GS bases only";
        160 setrlimit(resource: RlimitResource, rlim: Rlimit) => [sync] limits::setrlimit, full;
        170 sethostname(name: Str, len: Size) => [sync] system::sethostname, full;
        171 setdomainname(name: Str, len: Size) => [sync] system::setdomainname, full;
        302 prlimit64(pid: Pid, resource: RlimitResource, new: Rlimit, old: OutRlimit)
            => [sync] limits::prlimit64, full;
        318 getrandom(buf: OutBuf, len: Size, flags: GetrandomFlags) => [sync] system::getrandom, full;

        // Credentials.
        102 getuid() => [sync] identity::getuid, full;
        104 getgid() => [sync] identity::getgid, full;
        105 setuid(uid: Uid) => [sync] identity::setuid, full;
        106 setgid(gid: Gid) => [sync] identity::setgid, full;
        107 geteuid() => [sync] identity::geteuid, full;
        108 getegid() => [sync] identity::getegid, full;
        113 setreuid(ruid: Uid, euid: Uid) => [sync] identity::setreuid, full;
        114 setregid(rgid: Gid, egid: Gid) => [sync] identity::setregid, full;
        115 getgroups(size: Int, list: Pointer) => [sync] identity::getgroups, full;
        116 setgroups(size: Int, list: GidArray) => [sync] identity::setgroups, full;
        117 setresuid(ruid: Uid, euid: Uid, suid: Uid) => [sync] identity::setresuid, full;
        118 getresuid(ruid: OutInt, euid: OutInt, suid: OutInt) => [sync] identity::getresuid, full;
        119 setresgid(rgid: Gid, egid: Gid, sgid: Gid) => [sync] identity::setresgid, full;
        120 getresgid(rgid: OutInt, egid: OutInt, sgid: OutInt) => [sync] identity::getresgid, full;
        122 setfsuid(uid: Uid) => [sync] identity::setfsuid, full;
        123 setfsgid(gid: Gid) => [sync] identity::setfsgid, full;
        125 capget(header: CapHeader, data: Pointer) => [sync] identity::capget, full;
        126 capset(header: CapHeader, data: CapData) => [sync] identity::capset, full;

        // Futexes.
        202 futex(addr: Pointer, op: FutexOp, val: Hex, timeout: Timespec, addr2: Pointer, val3: Hex)
            => [async] futex::futex, partial "nobody inherits a priority; on systrap FUTEX_WAKE of a word with priority-inheriting waiters finds nobody instead of EINVAL; WAKE_OP is not atomic towards plain instructions on ptrace and with --strace";
        218 set_tid_address(addr: Pointer) => [sync] futex::set_tid_address, full;
        273 set_robust_list(head: Pointer, len: Size) => [sync] futex::set_robust_list, full;
        274 get_robust_list(pid: Pid, head: LongPtr, len: LongPtr)
            => [sync] futex::get_robust_list, full;
        449 futex_waitv(waiters: Pointer, count: UInt, flags: Hex, timeout: Timespec, clock: ClockId)
            => [async] futex::futex_waitv, full;

        // Pipes.
        22 pipe(fds: FdPair) => [sync] pipe::pipe, full;
        275 splice(fd_in: Fd, off_in: LongPtr, fd_out: Fd, off_out: LongPtr, len: Size, flags: SpliceFlags)
            => [async] pipe::splice, full;
        276 tee(fd_in: Fd, fd_out: Fd, len: Size, flags: SpliceFlags) => [async] pipe::tee, full;
        278 vmsplice(fd: Fd, iov: IoVec, count: Size, flags: SpliceFlags)
            => [async] pipe::vmsplice, full;
        293 pipe2(fds: FdPair, flags: OpenFlags) => [sync] pipe::pipe2, full;

        // Waiting for files.
        7 poll(fds: PollFds, count: UInt, timeout_ms: Int) => [async] poll::poll, full;
        23 select(count: Int, read: FdSet, write: FdSet, except: FdSet, time: Timeval)
            => [async] select::select, full;
        213 epoll_create(size: Int) => [sync] epoll::epoll_create, full;
        232 epoll_wait(epfd: Fd, events: EpollEvents, max: Int, timeout_ms: Int)
            => [async] epoll::epoll_wait, full;
        233 epoll_ctl(epfd: Fd, op: EpollOp, fd: Fd, event: EpollEvent)
            => [sync] epoll::epoll_ctl, full;
        270 pselect6(count: Int, read: FdSet, write: FdSet, except: FdSet, time: Timespec, mask: SigSetArg)
            => [async] select::pselect6, full;
        271 ppoll(fds: PollFds, count: UInt, time: Timespec, mask: SigSet, mask_size: Size)
            => [async] poll::ppoll, full;
        281 epoll_pwait(epfd: Fd, events: EpollEvents, max: Int, timeout_ms: Int, mask: SigSet, mask_size: Size)
            => [async] epoll::epoll_pwait, full;
        291 epoll_create1(flags: EpollCreateFlags) => [sync] epoll::epoll_create1, full;
        441 epoll_pwait2(epfd: Fd, events: EpollEvents, max: Int, timeout: Timespec, mask: SigSet, mask_size: Size)
            => [async] epoll::epoll_pwait2, full;

        // Event counters.
        284 eventfd(initial: UInt) => [sync] event::eventfd, full;
        290 eventfd2(initial: UInt, flags: EventfdFlags) => [sync] event::eventfd2, full;

        // Signals.
        13 rt_sigaction(signo: Signal, new: SigAction, old: OutSigAction, size: Size)
            => [sync] signal::rt_sigaction, full;
        14 rt_sigprocmask(how: SigMaskHow, new: SigSet, old: OutSigSet, size: Size)
            => [sync] signal::rt_sigprocmask, full;
        15 rt_sigreturn() => [async] signal::rt_sigreturn, full;
        34 pause() => [async] signal::pause, full;
        62 kill(pid: Pid, signo: Signal) => [sync] kill::kill, full;
        127 rt_sigpending(set: OutSigSet, size: Size) => [sync] signal::rt_sigpending, full;
        128 rt_sigtimedwait(set: SigSet, info: OutSigInfo, timeout: Timespec, size: Size)
            => [async] signal::rt_sigtimedwait, full;
        129 rt_sigqueueinfo(pid: Pid, signo: Signal, info: SigInfo)
            => [sync] kill::rt_sigqueueinfo, full;
        130 rt_sigsuspend(mask: SigSet, size: Size) => [async] signal::rt_sigsuspend, full;
        131 sigaltstack(new: SigAltStack, old: OutSigAltStack)
            => [async] signal::sigaltstack, full;
        200 tkill(tid: Pid, signo: Signal) => [sync] kill::tkill, full;
        219 restart_syscall() => [async] signal::restart_syscall, full;
        234 tgkill(pid: Pid, tid: Pid, signo: Signal) => [sync] kill::tgkill, full;
        297 rt_tgsigqueueinfo(pid: Pid, tid: Pid, signo: Signal, info: SigInfo)
            => [sync] kill::rt_tgsigqueueinfo, full;
        282 signalfd(fd: Fd, mask: SigSet, size: Size) => [sync] signalfd::signalfd, full;
        289 signalfd4(fd: Fd, mask: SigSet, size: Size, flags: SignalfdFlags)
            => [sync] signalfd::signalfd4, full;
        424 pidfd_send_signal(fd: Fd, signo: Signal, info: SigInfo, flags: Hex)
            => [sync] pidfd::pidfd_send_signal, full;
        434 pidfd_open(pid: Pid, flags: PidfdFlags) => [sync] pidfd::pidfd_open, full;
        438 pidfd_getfd(fd: Fd, target_fd: Int, flags: Hex) => [sync] pidfd::pidfd_getfd, full;

        // Clocks.
        35 nanosleep(time: Timespec, left: OutTimespec) => [async] time::nanosleep, full;
        96 gettimeofday(time: OutTimeval, zone: Pointer) => [sync] time::gettimeofday, full;
        100 times(buffer: Tms) => [sync] time::times, full;
        159 adjtimex(buffer: Pointer)
            => [sync] time::adjtimex, partial "reads an unsynchronised clock; changes are EPERM";
        164 settimeofday(time: Timeval, zone: Pointer)
            => [sync] time::settimeofday, partial "always EPERM, with CAP_SYS_TIME too";
        201 time(seconds: OutLong) => [sync] time::time, full;
        227 clock_settime(clock: ClockId, time: Timespec)
            => [sync] time::clock_settime, partial "always EPERM, with CAP_SYS_TIME too";
        228 clock_gettime(clock: ClockId, time: OutTimespec) => [sync] time::clock_gettime, full;
        229 clock_getres(clock: ClockId, resolution: OutTimespec)
            => [sync] time::clock_getres, full;
        230 clock_nanosleep(clock: ClockId, flags: TimerFlags, time: Timespec, left: OutTimespec)
            => [async] time::clock_nanosleep, full;
        305 clock_adjtime(clock: ClockId, buffer: Pointer)
            => [sync] time::clock_adjtime, partial "reads an unsynchronised clock; changes are EPERM";

        // Timers.
        36 getitimer(which: ItimerWhich, value: OutItimerval) => [sync] timer::getitimer, full;
        37 alarm(seconds: UInt) => [sync] timer::alarm, full;
        38 setitimer(which: ItimerWhich, new: Itimerval, old: OutItimerval)
            => [sync] timer::setitimer, full;
        222 timer_create(clock: ClockId, event: SigEvent, id: OutInt)
            => [sync] timer::timer_create, partial "not on another process' CPU time";
        223 timer_settime(id: Int, flags: TimerFlags, new: Itimerspec, old: OutItimerspec)
            => [sync] timer::timer_settime, full;
        224 timer_gettime(id: Int, value: OutItimerspec) => [sync] timer::timer_gettime, full;
        225 timer_getoverrun(id: Int) => [sync] timer::timer_getoverrun, full;
        226 timer_delete(id: Int) => [sync] timer::timer_delete, full;
        283 timerfd_create(clock: ClockId, flags: TimerfdFlags)
            => [sync] timerfd::timerfd_create, full;
        286 timerfd_settime(fd: Fd, flags: TimerfdSetFlags, new: Itimerspec, old: OutItimerspec)
            => [sync] timerfd::timerfd_settime, full;
        287 timerfd_gettime(fd: Fd, value: OutItimerspec) => [sync] timerfd::timerfd_gettime, full;


        // Sockets.
        41 socket(domain: SocketDomain, kind: SocketType, protocol: Int) => [sync] socket::socket, full;
        42 connect(fd: Fd, addr: Sockaddr, len: Int) => [async] socket::connect, full;
        43 accept(fd: Fd, addr: OutSockaddr, len: Pointer) => [async] socket::accept, full;
        44 sendto(fd: Fd, buf: Buf, len: Size, flags: MsgFlags, addr: Sockaddr, addr_len: Int)
            => [async] socket::sendto, full;
        45 recvfrom(fd: Fd, buf: OutBuf, len: Size, flags: MsgFlags, addr: OutSockaddr, addr_len: Pointer)
            => [async] socket::recvfrom, full;
        46 sendmsg(fd: Fd, msg: MsgHdr, flags: MsgFlags) => [async] socket::sendmsg, full;
        47 recvmsg(fd: Fd, msg: OutMsgHdr, flags: MsgFlags) => [async] socket::recvmsg, full;
        48 shutdown(fd: Fd, how: ShutdownHow) => [sync] socket::shutdown, full;
        49 bind(fd: Fd, addr: Sockaddr, len: Int) => [sync] socket::bind, full;
        50 listen(fd: Fd, backlog: Int) => [sync] socket::listen, full;
        51 getsockname(fd: Fd, addr: OutSockaddr, len: Pointer) => [sync] socket::getsockname, full;
        52 getpeername(fd: Fd, addr: OutSockaddr, len: Pointer) => [sync] socket::getpeername, full;
        53 socketpair(domain: SocketDomain, kind: SocketType, protocol: Int, fds: FdPair)
            => [sync] socket::socketpair, full;
        54 setsockopt(fd: Fd, level: SocketLevel, name: SocketOption, value: SockoptValue, len: Int)
            => [sync] socket::setsockopt, full;
        55 getsockopt(fd: Fd, level: SocketLevel, name: SocketOption, value: OutSockoptValue, len: Pointer)
            => [sync] socket::getsockopt, full;
        288 accept4(fd: Fd, addr: OutSockaddr, len: Pointer, flags: SocketFlags)
            => [async] socket::accept4, full;
        299 recvmmsg(fd: Fd, messages: Pointer, count: UInt, flags: MsgFlags, time: Timespec)
            => [async] socket::recvmmsg, full;
        307 sendmmsg(fd: Fd, messages: MMsgHdr, count: UInt, flags: MsgFlags)
            => [async] socket::sendmmsg, full;

        // System V objects and POSIX message queues.
        29 shmget(key: IpcKey, size: Size, flags: IpcFlags) => [sync] shm::shmget, full;
        30 shmat(id: Int, addr: Pointer, flags: Octal)
            => [async] shm::shmat, partial "a read-only attachment can be made writable by mprotect";
        31 shmctl(id: Int, command: IpcCmd, buf: Pointer) => [sync] shm::shmctl, full;
        64 semget(key: IpcKey, count: Int, flags: IpcFlags) => [sync] sem::semget, full;
        65 semop(id: Int, ops: Pointer, count: Size) => [async] sem::semop, full;
        66 semctl(id: Int, number: Int, command: Int, argument: Hex) => [sync] sem::semctl, full;
        67 shmdt(addr: Pointer) => [async] shm::shmdt, full;
        68 msgget(key: IpcKey, flags: IpcFlags) => [sync] msg::msgget, full;
        69 msgsnd(id: Int, message: Pointer, len: Size, flags: IpcFlags)
            => [async] msg::msgsnd, full;
        70 msgrcv(id: Int, message: Pointer, room: Size, kind: Long, flags: IpcFlags)
            => [async] msg::msgrcv, full;
        71 msgctl(id: Int, command: IpcCmd, buf: Pointer) => [sync] msg::msgctl, full;
        220 semtimedop(id: Int, ops: Pointer, count: Size, time: Timespec)
            => [async] sem::semtimedop, full;
        240 mq_open(name: Path, flags: OpenFlags, mode: Mode, attr: Pointer)
            => [sync] mqueue::mq_open, full;
        241 mq_unlink(name: Path) => [sync] mqueue::mq_unlink, full;
        242 mq_timedsend(fd: Fd, text: Buf, len: Size, priority: UInt, time: Timespec)
            => [async] mqueue::mq_timedsend, full;
        243 mq_timedreceive(fd: Fd, text: OutBuf, room: Size, priority: OutInt, time: Timespec)
            => [async] mqueue::mq_timedreceive, full;
        244 mq_notify(fd: Fd, event: SigEvent)
            => [sync] mqueue::mq_notify, partial "no SIGEV_THREAD: there are no netlink sockets";
        245 mq_getsetattr(fd: Fd, new: Pointer, old: Pointer) => [sync] mqueue::mq_getsetattr, full;

        // Other processes.
        310 process_vm_readv(pid: Pid, local: Pointer, local_count: Size, remote: Pointer, remote_count: Size, flags: Hex)
            => [sync] process_vm::process_vm_readv, full;
        311 process_vm_writev(pid: Pid, local: IoVec, local_count: Size, remote: Pointer, remote_count: Size, flags: Hex)
            => [sync] process_vm::process_vm_writev, full;
        101 ptrace(request: PtraceRequest, pid: Pid, addr: Hex, data: Hex)
            => [sync] ptrace::ptrace, partial "no debug registers and block steps, nor requests about filters; those of 32-bit entries are not reported";
        312 kcmp(pid1: Pid, pid2: Pid, kind: Int, index1: ULong, index2: ULong)
            => [sync] kcmp::kcmp, partial "no KCMP_EPOLL_TFD";
        251 ioprio_set(which: Int, who: Int, priority: Hex)
            => [sync] ioprio::ioprio_set, partial "kept, but does not change how the host schedules";
        252 ioprio_get(which: Int, who: Int) => [sync] ioprio::ioprio_get, full;

        // Namespaces.
        308 setns(fd: Fd, kind: UnshareFlags)
            => [sync] namespaces::setns, partial "of namespaces only mount namespaces";

        // Memory policy and protection keys.
        237 mbind(addr: Pointer, len: Size, mode: Int, nodes: Pointer, max_node: ULong, flags: Hex)
            => [sync] numa::mbind, partial "there is one node: policies change nothing";
        238 set_mempolicy(mode: Int, nodes: Pointer, max_node: ULong)
            => [sync] numa::set_mempolicy, partial "there is one node: policies change nothing";
        239 get_mempolicy(mode: OutInt, nodes: Pointer, max_node: ULong, addr: Pointer, flags: Hex)
            => [sync] numa::get_mempolicy, full;
        256 migrate_pages(pid: Pid, max_node: ULong, old: Pointer, new: Pointer)
            => [sync] numa::migrate_pages, partial "there is one node: nothing moves";
        279 move_pages(pid: Pid, count: Size, pages: Pointer, nodes: Pointer, status: Pointer, flags: Hex)
            => [sync] numa::move_pages, partial "there is one node: nothing moves";
        329 pkey_mprotect(addr: Pointer, len: Size, prot: MmapProt, key: Int)
            => [sync] pkey::pkey_mprotect, partial "there are no keys";
        330 pkey_alloc(flags: Hex, rights: Hex)
            => [sync] pkey::pkey_alloc, partial "ENOSPC: there are no keys";
        331 pkey_free(key: Int) => [sync] pkey::pkey_free, partial "EINVAL: there are no keys";

        // Administration.
        103 syslog(action: Int, buf: Pointer, len: Int)
            => [async] log::syslog, partial "the log holds one line";
        153 vhangup() => [sync] admin::vhangup, full;
        169 reboot(magic1: Hex, magic2: Hex, command: Hex)
            => [sync] admin::reboot, full;
    }
    stubs {
        134 uselib => ENOSYS "obsolete; Linux can be built without it";
        136 ustat => ENOSYS "obsolete; statfs tells more";
        139 sysfs => ENOSYS "obsolete; Linux can be built without it";
        154 modify_ldt => ENOSYS "16-bit segments; Linux can be built without it";
        156 _sysctl => ENOSYS "gone from Linux since 5.5; use /proc/sys";
        163 acct => ENOSYS needs CAP_SYS_PACCT "as without CONFIG_BSD_PROCESS_ACCT";
        167 swapon => ENOSYS needs CAP_SYS_ADMIN "as without CONFIG_SWAP";
        168 swapoff => ENOSYS needs CAP_SYS_ADMIN "as without CONFIG_SWAP";
        172 iopl => ENOSYS "as without CONFIG_X86_IOPL_IOPERM; there are no I/O ports";
        173 ioperm => ENOSYS "as without CONFIG_X86_IOPL_IOPERM; there are no I/O ports";
        174 create_module => ENOSYS "gone from Linux";
        175 init_module => ENOSYS needs CAP_SYS_MODULE "as without CONFIG_MODULES";
        176 delete_module => ENOSYS needs CAP_SYS_MODULE "as without CONFIG_MODULES";
        177 get_kernel_syms => ENOSYS "gone from Linux";
        178 query_module => ENOSYS "gone from Linux";
        179 quotactl => ENOSYS "as without CONFIG_QUOTA";
        180 nfsservctl => ENOSYS "gone from Linux";
        181 getpmsg => ENOSYS "never in Linux";
        182 putpmsg => ENOSYS "never in Linux";
        183 afs_syscall => ENOSYS "never in Linux";
        184 tuxcall => ENOSYS "never in Linux";
        185 security => ENOSYS "never in Linux";
        205 set_thread_area => ENOSYS "for 32-bit programs only";
        206 io_setup => ENOSYS "as without CONFIG_AIO";
        207 io_destroy => ENOSYS "as without CONFIG_AIO";
        208 io_getevents => ENOSYS "as without CONFIG_AIO";
        209 io_submit => ENOSYS "as without CONFIG_AIO";
        210 io_cancel => ENOSYS "as without CONFIG_AIO";
        211 get_thread_area => ENOSYS "for 32-bit programs only";
        212 lookup_dcookie => ENOSYS "gone from Linux since 6.7";
        214 epoll_ctl_old => ENOSYS "never in Linux";
        215 epoll_wait_old => ENOSYS "never in Linux";
        216 remap_file_pages => ENOSYS "obsolete; mmap does the same";
        236 vserver => ENOSYS "never in Linux";
        246 kexec_load => ENOSYS needs CAP_SYS_BOOT "as without CONFIG_KEXEC";
        248 add_key => ENOSYS "as without CONFIG_KEYS";
        249 request_key => ENOSYS "as without CONFIG_KEYS";
        250 keyctl => ENOSYS "as without CONFIG_KEYS";
        298 perf_event_open => ENOSYS "as without CONFIG_PERF_EVENTS";
        300 fanotify_init => ENOSYS "as without CONFIG_FANOTIFY; inotify is there";
        301 fanotify_mark => ENOSYS "as without CONFIG_FANOTIFY; inotify is there";
        313 finit_module => ENOSYS needs CAP_SYS_MODULE "as without CONFIG_MODULES";
        320 kexec_file_load => ENOSYS needs CAP_SYS_BOOT "as without CONFIG_KEXEC_FILE";
        321 bpf => ENOSYS "as without CONFIG_BPF_SYSCALL";
        323 userfaultfd => ENOSYS "as without CONFIG_USERFAULTFD: page faults are the host's";
        333 io_pgetevents => ENOSYS "as without CONFIG_AIO";
        334 rseq => ENOSYS "as without CONFIG_RSEQ; the C library does without";
        335 uretprobe => ENOSYS "for the kernel's own use";
        425 io_uring_setup => ENOSYS "as without CONFIG_IO_URING";
        426 io_uring_enter => ENOSYS "as without CONFIG_IO_URING";
        427 io_uring_register => ENOSYS "as without CONFIG_IO_URING";
        428 open_tree => ENOSYS "use mount";
        429 move_mount => ENOSYS "use mount";
        430 fsopen => ENOSYS "use mount";
        431 fsconfig => ENOSYS "use mount";
        432 fsmount => ENOSYS "use mount";
        433 fspick => ENOSYS "use mount";
        440 process_madvise => ENOSYS "as without CONFIG_ADVISE_SYSCALLS";
        442 mount_setattr => ENOSYS "use mount";
        443 quotactl_fd => ENOSYS "as without CONFIG_QUOTA";
        444 landlock_create_ruleset => ENOSYS "as without CONFIG_SECURITY_LANDLOCK";
        445 landlock_add_rule => ENOSYS "as without CONFIG_SECURITY_LANDLOCK";
        446 landlock_restrict_self => ENOSYS "as without CONFIG_SECURITY_LANDLOCK";
        447 memfd_secret => ENOSYS "as without CONFIG_SECRETMEM";
        448 process_mrelease => ENOSYS "the host frees the memory of the dead by itself";
        450 set_mempolicy_home_node => ENOSYS "as without CONFIG_NUMA";
        451 cachestat => ENOSYS "as without CONFIG_CACHESTAT_SYSCALL";
        453 map_shadow_stack => ENOSYS "as without CONFIG_X86_USER_SHADOW_STACK";
        454 futex_wake => ENOSYS "newer than what programs rely on; use futex";
        455 futex_wait => ENOSYS "newer than what programs rely on; use futex";
        456 futex_requeue => ENOSYS "newer than what programs rely on; use futex";
        457 statmount => ENOSYS "use /proc/self/mountinfo";
        458 listmount => ENOSYS "use /proc/self/mountinfo";
        459 lsm_get_self_attr => ENOSYS "as without CONFIG_SECURITY";
        460 lsm_set_self_attr => ENOSYS "as without CONFIG_SECURITY";
        461 lsm_list_modules => ENOSYS "as without CONFIG_SECURITY";
        462 mseal => ENOSYS "newer than what programs rely on";
        463 setxattrat => ENOSYS "newer than the release that uname reports";
        464 getxattrat => ENOSYS "newer than the release that uname reports";
        465 listxattrat => ENOSYS "newer than the release that uname reports";
        466 removexattrat => ENOSYS "newer than the release that uname reports";
        467 open_tree_attr => ENOSYS "newer than the release that uname reports";
        468 file_getattr => ENOSYS "newer than the release that uname reports";
        469 file_setattr => ENOSYS "newer than the release that uname reports";
    }
}
