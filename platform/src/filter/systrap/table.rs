//! Which calls reach the host and why, and which ones trap.

use linux_abi::Errno;
use linux_abi::futex::{
    FUTEX_CLOCK_REALTIME, FUTEX_CMP_REQUEUE, FUTEX_PRIVATE_FLAG, FUTEX_REQUEUE, FUTEX_WAIT,
    FUTEX_WAIT_BITSET, FUTEX_WAKE, FUTEX_WAKE_BITSET, FUTEX_WAKE_OP,
};
use linux_abi::mm::{
    MADV_COLD, MADV_COLLAPSE, MADV_DODUMP, MADV_DOFORK, MADV_DONTDUMP, MADV_DONTFORK,
    MADV_DONTNEED, MADV_DONTNEED_LOCKED, MADV_FREE, MADV_GUARD_INSTALL, MADV_GUARD_REMOVE,
    MADV_HUGEPAGE, MADV_KEEPONFORK, MADV_NOHUGEPAGE, MADV_NORMAL, MADV_PAGEOUT, MADV_POPULATE_READ,
    MADV_POPULATE_WRITE, MADV_RANDOM, MADV_REMOVE, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_WIPEONFORK,
};
use linux_abi::sysno::SYS_MAP_SHADOW_STACK;
use linux_abi::task::{ARCH_GET_FS, ARCH_GET_GS, ARCH_SET_FS, ARCH_SET_GS};
use linux_abi::time::{
    CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME,
    CLOCK_REALTIME_COARSE, CLOCK_TAI,
};

use Bound::{
    AtMost, BesideAreas, CatchAll, Channel, Conduit, IsLong, Lacks, OneOf, OneOfBeside, Outside,
};

/// Flags of `clone(2)` for a process with a copy of the memory; it becomes the sentry's child.
pub const CLONE_COPY: u64 = (libc::CLONE_PARENT | libc::SIGCHLD) as u64;
/// The same for a process that shares the memory.
pub const CLONE_SHARE: u64 = CLONE_COPY | libc::CLONE_VM as u64;
/// The same for a thread.
pub const CLONE_THREAD: u64 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM) as u64;

/// A system call that the host executes.
#[derive(Clone, Copy, Debug)]
pub struct HostCall {
    /// Its number on x86-64.
    pub number: i64,
    /// Alternatives, each a list of bounds that must all hold; none means "always".
    pub when: &'static [&'static [Bound]],
    /// How it fails out of bounds.
    pub refusal: Errno,
    /// Whether the sentry is asked each time, and lets the host go on.
    pub is_asked: bool,
    /// Why it harms nobody but the process that makes it.
    pub reason: &'static str,
}

/// A condition on arguments (counted from 0). Where the kernel takes an `int`, the lower 32 bits
/// are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The `int` is listed.
    OneOf(u8, &'static [i32]),
    /// The same, whether the bits of `ignored` are set or not.
    OneOfBeside { arg: u8, ignored: i32, values: &'static [i32] },
    /// None of these bits of the lower half is set.
    Lacks(u8, i32),
    /// All 64 bits are equal.
    IsLong(u8, u64),
    /// All 64 bits together are no larger.
    AtMost(u8, u32),
    /// The range from the address in `addr`, of as many bytes as `len` says, does not meet the
    /// stub's window. Neither does a range without bytes begin there.
    Outside { addr: u8, len: u8 },
    /// The range from the address in `addr`, of as many bytes as `len` says, lies between two places
    /// where trampolines may be ([`AREA_PERIOD`](crate::systrap::patch::AREA_PERIOD)).
    BesideAreas { addr: u8, len: u8 },
    /// The arguments of `mmap(2)` by which a forked stub replaces its channel memory: just that
    /// range, shared and fixed, readable and writable.
    Channel,
    /// The arguments of `mmap(2)` by which a stub gets the memory of a conduit: as much as one has,
    /// where they are, shared and fixed, readable and writable.
    Conduit,
    /// The arguments of `seccomp(2)` that install the second filter, which lies in the stub's code,
    /// without flags.
    CatchAll,
}

const fn always(number: i64, reason: &'static str) -> HostCall {
    HostCall { number, when: &[], refusal: Errno::EINVAL, is_asked: false, reason }
}

const fn within(
    number: i64,
    when: &'static [&'static [Bound]],
    refusal: Errno,
    reason: &'static str,
) -> HostCall {
    HostCall { number, when, refusal, is_asked: false, reason }
}

