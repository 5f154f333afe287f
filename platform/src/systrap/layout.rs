//! What the sentry and the stub have in common: where things lie in a guest process, and the words
//! they exchange. The stub's own crate compiles this file too, so it needs nothing but `core`.
//!
//! Every guest address space has one *window*, 4 GiB at an address that is the same in all
//! processes of a sandbox:
//!
//! ```text
//! CODE_OFFSET     the stub's code, read and execute
//! CPUID_OFFSET    what `cpuid` answers, read only; the same for all
//! CHANNEL_OFFSET  slots, one a thread, shared with the sentry; the first ones are a table
//! CONDUIT_OFFSET  bytes on their way between processes, shared with those that have them open
//! ```
//!
//! A slot is a [`Control`] block, whose page ends with the stack of a thread that starts, a page
//! that begins with a [`Fast`] block, and the alternate signal stack. The guest can write all of
//! it: what the sentry reads here is untrusted.
//!
//! The table has [`TABLE_ENTRIES`] words: addresses of `Fast` blocks, or 0. A patched call finds
//! its thread's block in the entry whose number is the low half of the CRC-32C of FS.base. Behind it,
//! in the place of a slot, lies what the threads of the address space share: [`Plain`], and which
//! descriptors they may read and write by themselves ([`served_file`]).

/// The system call number that rings for the sentry; Linux has none near it.
pub const DOORBELL: u32 = 0x004d_5a00;

pub const WINDOW_BYTES: u64 = 1 << 32;

pub const CODE_OFFSET: u64 = 0x10_0000;
pub const CODE_BYTES: u64 = 0x5000;

/// Where [`CpuidTable`] lies, from the start of the code on.
pub const CPUID_OFFSET: u64 = CODE_BYTES;
pub const CPUID_BYTES: u64 = 0x1000;

/// Within the code: a `struct sock_fprog`, and behind it the program of the second filter.
pub const CATCH_ALL_OFFSET: u64 = CODE_BYTES - 0x200;

pub const CHANNEL_OFFSET: u64 = 0x1000_0000;
pub const CHANNEL_BYTES: u64 = SLOT_COUNT * SLOT_BYTES;

/// Conduits, each at its number times [`CONDUIT_BYTES`].
pub const CONDUIT_OFFSET: u64 = CHANNEL_OFFSET + CHANNEL_BYTES;
pub const CONDUIT_BYTES: u64 = 0x2_0000;
pub const CONDUIT_COUNT: u64 = 4096;

pub const SLOT_BYTES: u64 = 0x1_0000;
pub const SLOT_COUNT: u64 = 16_384;

/// Slots whose place the table takes.
pub const TABLE_SLOTS: u64 = TABLE_ENTRIES * 8 / SLOT_BYTES;
pub const TABLE_ENTRIES: u64 = 1 << 16;

/// Where [`Plain`] lies behind the start of all slots, and the first slot that a thread can have.
pub const PLAIN_OFFSET: u64 = TABLE_SLOTS * SLOT_BYTES;
pub const FIRST_SLOT: u64 = TABLE_SLOTS + 1;

/// A word for each descriptor below [`FILES_MAX`]: see [`served_file`].
pub const FILES_OFFSET: u64 = PLAIN_OFFSET + 0x1000;
pub const FILES_MAX: u64 = 1024;

/// The control block and, growing down from its end, the stack of a starting thread.
pub const CONTROL_BYTES: u64 = 0x1000;
/// The fast block and, growing down from the end of its page, the stack on which it is used.
pub const FAST_OFFSET: u64 = 0x1000;
pub const FAST_BYTES: u64 = 0x1000;
/// Where that stack begins, from the block on.
pub const FAST_STACK: u64 = FAST_BYTES - 16;

/// The hotline, in the page of the fast block.
pub const HOTLINE_OFFSET: u64 = FAST_OFFSET + 0x200;

/// What the stub reports there, in the same page.
pub const REPORTS_OFFSET: u64 = HOTLINE_OFFSET + 64;

/// The guest's bytes that go along with a call by the hotline, ...
pub const SENT_OFFSET: u64 = 0x2000;
pub const SENT_MAX: u64 = 0x2000;
/// ... and those that come back.
pub const ROOM_OFFSET: u64 = 0x4000;
pub const ROOM_MAX: u64 = 0x4000;

/// The alternate signal stack: from here to the end of the slot.
pub const STACK_OFFSET: u64 = 0x8000;

/// The signal by which the sentry kicks a thread, SIGURG.
pub const KICK: u64 = 23;

