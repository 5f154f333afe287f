//! Plans how a `syscall` instruction of the guest becomes a jump to the stub.
//!
//! A trapped syscall costs a host signal, a jump a few instructions. For each address space the
//! caller keeps a [`Patches`]. When a [`Site`] has trapped often enough it reads the code around it
//! and calls [`Patches::plan`], which refuses whatever is not safe ([`Refusal`]) or registers a
//! [`Patch`]; on [`Refusal::NoSpace`] the caller maps [`AREA_BYTES`] readable and executable where
//! [`find_gap`] says, calls [`Patches::add_area`] and tries again. It then carries out the
//! [`Step`]s of [`Patch::install`] and reports them done ([`Patches::applied`]). From the plan on, a SIGTRAP of an `int3` goes to
//! [`Patches::trapped`], an instruction pointer in a trampoline to [`Patches::guest_point`], a
//! return to guest code through [`Patches::resume_at`], and guest memory shown to debuggers through
//! [`Patches::hide`]. A fork clones the container; memory that is unmapped or replaced is
//! [removed](Patches::remove), memory that becomes writable is first [restored](Patch::restore).
//!
//! Nothing here touches memory or makes host calls. Guest code is hostile input: whatever its
//! bytes are, the worst that a wrong plan does is to break the guest itself.
//!
//! - [`site`]: which forms of patch the code allows; [`reading`]: decoding backwards
//! - [`trampoline`]: the code in between, its contract with the stub; [`space`]: where it goes
//! - [`step`]: why other threads may run meanwhile; [`installed`]: a patch and its steps
//! - [`patches`]: all of an address space; [`gap`]: a place for trampolines
//!
//! **What shows.** A guest that reads its own code sees the jump. One that jumps into the middle
//! of the displaced instruction (other than to its first byte) executes something else. A jump to
//! a syscall whose *leading* instruction is displaced traps as before.

mod gap;
mod installed;
mod patches;
mod reading;
mod site;
mod space;
mod step;
mod trampoline;

pub use self::gap::find_gap;
pub use self::installed::Patch;
pub use self::patches::{Patches, Trapped};
pub use self::site::{Form, LOOK_AHEAD, LOOK_BEHIND, Lead, Refusal, Site};
pub use self::space::{AREA_BYTES, AREA_END, AREA_PERIOD, TrampolineSpace};
pub use self::step::{Step, Threads};
pub use self::trampoline::{Clobbered, GuestPoint, INFO_RESUME, INFO_SLOW, Stub, Trampoline};

pub(super) use self::reading::{WINDOW as READ_BEFORE, instruction_before};
pub(super) use self::site::JUMP_BYTES;
pub(super) use self::trampoline::{call, jump};

/// Whether the processor, and the host, let user code execute trampolines.
pub(super) fn can_execute() -> bool {
    crate::host::process::has_fsgsbase() && std::is_x86_feature_detected!("sse4.2")
}