const fn asked(call: HostCall) -> HostCall {
    HostCall { is_asked: true, ..call }
}

/// Where most calls on memory state their range.
const RANGE: Bound = Outside { addr: 0, len: 1 };
const FIXED: i32 = libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE;

/// What the stub may ask of the host.
pub const HOST_CALLS: &[HostCall] = &[
    within(
        libc::SYS_mmap,
        &[
            // Linux: without MAP_FIXED the address is a hint, followed where nothing is mapped.
            &[Lacks(3, libc::MAP_HUGETLB), Lacks(3, FIXED)],
            &[Lacks(3, libc::MAP_HUGETLB), RANGE],
            &[Channel],
            &[Conduit],
        ],
        Errno::ENOMEM,
        "its own memory; files only through descriptors it was given; no huge pages, of which the \
         host has few",
    ),
    within(libc::SYS_munmap, &[&[RANGE]], Errno::EINVAL, "its own memory"),
    within(libc::SYS_mprotect, &[&[RANGE]], Errno::EINVAL, "its own memory"),
    within(
        libc::SYS_mremap,
        &[&[Lacks(3, libc::MREMAP_FIXED), RANGE], &[RANGE, Outside { addr: 4, len: 2 }]],
        Errno::EINVAL,
        "its own memory",
    ),
    within(
        libc::SYS_madvise,
        &[&[OneOf(2, ADVICE), RANGE]],
        Errno::EINVAL,
        "its own memory and files it can write; no merging of equal pages, which tells what others \
         hold, and no errors of hardware",
    ),
    within(libc::SYS_msync, &[&[RANGE]], Errno::EINVAL, "its own memory and files mapped there"),
    within(
        libc::SYS_mlock2,
        &[&[RANGE]],
        Errno::EINVAL,
        "its own memory, bounded by RLIMIT_MEMLOCK",
    ),
    within(libc::SYS_munlock, &[&[RANGE]], Errno::EINVAL, "its own memory"),
    always(libc::SYS_mlockall, "its own memory, bounded by RLIMIT_MEMLOCK"),
    always(libc::SYS_munlockall, "its own memory"),
    within(
        libc::SYS_mincore,
        &[&[RANGE]],
        Errno::EINVAL,
        "its own memory; the host hides the page cache of files it may not write",
    ),
    always(
        libc::SYS_brk,
        "its own heap, bounded by what else is mapped; it begins where the sentry has said",
    ),
    always(libc::SYS_membarrier, "its own threads, and processes that registered for barriers"),
    asked(within(
        libc::SYS_clone,
        &[&[IsLong(0, CLONE_COPY)], &[IsLong(0, CLONE_SHARE)], &[IsLong(0, CLONE_THREAD)]],
        Errno::EINVAL,
        "exactly these flags: what comes of it is under this filter; no namespaces, no tracing; \
         asked, so that there are no more threads and processes than the sentry has commanded",
    )),
    FUTEX,
    FUTEX_WAITV,
    asked(within(
        libc::SYS_seccomp,
        &[&[CatchAll]],
        Errno::EINVAL,
        "its own calls: fewer reach the host then; asked, so that the host keeps no more filters \
         than the sentry has commanded",
    )),
    asked(within(
        libc::SYS_prctl,
        &[&[OneOf(0, &[libc::PR_SET_MM]), IsLong(1, libc::PR_SET_MM_MAP as u64)]],
        Errno::EINVAL,
        "where its own heap is; asked, so that it is said only before a program runs, which might \
         have the host unmap the stub's window otherwise",
    )),
    always(
        libc::SYS_set_tid_address,
        "its own thread; a word of its own memory, which the host clears at its end",
    ),
    always(libc::SYS_close, "its own descriptors"),
    within(
        libc::SYS_close_range,
        &[&[OneOf(2, &[0])]],
        Errno::EINVAL,
        "its own descriptors; no flags",
    ),
    within(
        libc::SYS_setpgid,
        &[&[OneOf(0, &[0]), OneOf(1, &[0])]],
        Errno::EPERM,
        "its own process; only into a group of its own, by which the sentry knows its children",
    ),
    always(libc::SYS_sigaltstack, "its own thread"),
    always(libc::SYS_rt_sigreturn, "its own thread"),
    always(libc::SYS_rt_sigprocmask, "its own thread; the host never lets it block SIGKILL"),
    always(libc::SYS_exit, "its own thread"),
    always(libc::SYS_sched_yield, "takes no arguments"),
    within(
        libc::SYS_arch_prctl,
        &[&[OneOf(0, &[ARCH_SET_GS, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS])]],
        Errno::EINVAL,
        "its own registers; above all no tagged addresses, which would give a page many addresses",
    ),
    always(libc::SYS_gettid, "takes no arguments"),
    within(
        libc::SYS_clock_gettime,
        &[&[OneOf(0, CLOCKS)]],
        Errno::EINVAL,
        "the time of day and since the start, as the vDSO tells; no clocks of other processes",
    ),
    always(libc::SYS_getcpu, "its own memory; which processor it runs on, as the vDSO tells"),
];