/// First argument of a doorbell: why the stub rings. The others are named behind each.
pub mod event {
    /// A new thread is ready. Address of its slot.
    pub const HELLO: u64 = 1;
    /// A signal arrived: addresses of `ucontext` and `siginfo`, number, FS.base, GS.base.
    pub const SIGNAL: u64 = 2;
    /// The commanded calls are done. Result of the first, unless the command says otherwise.
    pub const DONE: u64 = 3;
    /// Something has changed in a conduit that the sentry wants to hear of. What [`at`](super::at) says.
    pub const READY: u64 = 4;
    /// A kick was not reported, as the thread had a lock: it shall be kicked again.
    pub const KICKED: u64 = 5;
}

/// Result of a doorbell: what to do, in the low byte, and flags.
pub mod command {
    /// Go on with the guest, from the signal frame.
    pub const RESUME: u64 = 1;
    /// Make [`Control::calls`](super::Control) and ring again.
    pub const CALLS: u64 = 2;
    /// Make the thread or process that [`Control::spawn`](super::Control) describes and ring again.
    pub const SPAWN: u64 = 3;
    /// End the thread. Above the low byte: the address of an `int` for the host to clear then, or 0.
    pub const EXIT: u64 = 4;
    pub const EXIT_WORD_SHIFT: u32 = 8;

    /// Flag of `CALLS`: make no more calls after one that fails, and answer with its result; else
    /// that of the first.
    pub const UNTIL_ERROR: u64 = 0x800;
    /// Flag of `CALLS` with `THEN_RESUME`: put [`Control::value`](super::Control) there instead, but
    /// ring with the first result if that is an error.
    pub const UNLESS_FAILED: u64 = 0x1000;
    /// Flag of `CALLS`: put the first result into the guest's rax and resume, without a ring.
    pub const THEN_RESUME: u64 = 0x400;
    /// Flag of `RESUME`: load FS.base first.
    pub const LOAD_FS: u64 = 0x100;
    /// Flag of `RESUME`: load GS.base first.
    pub const LOAD_GS: u64 = 0x200;
}

/// In the place of a descriptor's number: the one that came with the command.
pub const DESCRIPTOR: u64 = i64::MIN as u64;

/// In the place of a system call's number: change the futex word at the first argument, an address; the
/// others are the bits that are compared, what they must be, the bits that stay, those that are set.
pub const CHANGE_WORD: u64 = DESCRIPTOR + 1;

/// A system call for the stub to make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Call {
    pub number: u64,
    pub args: [u64; 6],
}

/// Most calls of one command: enough for the segments of a program and of its interpreter.
pub const CALLS_MAX: usize = 16;

/// A thread or process for the stub to make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SpawnArgs {
    /// Flags of `clone(2)`.
    pub flags: u64,
    /// Address of the child's slot.
    pub slot: u64,
    /// [`DESCRIPTOR`] for the child's own channel memory; `u64::MAX` if it shares the parent's.
    pub channel: u64,
    /// Whether the child keeps the descriptors below that one.
    pub keeps_others: u64,
}

/// What the sentry writes for the stub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Control {
    pub fs_base: u64,
    pub gs_base: u64,
    /// Address of the `ucontext` with which a new thread starts.
    pub context: u64,
    /// Whether a new thread is a process, which gets a group of its own; where the thread puts a word
    /// of guest memory then, or 0; the word.
    pub birth: [u64; 3],
    /// The command, if it is not 0: the answer is the number of a descriptor then.
    pub command: u64,
    /// What the guest gets, see [`command::UNLESS_FAILED`].
    pub value: u64,
    pub call_count: u64,
    pub calls: [Call; CALLS_MAX],
    pub spawn: SpawnArgs,
    pub init: Init,
}

/// What the stub needs for serving a thread's patched calls, and where the thread's registers are
/// meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Fast {
    /// The FS.base, negated, of the thread that the block belongs to. The first field: trampolines
    /// compare it.
    pub negated_fs_base: u64,
    /// Whether a worker watches the [`Hotline`].
    pub is_open: u64,
    /// Address of the trampoline's data, see [`info`].
    pub info: u64,
    pub saved: Saved,
    /// Where the stub leaves for, and what is in rax then.
    pub target: u64,
    pub result: u64,
    /// How far a call is that the stub makes by itself, one of [`change`].
    pub change: u64,
    /// The conduit that the thread is at, see [`at`], or 0.
    pub conduit: u64,
    /// The place that its end is at once the present call is made.
    pub goal: u64,
    /// By which conduits know the thread.
    pub token: u64,
    /// Whether the thread's descriptors are those of [`FILES_OFFSET`].
    pub has_files: u64,
    /// Whether the thread has the conduit's lock or tries to get it, one of [`section`].
    pub section: u64,
    /// Whether it was kicked meanwhile, which it has not reported.
    pub is_kicked: u64,
    pub identity: Identity,
    /// How many calls the stub has served by itself.
    pub served: u64,
    /// Counts calls: the upper bits of [`Hotline::state`] for the present one.
    pub turn: u32,
    pub unused: u32,
    /// What the present call by the hotline writes, and the stub has seen that it can be written.
    pub room: Extent,
}

