//! A process' memory: the kernel's own record beside the host's mappings.
//!
//! The host kernel is the source of truth for what is mapped. [`Mm`] adds what only we know: the
//! start of the heap, where arguments, environment and stack lie, which program runs, and which file each file
//! mapping came from (for `/proc/[pid]/maps`).

mod command_line;
mod file_mappings;
mod in_use;
mod maps;
mod undo;

use std::ops::Range;
use std::sync::Arc;

pub use command_line::command_line;
pub use file_mappings::{FileMapping, FileMappings};
pub use in_use::memory_in_use;
pub use maps::MapEntry;
pub use undo::Undo;

use crate::memory::UserMemory;
use crate::sync::{Mutex, Rank};
use crate::vfs::FileDescription;

pub const PAGE_SIZE: u64 = 4096;

/// Rounds up to a page; `None` on overflow.
pub fn page_up(value: u64) -> Option<u64> {
    value.checked_add(PAGE_SIZE - 1).map(|sum| sum & !(PAGE_SIZE - 1))
}

/// Rounds down to a page.
pub fn page_down(value: u64) -> u64 {
    value & !(PAGE_SIZE - 1)
}

/// The memory of one process, through its own host process.
///
/// After `vfork` parent and child have each their [`Mm`] (another host process each) with one and
/// the same record behind it.
pub struct Mm {
    memory: UserMemory,
    shared: Arc<Shared>,
}

struct Shared {
    record: Mutex<MmRecord>,
    /// Serialises operations that change mappings and record together.
    change: crate::sync::AsyncMutex,
}

/// What the host does not know about a process' memory.
#[derive(Clone, Default)]
pub struct MmRecord {
    /// First address of the heap. The host moves the break.
    pub brk_start: u64,
    pub code: Range<u64>,
    pub data: Range<u64>,
    pub stack_start: u64,
    pub args: Range<u64>,
    pub env: Range<u64>,
    /// The auxiliary vector as given to the program.
    pub auxv: Vec<u8>,
    /// The running program. Held open, so that nobody may write to it (ETXTBSY).
    pub exe: Option<Arc<FileDescription>>,
    pub vdso: Option<u64>,
    pub files: FileMappings,
    /// Where there are no files, as the platform was told: see [`Mm::change_files`].
    pub plain: Range<u64>,
}

impl Mm {
    pub fn new(memory: UserMemory, record: MmRecord) -> Arc<Mm> {
        let shared = Shared {
            record: Mutex::new(Rank::MemoryMap, record),
            change: crate::sync::AsyncMutex::new(),
        };
        let mm = Mm { memory, shared: Arc::new(shared) };
        mm.change_files(|_| {});
        Arc::new(mm)
    }

    /// The same memory seen through another host process (`vfork`).
    pub fn share(&self, memory: UserMemory) -> Arc<Mm> {
        Arc::new(Mm { memory, shared: self.shared.clone() })
    }

    /// A copy of the record for a forked address space.
    pub fn fork(&self, memory: UserMemory) -> Arc<Mm> {
        let record = self.shared.record.lock().clone();
        Mm::new(memory, record)
    }

    pub fn memory(&self) -> &UserMemory {
        &self.memory
    }

    /// Whether both are the same memory.
    pub fn is_same(&self, other: &Mm) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Whether another process has the same memory.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.shared) > 1
    }

    /// Reads or changes the record.
    pub fn with_record<T>(&self, body: impl FnOnce(&mut MmRecord) -> T) -> T {
        body(&mut self.shared.record.lock())
    }

    /// Changes the record of file mappings, and tells the platform where there are none now: there
    /// threads may change memory without a word.
    pub fn change_files<T>(&self, change: impl FnOnce(&mut FileMappings) -> T) -> T {
        let space = self.memory.space();
        let (result, plain) = self.with_record(|record| {
            let result = change(&mut record.files);
            let is_plain = !record.plain.is_empty() && record.files.is_clear(record.plain.clone());
            let changes = !is_plain && !record.files.is_empty();
            if changes {
                record.plain = record.files.largest_gap(space.layout().user.clone());
            }
            (result, changes.then(|| record.plain.clone()))
        });
        if let Some(plain) = plain {
            space.set_plain_range(plain);
        }
        result
    }

    /// Held across a change of mappings and record.
    pub async fn lock_change(&self) -> crate::sync::AsyncMutexGuard<'_> {
        self.shared.change.lock().await
    }
}