const FUTEX: HostCall = within(
    libc::SYS_futex,
    &[&[OneOfBeside {
        arg: 1,
        ignored: FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME,
        values: FUTEX_OPS,
    }]],
    Errno::ENOSYS,
    "who waits on memory that it shares; no priority inheritance, which acts on other threads",
);

/// What guest code asks of the host by itself where futexes are native: all of it then, as those
/// who wait for a word must be in one place. Out of bounds the sentry is notified, which serves by itself
/// what the host must not, and refuses the rest as said here.
pub const FUTEX_CALLS: &[HostCall] = &[FUTEX, FUTEX_WAITV];

const FUTEX_WAITV: HostCall = within(
    libc::SYS_futex_waitv,
    &[&[OneOf(2, &[0])]],
    Errno::EINVAL,
    "who waits on memory that it shares, on 128 words at most",
);

/// What else guest code asks of the host by itself then: calls that change nothing but the caller,
/// and of which nobody keeps account. Out of bounds they go where all others go.
pub const OWN_CALLS: &[HostCall] = &[
    within(
        libc::SYS_mmap,
        &[&[IsLong(0, 0), OneOf(2, PLAIN_PROTECTIONS), OneOf(3, NEW_MEMORY)]],
        Errno::ENOMEM,
        "new memory of its own, where the host finds room",
    ),
    within(
        libc::SYS_mprotect,
        &[&[OneOf(2, &[libc::PROT_READ]), BesideAreas { addr: 0, len: 1 }, RANGE]],
        Errno::EINVAL,
        "its own memory, which it then can only read",
    ),
    within(
        libc::SYS_arch_prctl,
        &[&[OneOf(0, &[ARCH_SET_FS])]],
        Errno::EINVAL,
        "its own register, which an instruction changes as well",
    ),
    always(
        libc::SYS_brk,
        "its own heap, bounded by what else is mapped; it begins where the sentry has said",
    ),
    within(
        libc::SYS_getrandom,
        &[&[AtMost(1, RANDOM_MAX), OneOf(2, &[0, libc::GRND_NONBLOCK as i32])]],
        Errno::EINVAL,
        "its own memory; so few bytes that no signal interrupts it",
    ),
];

const PLAIN_PROTECTIONS: &[i32] =
    &[libc::PROT_NONE, libc::PROT_READ, libc::PROT_WRITE, libc::PROT_READ | libc::PROT_WRITE];

/// Flags of `mmap(2)` for new private memory.
const NEW_MEMORY: &[i32] = &[
    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK,
    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK,
];

/// So many bytes `getrandom(2)` gives whatever happens meanwhile.
const RANDOM_MAX: u32 = 256;