/// What all threads of an address space need to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Plain {
    /// The addresses at which threads change memory by themselves. A `high` of 0 is no range at all.
    pub low: u64,
    pub high: u64,
    /// Address of the vDSO's function that reads clocks, 0 if it must not be called.
    pub clock_gettime: u64,
    /// Code in which [`CPUID_TRAP`] stands for `cpuid`.
    pub prepared: Extent,
}

/// `int 0x90`, which nobody may execute: as long as `cpuid`.
pub const CPUID_TRAP: [u8; 2] = [0xcd, 0x90];

/// What `cpuid` answers whatever processor executes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CpuidTable {
    pub count: u64,
    pub entries: [CpuidEntry; CpuidTable::MAX as usize],
}

impl CpuidTable {
    pub const MAX: u64 = 128;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CpuidEntry {
    pub leaf: u32,
    /// Or [`CpuidEntry::ANY`].
    pub subleaf: u32,
    /// eax, ebx, ecx, edx.
    pub registers: [u32; 4],
}

impl CpuidEntry {
    pub const ANY: u32 = u32::MAX;
}

/// Values of [`Fast::change`].
pub mod change {
    pub const NONE: u64 = 0;
    /// The range is being looked at, or the call is being made.
    pub const BUSY: u64 = 1;
    /// The call was made, with [`Fast::result`](super::Fast).
    pub const DONE: u64 = 2;
    /// None of that, but the vDSO is being asked.
    pub const ASKING: u64 = 3;
    /// The thread has waited at a conduit, and its call is not made yet.
    pub const WAITING: u64 = 4;
}

/// Values of [`Fast::section`].
#[allow(dead_code, reason = "the stub uses the rest")]
pub mod section {
    pub const NONE: u64 = 0;
    /// It may have the lock.
    pub const ENTERING: u64 = 1;
    pub const LOCKED: u64 = 2;
}

/// What [`Fast::conduit`] holds.
pub mod at {
    /// The thread writes.
    pub const WRITES: u64 = 1 << 32;
    /// The conduit's number and one, in the lower half.
    pub const NUMBER: u64 = WRITES - 1;
}

/// Which calls a stub may serve of a descriptor: in the lower byte a kind and flags, above that two
/// conduits: for each its number and one, or 0, and its generation.
pub mod served_file {
    /// The part that says what it is.
    pub const KINDS: u64 = 3;
    /// None.
    pub const NONE: u64 = 0;
    /// Bytes come from one conduit and go to another, as far as there are such.
    pub const CONDUITS: u64 = 1;
    /// Reads give zeros, and writes vanish (zero(4)).
    pub const ZERO: u64 = 2;
    /// Reads find the end, and writes vanish (null(4)).
    pub const NULL: u64 = 3;

    pub const READS: u64 = 1 << 2;
    pub const WRITES: u64 = 1 << 3;
    /// Nobody waits (`O_NONBLOCK`).
    pub const NONBLOCKING: u64 = 1 << 4;
    /// Each write is a packet (`O_DIRECT` of a pipe).
    pub const PACKETS: u64 = 1 << 6;
    /// It is a socket: `recvfrom(2)` and `sendto(2)` are for it, too.
    pub const SOCKET: u64 = 1 << 5;

    pub const INPUT_SHIFT: u32 = 8;
    pub const OUTPUT_SHIFT: u32 = INPUT_SHIFT + CONDUIT_BITS;
    const CONDUIT_BITS: u32 = 28;

    pub const NUMBER: u64 = (1 << 13) - 1;
    pub const GENERATION_SHIFT: u32 = 13;
    pub const GENERATION: u64 = (1 << (CONDUIT_BITS - GENERATION_SHIFT)) - 1;
}

/// Numbers of the calls that the stub may make by itself, which trap otherwise.
pub mod changing {
    pub const MMAP: u32 = 9;
    pub const MPROTECT: u32 = 10;
    pub const MUNMAP: u32 = 11;
    pub const MREMAP: u32 = 25;
    pub const MADVISE: u32 = 28;

    pub const ALL: [u32; 5] = [MMAP, MPROTECT, MUNMAP, MREMAP, MADVISE];
}

/// Registers of a guest thread at its system call, but rcx and r11, which the call changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Saved {
    pub rax: u64,
    pub rbx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub flags: u64,
}

/// Who the thread is to the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Identity {
    pub pid: u64,
    pub tid: u64,
    pub uid: u64,
    pub euid: u64,
    pub gid: u64,
    pub egid: u64,
}

