//! Calls that change nothing but anonymous memory, made by the stub instead of the sentry's word.
//!
//! The kernel says in which range of addresses it keeps no account of what is mapped, and the
//! platform takes its own patches out of that ([`Plain`]). What lies in there, and new memory that
//! the host finds room for, is the guest's to change; everything else takes the slow way.
//!
//! Such a call must not be made twice. [`Fast::change`] says where it is: from before the range is
//! looked at until the call is made it is [`change::BUSY`], so that the sentry knows whether somebody
//! still goes by an old range, and from then on [`change::DONE`]. In between the instruction pointer
//! tells.

use core::arch::naked_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

use super::entry;
use super::fast::arguments;
use super::layout::{Fast, PLAIN_OFFSET, Plain, change, changing};

const PROT_READ_WRITE: u64 = 3;
/// `MAP_PRIVATE | MAP_ANONYMOUS`, and what else is only about this memory: `MAP_NORESERVE`,
/// `MAP_STACK`.
const MAP_NEEDED: u64 = 0x22;
const MAP_ALLOWED: u64 = MAP_NEEDED | 0x4000 | 0x2_0000;
const MREMAP_MAYMOVE: u64 = 1;
/// `MADV_NORMAL`, `_RANDOM`, `_SEQUENTIAL`, `_WILLNEED`, `_DONTNEED`, `_FREE`, `_MERGEABLE`,
/// `_UNMERGEABLE` (both of which the filter refuses), `_HUGEPAGE`, `_NOHUGEPAGE`.
const ADVICE: u64 = 1 << 0
    | 1 << 1
    | 1 << 2
    | 1 << 3
    | 1 << 4
    | 1 << 8
    | 1 << 12
    | 1 << 13
    | 1 << 14
    | 1 << 15;

/// Makes the call if it is of this kind; answers with its result.
#[inline(always)]
pub(crate) fn call(fast: *mut Fast, number: u32) -> Option<u64> {
    if !changing::ALL.contains(&number) {
        return None;
    }
    let [a, b, c, d, _, f] = arguments(fast);
    let is_plain = match number {
        changing::MMAP => {
            c & !PROT_READ_WRITE == 0
                && d & !MAP_ALLOWED == 0
                && d & MAP_NEEDED == MAP_NEEDED
                && f == 0
        }
        changing::MPROTECT => c & !PROT_READ_WRITE == 0,
        changing::MUNMAP => true,
        changing::MREMAP => d & !MREMAP_MAYMOVE == 0,
        changing::MADVISE => c < 64 && ADVICE >> c & 1 != 0,
        _ => false,
    };
    if !is_plain {
        return None;
    }
    // SAFETY: the block is mapped and aligned.
    let state = unsafe { AtomicU64::from_ptr(&raw mut (*fast).change) };
    // The sentry closes the range, then looks here; so here it is the other way round.
    state.swap(change::BUSY, Ordering::SeqCst);
    if number != changing::MMAP && !is_within(a, b) {
        state.store(change::NONE, Ordering::Release);
        return None;
    }
    // Memory without a file needs no descriptor; the host looks at the arguments that there are.
    let args = [u64::from(number), a, b, c, d, u64::MAX, 0];
    // SAFETY: the call changes memory that is the guest's.
    Some(unsafe { make(&raw const args, fast) })
}

/// Whether the guest may change a range by itself.
#[inline(always)]
fn is_within(start: u64, len: u64) -> bool {
    let plain = (entry::channel() + PLAIN_OFFSET) as *const Plain;
    let (low, high) = (load!((*plain).low), load!((*plain).high));
    // `low` does not exceed `high`, unless that is 0.
    low < high && start >= low && start < high && len != 0 && len <= high - start
}

/// Makes a call and notes that it is made, and its result. `args` are its number and arguments.
///
/// # Safety
/// `fast` is the thread's block, on whose stack this runs.
#[unsafe(naked)]
#[unsafe(link_section = ".text.fast")]
unsafe extern "C" fn make(args: *const [u64; 7], fast: *mut Fast) -> u64 {
    naked_asm!(
        "push rbx",
        "mov rbx, rsi",
        "mov rax, [rdi]",
        "mov rsi, [rdi + 16]",
        "mov rdx, [rdi + 24]",
        "mov r10, [rdi + 32]",
        "mov r8, [rdi + 40]",
        "mov r9, [rdi + 48]",
        "mov rdi, [rdi + 8]",
        "syscall",
        ".globl stub_change_made",
        "stub_change_made:",
        "mov [rbx + {result}], rax",
        "mov qword ptr [rbx + {change}], {done}",
        ".globl stub_change_noted",
        "stub_change_noted:",
        "pop rbx",
        "ret",
        result = const offset_of!(Fast, result),
        change = const offset_of!(Fast, change),
        done = const change::DONE,
    )
}