/// Calls that programs make when they start, and that fail with ENOSYS in every sandbox: where futexes
/// are native the host says so.
pub const UNKNOWN_CALLS: &[i64] = &[libc::SYS_rseq];

/// Whether a call is one of [`FUTEX_CALLS`] within its bounds.
pub fn is_native(number: u64, args: &[u64; 6]) -> bool {
    let holds = |bound: &Bound| match *bound {
        OneOf(arg, values) => values.contains(&(args[usize::from(arg)] as i32)),
        OneOfBeside { arg, ignored, values } => {
            values.contains(&(args[usize::from(arg)] as i32 & !ignored))
        }
        _ => false,
    };
    let call = FUTEX_CALLS.iter().find(|call| call.number as u64 == number);
    call.is_some_and(|call| call.when.iter().any(|bounds| bounds.iter().all(holds)))
}

/// What `madvise(2)` may say. MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_HWPOISON and
/// MADV_SOFT_OFFLINE are missing on purpose, others because Linux did not have them yet.
const ADVICE: &[i32] = &[
    MADV_NORMAL,
    MADV_RANDOM,
    MADV_SEQUENTIAL,
    MADV_WILLNEED,
    MADV_DONTNEED,
    MADV_FREE,
    MADV_REMOVE,
    MADV_DONTFORK,
    MADV_DOFORK,
    MADV_HUGEPAGE,
    MADV_NOHUGEPAGE,
    MADV_DONTDUMP,
    MADV_DODUMP,
    MADV_WIPEONFORK,
    MADV_KEEPONFORK,
    MADV_COLD,
    MADV_PAGEOUT,
    MADV_POPULATE_READ,
    MADV_POPULATE_WRITE,
    MADV_DONTNEED_LOCKED,
    MADV_COLLAPSE,
    MADV_GUARD_INSTALL,
    MADV_GUARD_REMOVE,
];

const FUTEX_OPS: &[i32] = &[
    FUTEX_WAIT,
    FUTEX_WAKE,
    FUTEX_REQUEUE,
    FUTEX_CMP_REQUEUE,
    FUTEX_WAKE_OP,
    FUTEX_WAIT_BITSET,
    FUTEX_WAKE_BITSET,
];

/// Negative numbers name the clocks of processes, also of those that belong to others.
const CLOCKS: &[i32] = &[
    CLOCK_REALTIME,
    CLOCK_MONOTONIC,
    CLOCK_MONOTONIC_RAW,
    CLOCK_REALTIME_COARSE,
    CLOCK_MONOTONIC_COARSE,
    CLOCK_BOOTTIME,
    CLOCK_TAI,
];

/// What the host's own vsyscall page offers. The host asks the filter, then acts without entering
/// a call.
pub const VSYSCALLS: &[HostCall] = &[
    always(libc::SYS_gettimeofday, "its own memory; vsyscall page"),
    always(libc::SYS_time, "its own memory; vsyscall page"),
    always(libc::SYS_getcpu, "its own memory; vsyscall page"),
];

/// Calls of the guest that raise SIGSYS: the sentry needs all registers for them, or has the stub
/// act. For all others number and arguments are enough.
pub const TRAPPED: &[i64] = &[
    // Memory: the stub acts.
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_brk,
    libc::SYS_mremap,
    libc::SYS_msync,
    libc::SYS_mincore,
    libc::SYS_madvise,
    libc::SYS_shmat,
    libc::SYS_shmdt,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_mlockall,
    libc::SYS_munlockall,
    libc::SYS_remap_file_pages,
    libc::SYS_membarrier,
    libc::SYS_mlock2,
    libc::SYS_pkey_mprotect,
    libc::SYS_process_madvise,
    SYS_MAP_SHADOW_STACK as i64,
    libc::SYS_mseal,
    // Threads, processes, programs: the registers are copied or replaced.
    libc::SYS_clone,
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_clone3,
    // The stub ends its thread.
    libc::SYS_exit,
    // Signal frames and segment bases.
    libc::SYS_rt_sigreturn,
    libc::SYS_arch_prctl,
];