/// A call that a worker of the sentry watches out for. It goes back and forth between processors, each
/// time for as long as some of the calls take: so it holds no more than it must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Hotline {
    /// One of [`line`], and above that the turn that it is for: what it says of others is over.
    pub state: u32,
    pub number: u32,
    /// Address of the trampoline's data, see [`info`].
    pub info: u64,
    /// The arguments; then result, and offset and length of the bytes that come back: at
    /// [`ROOM_OFFSET`], or here behind the length, as [`is_short`] says.
    pub words: [u64; 6],
}

/// Most bytes that come back in [`Hotline::words`].
pub const SHORT_MAX: u64 = 24;

/// Whether bytes at this offset, and so many, come back in [`Hotline::words`].
#[inline(always)]
pub const fn is_short(offset: u64, len: u64) -> bool {
    offset == 0 && len <= SHORT_MAX
}

/// A range of the guest's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Extent {
    pub address: u64,
    pub len: u64,
}

/// Longest text that goes along, with its NUL.
pub const TEXT_MAX: u64 = 256;

/// The lower bits of [`Hotline::state`].
pub mod line {
    /// One turn.
    pub const TURN: u32 = 0x100;
    pub const KINDS: u32 = TURN - 1;
    /// Nothing yet of the present call.
    pub const FREE: u32 = 0;
    /// The stub has put a call there.
    pub const CALL: u32 = 1;
    /// A worker has taken it.
    pub const TAKEN: u32 = 2;
    /// The worker does not know when it will be done: the stub shall wait in the host.
    pub const LONG: u32 = 3;
    /// The result is there.
    pub const DONE: u32 = 4;
    /// The call was taken, and the stub waits in the host, with the word as its futex.
    pub const WAITED: u32 = 5;
}

#[path = "shape.rs"]
pub mod shape;

/// Offsets in a trampoline's data: addresses that the stub leaves for.
pub mod info {
    /// When the call is served.
    pub const RESUME: u64 = 0;
    /// When it is not: a `syscall` instruction.
    pub const SLOW: u64 = 8;
}

/// Numbers of the calls that the stub may serve.
pub mod served {
    pub const SCHED_YIELD: u32 = 24;
    pub const GETPID: u32 = 39;
    pub const GETTIMEOFDAY: u32 = 96;
    pub const GETUID: u32 = 102;
    pub const GETGID: u32 = 104;
    pub const GETEUID: u32 = 107;
    pub const GETEGID: u32 = 108;
    pub const GETTID: u32 = 186;
    pub const TIME: u32 = 201;
    pub const CLOCK_GETTIME: u32 = 228;
    pub const GETCPU: u32 = 309;

    pub const ALL: [u32; 11] = [
        SCHED_YIELD,
        GETPID,
        GETTIMEOFDAY,
        GETUID,
        GETGID,
        GETEUID,
        GETEGID,
        GETTID,
        TIME,
        CLOCK_GETTIME,
        GETCPU,
    ];
}

/// Most ranges of [`Init::unmap`].
pub const UNMAP_MAX: usize = 6;

/// How the first stub process finishes its set-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Init {
    /// Starts and lengths of what is not part of a guest's empty memory; length 0 ends the list.
    pub unmap: [[u64; 2]; UNMAP_MAX],
    /// Where to ask the host to map its vDSO, 0 to leave that.
    pub vdso_hint: u64,
    /// Signals to block from now on.
    pub signal_mask: u64,
    /// `struct sock_fprog` of the filter.
    pub filter_len: u64,
    pub filter_address: u64,
    /// What has been reached: one of [`init_state`], or a negated errno.
    pub state: i64,
    /// Number of the listener's descriptor.
    pub listener: i64,
}

/// Values of [`Init::state`], which both sides use as a futex word (its lower half).
pub mod init_state {
    pub const STARTED: i64 = 0;
    /// The stub offers the listener.
    pub const FILTERED: i64 = 1;
    /// The sentry has it.
    pub const TAKEN: i64 = 2;
}

/// The head of the stub's code: what the sentry fills in, and where the entries are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// Address of the window.
    pub window: u64,
    /// Whether user code may access FS.base and GS.base by itself.
    pub has_fsgsbase: u64,
    /// Offsets from the header, set when the stub is built.
    pub on_signal: u64,
    pub restorer: u64,
    pub init: u64,
    /// The code that serves patched calls: where it is entered, ...
    pub fast_enter: u64,
    /// ... where it is on its own stack, ...
    pub fast_switched: u64,
    /// ... has saved all registers, ...
    pub fast_saved: u64,
    /// ... and has restored them.
    pub fast_restored: u64,
    /// Where it has made a call that changes memory, ...
    pub change_made: u64,
    /// ... and noted that.
    pub change_noted: u64,
    /// Where it has changed a word of the thread's state, ...
    pub word_changed: u64,
    /// ... and noted that.
    pub word_noted: u64,
    /// The last byte of what belongs to it.
    pub fast_last: u64,
    /// A system call of the guest's, which traps elsewhere, and behind it a breakpoint.
    pub gate: u64,
}
