//! How each argument of a system call is shown.

macro_rules! kinds {
    ($(#[$enum_doc:meta])* pub enum ArgKind { $($(#[$doc:meta])* $kind:ident,)* }) => {
        $(#[$enum_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ArgKind { $($(#[$doc])* $kind,)* }

        /// Every kind, for tests.
        #[cfg(test)]
        pub(super) const ALL: &[ArgKind] = &[$(ArgKind::$kind),*];
    };
}

kinds! {
/// How an argument is shown. A table row names one for each argument.
///
/// Kinds that begin with `Out`, and those listed in [`ArgKind::is_output`], are memory that the
/// call fills in: they are shown once it has returned, and as an address when it failed.
pub enum ArgKind {
    // Numbers.
    Int,
    UInt,
    Long,
    ULong,
    Hex,
    Octal,
    Size,
    Offset,
    /// An address that nothing is read from.
    Pointer,
    Pid,
    Uid,
    Gid,
    Fd,
    /// A descriptor or `AT_FDCWD`.
    DirFd,
    Mode,
    Device,
    Signal,
    /// A key of a System V object.
    IpcKey,

    // Flags.
    OpenFlags,
    AtFlags,
    /// The flags of `faccessat2(2)`.
    AccessFlags,
    /// `R_OK` and the like.
    AccessMode,
    MmapProt,
    MmapFlags,
    MremapFlags,
    MsyncFlags,
    MlockallFlags,
    CloneFlags,
    UnshareFlags,
    WaitOptions,
    MsgFlags,
    MountFlags,
    UmountFlags,
    RenameFlags,
    FallocateFlags,
    SpliceFlags,
    RwFlags,
    MemfdFlags,
    EventfdFlags,
    EpollCreateFlags,
    TimerfdFlags,
    TimerfdSetFlags,
    /// `TIMER_ABSTIME`.
    TimerFlags,
    SignalfdFlags,
    InotifyInitFlags,
    InotifyMask,
    PidfdFlags,
    CloseRangeFlags,
    GetrandomFlags,
    SyncFileRangeFlags,
    XattrFlags,
    StatxMask,
    SeccompFlags,
    IpcFlags,
    /// The flags of `accept4(2)`.
    SocketFlags,
    OpenTreeFlags,
    MoveMountFlags,
    MountAttrFlags,

    // Choices.
    Whence,
    FcntlCmd,
    FlockOp,
    IoctlCmd,
    FutexOp,
    EpollOp,
    SigMaskHow,
    MadviseAdvice,
    FadviseAdvice,
    WaitIdType,
    PrctlOption,
    ArchPrctlCode,
    ClockId,
    ItimerWhich,
    RlimitResource,
    RusageWho,
    PriorityWhich,
    SchedPolicy,
    SocketDomain,
    SocketType,
    SocketLevel,
    /// The option; the argument before it is the level.
    SocketOption,
    ShutdownHow,
    PtraceRequest,
    SeccompOp,
    MembarrierCmd,
    IpcCmd,

    // Memory that the call reads.
    Path,
    /// Any other zero-terminated string.
    Str,
    /// Bytes; the next argument is their number.
    Buf,
    /// An array of strings that a null pointer ends.
    ArgvArray,
    /// The same, of which only the number is shown.
    EnvArray,
    /// `struct iovec`; the next argument is their number.
    IoVec,
    SigSet,
    /// The pair of an address and a size of `pselect6(2)`.
    SigSetArg,
    SigAction,
    SigAltStack,
    SigInfo,
    SigEvent,
    Timespec,
    /// Two times, for `utimensat(2)`.
    TimespecPair,
    Timeval,
    TimevalPair,
    Itimerval,
    Itimerspec,
    /// An address; the next argument is its length.
    Sockaddr,
    MsgHdr,
    /// `struct mmsghdr`; the next argument is their number.
    MMsgHdr,
    /// `struct pollfd`; the next argument is their number.
    PollFds,
    /// A set of descriptors; the first argument is how many there are to look at.
    FdSet,
    Rlimit,
    EpollEvent,
    CloneArgs,
    OpenHow,
    SchedParam,
    CapHeader,
    CapData,
    IntPtr,
    LongPtr,
    /// Group ids; the argument before is their number.
    GidArray,
    /// A socket option's value; the next argument is its length.
    SockoptValue,

    // What it is depends on the argument before it.
    FcntlArg,
    IoctlArg,
    PrctlArg,

    // Memory that the call fills in.
    OutPath,
    /// Bytes; the result is their number.
    OutBuf,
    OutIoVec,
    OutMsgHdr,
    /// An address; the next argument points to its length.
    OutSockaddr,
    /// A socket option's value; the next argument points to its length.
    OutSockoptValue,
    OutSigSet,
    OutSigAction,
    OutSigAltStack,
    OutSigInfo,
    OutTimespec,
    OutTimeval,
    OutItimerval,
    OutItimerspec,
    OutRlimit,
    OutInt,
    OutLong,
    Stat,
    Statx,
    StatFs,
    Rusage,
    Utsname,
    SysInfo,
    Tms,
    /// Two descriptors.
    FdPair,
    /// What `wait4(2)` says of a child.
    WaitStatus,
    /// `struct epoll_event`; the result is their number.
    EpollEvents,
    /// Directory entries; the result is their size.
    Dirents,
}
}

impl ArgKind {
    /// Whether the argument is memory that the call fills in.
    pub fn is_output(self) -> bool {
        use ArgKind::*;
        matches!(
            self,
            OutPath
                | OutBuf
                | OutIoVec
                | OutMsgHdr
                | OutSockaddr
                | OutSockoptValue
                | OutSigSet
                | OutSigAction
                | OutSigAltStack
                | OutSigInfo
                | OutTimespec
                | OutTimeval
                | OutItimerval
                | OutItimerspec
                | OutRlimit
                | OutInt
                | OutLong
                | Stat
                | Statx
                | StatFs
                | Rusage
                | Utsname
                | SysInfo
                | Tms
                | FdPair
                | WaitStatus
                | EpollEvents
                | Dirents
        )
    }
}
