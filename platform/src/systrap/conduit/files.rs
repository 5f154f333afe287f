//! Which descriptors of a process its stub may read and write by itself.

use std::any::Any;
use std::sync::{Arc, Weak};

use super::super::begun::{Disturbed, Waiting};
use super::super::channel::Channel;
use super::super::layout::{FILES_MAX, FILES_OFFSET, at, served_file};
use super::super::supervisor::Supervisor;
use super::Conduit;

/// The table of an address space. It is for one descriptor table of the kernel's at a time
/// ([`Descriptors::claim`]).
#[derive(Clone)]
pub struct Descriptors {
    channel: Weak<Channel>,
    supervisor: Weak<Supervisor>,
}

/// For whom the table of an address space is.
pub type Owner = Arc<()>;

/// How a stub serves a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServedFile(u64);

/// How bytes go through conduits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServedHow {
    /// Nobody waits (`O_NONBLOCK`).
    pub is_nonblocking: bool,
    /// Each write is a packet (`O_DIRECT` of a pipe).
    pub has_packets: bool,
    /// `recvfrom(2)` and `sendto(2)` are for it, too.
    pub is_socket: bool,
}

impl ServedFile {
    /// Not at all.
    pub const NONE: ServedFile = ServedFile(served_file::NONE);

    /// Bytes come from one conduit and go to another, as far as there are such.
    pub fn conduits(
        input: Option<&Arc<Conduit>>,
        output: Option<&Arc<Conduit>>,
        how: ServedHow,
    ) -> ServedFile {
        let name = |end: Option<&Arc<Conduit>>| {
            let word = |conduit: &Arc<Conduit>| {
                (conduit.number + 1) | conduit.generation << served_file::GENERATION_SHIFT
            };
            end.map_or(0, word)
        };
        let (from, to) = (name(input), name(output));
        let mut word = served_file::CONDUITS
            | from << served_file::INPUT_SHIFT
            | to << served_file::OUTPUT_SHIFT;
        for (is_set, bit) in [
            (from != 0, served_file::READS),
            (to != 0, served_file::WRITES),
            (how.is_nonblocking, served_file::NONBLOCKING),
            (how.has_packets, served_file::PACKETS),
            (how.is_socket, served_file::SOCKET),
        ] {
            word |= if is_set { bit } else { 0 };
        }
        ServedFile(word)
    }

    /// As `/dev/zero`.
    pub fn zero(reads: bool, writes: bool) -> ServedFile {
        ServedFile::device(served_file::ZERO, reads, writes)
    }

    /// As `/dev/null`.
    pub fn null(reads: bool, writes: bool) -> ServedFile {
        ServedFile::device(served_file::NULL, reads, writes)
    }

    fn device(kind: u64, reads: bool, writes: bool) -> ServedFile {
        let reads = if reads { served_file::READS } else { 0 };
        let writes = if writes { served_file::WRITES } else { 0 };
        ServedFile(kind | reads | writes)
    }

    fn has_conduits(self) -> bool {
        self.0 & served_file::KINDS == served_file::CONDUITS
    }

    /// Whether `which` ([`at`]) is one of its conduits.
    fn is_at(self, which: u64) -> bool {
        let shift = match which & at::WRITES {
            0 => served_file::INPUT_SHIFT,
            _ => served_file::OUTPUT_SHIFT,
        };
        self.0 >> shift & served_file::NUMBER == which & at::NUMBER
    }

    pub fn is_none(self) -> bool {
        self == ServedFile::NONE
    }
}

impl Descriptors {
    pub(in super::super) fn new(
        channel: &Arc<Channel>,
        supervisor: &Arc<Supervisor>,
    ) -> Descriptors {
        Descriptors { channel: Arc::downgrade(channel), supervisor: Arc::downgrade(supervisor) }
    }

    /// Whether a descriptor with this number can be served at all.
    pub fn has_room_for(fd: i32) -> bool {
        u64::try_from(fd).is_ok_and(|fd| fd < FILES_MAX)
    }

    /// Takes the table for an owner, who has said [`ServedFile::NONE`] of all descriptors before it is
    /// dropped. `false` while it is somebody else's.
    pub fn claim(&self, owner: &Owner) -> bool {
        let Some(channel) = self.channel.upgrade() else { return false };
        let mut present = channel.files_owner.lock();
        let is_free = present.strong_count() == 0;
        if is_free {
            *present = Arc::downgrade(owner);
        }
        is_free || present.as_ptr() == Arc::as_ptr(owner)
    }

    /// Says how calls on a descriptor are served from now on. Those that are being made may still go
    /// by what was said before.
    pub fn set(&self, fd: i32, file: ServedFile) {
        if let (Some(channel), true) = (self.channel.upgrade(), Descriptors::has_room_for(fd)) {
            channel.set_file(FILES_OFFSET + fd as u64 * 8, file.0);
        }
    }

    /// A descriptor that was served as `file` says is another file from now on, or none; `open` is what
    /// it was. Threads that wait there go on with that.
    pub fn keep(
        &self,
        fd: i32,
        file: ServedFile,
        open: &Arc<dyn Any + Send + Sync>,
    ) -> Option<Disturbed> {
        let supervisor = self.supervisor.upgrade().filter(|_| file.has_conduits())?;
        let mut threads = supervisor.slots_of(&self.channel);
        threads.retain(|slot| {
            let there = |call: &Waiting| call.fd == fd as u32 && file.is_at(call.which);
            let call = slot.waiting().filter(there);
            call.is_some_and(|call| slot.keep(call, Some(Arc::clone(open))))
        });
        (!threads.is_empty()).then(|| Disturbed::new(&self.supervisor, threads))
    }

    /// Whether both are of the same address space.
    pub fn is_same(&self, other: &Descriptors) -> bool {
        self.channel.ptr_eq(&other.channel)
    }
}

const _: () = assert!(super::CONDUIT_COUNT < served_file::NUMBER);
