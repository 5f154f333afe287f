//! The region that every stub address space has besides the guest's own memory.
//!
//! One page of code and one of scratch memory, at an address drawn once for a sandbox. The guest
//! can read and jump to the code and can write the scratch page, so neither is trusted: code run
//! by a guest traps like any other guest code, and everything that an injected call needs travels
//! in registers. What a hostile sibling thread can do to the scratch page while a call runs harms
//! only the process that it lives in.

use std::ops::Range;

use linux_abi::Errno;

use crate::host::random;
use crate::process::PAGE_BYTES;

/// Where the region may lie: high, where sanitizers expect program mappings, but well below the
/// stack and the top-down mappings of the host (its randomisation takes 1 TiB at most by default).
const REGION_FROM: u64 = 0x7e80_0000_0000;
const REGION_TO: u64 = 0x7f00_0000_0000;

/// Number of the only descriptor that a stub holds: its end of the socket for descriptors.
pub(super) const STUB_SOCKET: u64 = 0;
/// What [`Entry::MapFile`] leaves in `rbx` if it could not receive the descriptor.
pub(super) const NOT_RECEIVED: u64 = 1;

// The code page. It is copied, so it must not refer to its own address. `int3` hands back control.
std::arch::global_asm!(
    ".pushsection .text.platform_stub,\"ax\",@progbits",
    ".balign 16",
    ".hidden platform_stub_begin",
    ".globl platform_stub_begin",
    "platform_stub_begin:",
    // Entry::Call: one system call, registers as for `syscall`.
    "syscall",
    "int3",
    // Entry::ChangeWord: one step of a futex word, which may fault.
    // rdi, esi, edx, r10d, r8d: address, bits compared, what they must be, bits that stay, bits set.
    ".balign 16",
    ".hidden platform_stub_change_word",
    ".globl platform_stub_change_word",
    "platform_stub_change_word:",
    "mov eax, [rdi]",
    "2:",
    "mov ecx, eax",
    "and ecx, esi",
    "cmp ecx, edx",
    "jne 3f",
    "mov ecx, eax",
    "and ecx, r10d",
    "or ecx, r8d",
    "lock cmpxchg [rdi], ecx",
    "jne 2b",
    "3:",
    "int3",
    ".hidden platform_stub_change_word_end",
    ".globl platform_stub_change_word_end",
    "platform_stub_change_word_end:",
    // Entry::MapFile: receives one descriptor, maps it, closes it.
    // rbp: scratch page; r12, r13, r14, r10, r9: address, length, protection, flags, offset.
    ".balign 16",
    ".hidden platform_stub_map_file",
    ".globl platform_stub_map_file",
    "platform_stub_map_file:",
    // struct msghdr: no name, no data, 24 bytes for one control message.
    "mov qword ptr [rbp], 0",
    "mov qword ptr [rbp + 8], 0",
    "mov qword ptr [rbp + 16], 0",
    "mov qword ptr [rbp + 24], 0",
    "lea rax, [rbp + 64]",
    "mov qword ptr [rbp + 32], rax",
    "mov qword ptr [rbp + 40], 24",
    "mov qword ptr [rbp + 48], 0",
    "mov ebx, {not_received}",
    "mov edi, {socket}",
    "mov rsi, rbp",
    "mov edx, {recv_flags}",
    "mov eax, {recvmsg}",
    "syscall",
    "test rax, rax",
    "js 2f",
    // A stub holds no descriptor but its socket, so the new one has the next number. Reading it
    // from the control message would let a sibling thread choose it.
    "mov r8d, {socket} + 1",
    "mov rdi, r12",
    "mov rsi, r13",
    "mov rdx, r14",
    "mov eax, {mmap}",
    "syscall",
    "mov rbx, rax",
    "mov edi, {socket} + 1",
    "mov eax, {close}",
    "syscall",
    "2:",
    "int3",
    ".hidden platform_stub_end",
    ".globl platform_stub_end",
    "platform_stub_end:",
    ".popsection",
    not_received = const NOT_RECEIVED,
    socket = const STUB_SOCKET,
    recv_flags = const libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC,
    recvmsg = const libc::SYS_recvmsg,
    mmap = const libc::SYS_mmap,
    close = const libc::SYS_close,
);

unsafe extern "C" {
    static platform_stub_begin: u8;
    static platform_stub_change_word: u8;
    static platform_stub_change_word_end: u8;
    static platform_stub_map_file: u8;
    static platform_stub_end: u8;
}

/// Where to enter the stub's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Call,
    ChangeWord,
    MapFile,
}

/// A copy of the stub's code in memory, at the same address in tracer and tracee or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(u64);

impl Code {
    /// The original in the sentry's own text, good for a fresh fork of the sentry.
    pub(super) fn in_sentry() -> Code {
        Code((&raw const platform_stub_begin).addr() as u64)
    }

    pub(super) fn entry(self, entry: Entry) -> u64 {
        match entry {
            Entry::Call => self.0,
            Entry::ChangeWord => self.0 + Code::offset_of(&raw const platform_stub_change_word),
            Entry::MapFile => self.0 + Code::offset_of(&raw const platform_stub_map_file),
        }
    }

    /// Whether `rip` is behind the `int3` that ends `entry`.
    pub(super) fn is_end(self, entry: Entry, rip: u64) -> bool {
        rip == match entry {
            Entry::Call => self.0 + 3,
            Entry::ChangeWord => self.0 + Code::offset_of(&raw const platform_stub_change_word_end),
            Entry::MapFile => self.0 + Code::offset_of(&raw const platform_stub_end),
        }
    }

    /// Whether a fault at `rip` is one that `entry` allows for.
    pub(super) fn may_fault(self, entry: Entry, rip: u64) -> bool {
        let end = Code::offset_of(&raw const platform_stub_change_word_end);
        entry == Entry::ChangeWord && (self.entry(entry)..self.0 + end).contains(&rip)
    }

    fn offset_of(symbol: *const u8) -> u64 {
        (symbol.addr() - (&raw const platform_stub_begin).addr()) as u64
    }

    /// The whole page: the code, then `int3`.
    pub(super) fn page() -> Vec<u8> {
        let len = Code::offset_of(&raw const platform_stub_end) as usize;
        // SAFETY: the symbols delimit `len` bytes of immutable code.
        let code = unsafe { std::slice::from_raw_parts(&raw const platform_stub_begin, len) };
        let mut page = code.to_vec();
        page.resize(PAGE_BYTES as usize, 0xcc);
        page
    }
}

/// The stub's region in a guest address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    start: u64,
}

impl Region {
    pub(super) const BYTES: u64 = 2 * PAGE_BYTES;

    /// Draws a place.
    pub(super) fn random() -> Result<Region, Errno> {
        let pages = (REGION_TO - REGION_FROM) / PAGE_BYTES;
        Ok(Region { start: REGION_FROM + random::number()? % pages * PAGE_BYTES })
    }

    pub(super) fn code(self) -> Code {
        Code(self.start)
    }

    pub(super) fn scratch(self) -> u64 {
        self.start + PAGE_BYTES
    }

    pub(super) fn range(self) -> Range<u64> {
        self.start..self.start + Region::BYTES
    }
}
