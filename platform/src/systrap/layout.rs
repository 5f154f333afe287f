//! What the sentry and the stub have in common: where things lie in a guest process, and the words
//! they exchange. The stub's own crate compiles this file too, so it needs nothing but `core`.
//!
//! Every guest address space has one *window*, 4 GiB at an address that is the same in all
//! processes of a sandbox:
//!
//! ```text
//! CODE_OFFSET     the stub's code, read and execute
//! ANCHOR_OFFSET   private memory of the process: tells children from strangers
//! CHANNEL_OFFSET  slots, one a thread, shared with the sentry
//! ```
//!
//! A slot is a [`Control`] block, whose page ends with the stack of a thread that starts, and the
//! alternate signal stack. The guest can write all of it: what the sentry reads here is untrusted.

/// The system call number that rings for the sentry; Linux has none near it.
pub const DOORBELL: u32 = 0x004d_5a00;

pub const WINDOW_BYTES: u64 = 1 << 32;

pub const CODE_OFFSET: u64 = 0x10_0000;
pub const CODE_BYTES: u64 = 0x4000;

pub const ANCHOR_OFFSET: u64 = 0x40_0000;
/// A word for each slot.
pub const ANCHOR_BYTES: u64 = SLOT_COUNT * 8;

pub const CHANNEL_OFFSET: u64 = 0x1000_0000;
pub const CHANNEL_BYTES: u64 = SLOT_COUNT * SLOT_BYTES;

pub const SLOT_BYTES: u64 = 0x1_0000;
pub const SLOT_COUNT: u64 = 16_384;

/// The control block and, growing down from its end, the stack of a starting thread.
pub const CONTROL_BYTES: u64 = 0x1000;
/// The alternate signal stack: from here to the end of the slot.
pub const STACK_OFFSET: u64 = 0x8000;

/// First argument of a doorbell: why the stub rings. The others are named behind each.
pub mod event {
    /// A new thread is ready. Address of its slot.
    pub const HELLO: u64 = 1;
    /// A signal arrived: addresses of `ucontext` and `siginfo`, number, FS.base, GS.base.
    pub const SIGNAL: u64 = 2;
    /// The commanded calls are done. Result of the first.
    pub const DONE: u64 = 3;
}

/// Result of a doorbell: what to do, in the low byte, and flags.
pub mod command {
    /// Go on with the guest, from the signal frame.
    pub const RESUME: u64 = 1;
    /// Make [`Control::calls`](super::Control) and ring again.
    pub const CALLS: u64 = 2;
    /// Make the thread or process that [`Control::spawn`](super::Control) describes and ring again.
    pub const SPAWN: u64 = 3;
    /// End the thread.
    pub const EXIT: u64 = 4;

    /// Flag of `CALLS`: put the first result into the guest's rax and resume, without a ring.
    pub const THEN_RESUME: u64 = 0x400;
    /// Flag of `RESUME`: load FS.base first.
    pub const LOAD_FS: u64 = 0x100;
    /// Flag of `RESUME`: load GS.base first.
    pub const LOAD_GS: u64 = 0x200;
}

/// A system call for the stub to make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Call {
    pub number: u64,
    pub args: [u64; 6],
}

/// Most calls of one command.
pub const CALLS_MAX: usize = 4;

/// A thread or process for the stub to make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SpawnArgs {
    /// Flags of `clone(2)`.
    pub flags: u64,
    /// Address of the child's slot.
    pub slot: u64,
    /// Descriptor of the child's own channel memory; `u64::MAX` if it shares the parent's.
    pub channel: u64,
}

/// What the sentry writes for the stub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Control {
    pub fs_base: u64,
    pub gs_base: u64,
    /// Address of the `ucontext` with which a new thread starts.
    pub context: u64,
    pub call_count: u64,
    pub calls: [Call; CALLS_MAX],
    pub spawn: SpawnArgs,
    pub init: Init,
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
}
