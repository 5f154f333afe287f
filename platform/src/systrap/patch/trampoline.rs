//! The code that a patched site jumps to, and what a thread found in it means to the guest.
//!
//! ```text
//!           <leading instruction>        leading form only: a copy of the one before the syscall
//!  enter:   mov r11d, 0
//!           rdfsbase rcx
//!           crc32 r11, rcx
//!           movzx r11d, r11w             the number of the entry in the table
//!           mov rcx, table
//!           mov rcx, [rcx + r11*8]       the block of some thread, or 0
//!           jrcxz slow
//!           mov rcx, [rcx]               its FS.base, negated
//!           rdfsbase r11
//!           lea rcx, [rcx + r11]
//!           jrcxz found
//!  slow:    syscall
//!           jmp resume
//!  found:   crc32 rcx, r11               once more, rcx being 0
//!           movzx ecx, cx
//!           mov r11, table
//!           mov rcx, [r11 + rcx*8]
//!           jrcxz slow
//!           lea r11, [rip + info]
//!           jmp qword ptr [rip + entry]  the stub serves the call
//!  resume:  lea rcx, [rip + guest_ip]    as the syscall instruction leaves it
//!           <following instruction>      general form only: a copy of the one after the syscall
//!           jmp <the guest's next instruction>
//!           (padding to 8 bytes)
//!  info:    u64 resume, u64 slow
//!  entry:   u64 address of the stub's fast entry
//! ```
//!
//! The stub has to know which thread it is, and there is nothing to tell but FS.base: it has a table
//! of blocks by a hash of that. A thread whose block is not in the table, or whose place has that
//! of another one with the same hash, makes a real system call, at `slow`. Between the two looks at
//! the table an entry may vanish, but must not be given to another thread.
//!
//! **Contract with the stub.** At its entry all registers and flags are as at the `syscall`
//! instruction, but `rcx` is the address of the thread's block and `r11` points to `info`. It serves
//! the call and jumps to `resume` with `rax` and `r11` (the flags) as the kernel would leave them,
//! or else to `slow`; everything else as it was, but `rcx` may hold anything. Guest code can jump
//! to the stub with any `rcx` and `r11`, and write to `info` if it remaps the page: all are hostile
//! input.
//!
//! No instruction changes flags, and no stack is used. `rdfsbase` and `crc32` are not there on every
//! processor.

use super::space::ALIGNMENT;
use crate::systrap::layout::info;

/// Offset in `info` of the address where the stub continues.
pub const INFO_RESUME: u64 = info::RESUME;

/// Offset in `info` of the address where the stub continues when it does not serve the call.
pub const INFO_SLOW: u64 = info::SLOW;

/// Length of `info` and `entry` in bytes.
const DATA_BYTES: u64 = 24;

/// Offset in `info` of the address of the stub's fast entry.
const INFO_ENTRY: u64 = 16;

/// Length of a `syscall` instruction in bytes.
pub(super) const SYSCALL_BYTES: u64 = 2;

const LEA_RCX_RIP: &[u8] = &[0x48, 0x8d, 0x0d];
const LEA_R11_RIP: &[u8] = &[0x4c, 0x8d, 0x1d];
const JMP_MEMORY_RIP: &[u8] = &[0xff, 0x25];
const JMP_RELATIVE: &[u8] = &[0xe9];

/// Lengths of some of those instructions with their displacement.
const LEA_BYTES: u64 = 7;
const JMP_BYTES: u64 = 5;

/// The code from `enter` on, up to `lea r11`: instruction by instruction.
const LOOKUP: [&[u8]; 18] = [
    &[0x41, 0xbb, 0, 0, 0, 0],
    &[0xf3, 0x48, 0x0f, 0xae, 0xc1],
    &[0xf2, 0x4c, 0x0f, 0x38, 0xf1, 0xd9],
    &[0x45, 0x0f, 0xb7, 0xdb],
    &[0x48, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0],
    &[0x4a, 0x8b, 0x0c, 0xd9],
    &[0xe3, 14],
    &[0x48, 0x8b, 0x09],
    &[0xf3, 0x49, 0x0f, 0xae, 0xc3],
    &[0x4a, 0x8d, 0x0c, 0x19],
    &[0xe3, 4],
    &[0x0f, 0x05],
    &[0xeb, 38],
    &[0xf2, 0x49, 0x0f, 0x38, 0xf1, 0xcb],
    &[0x0f, 0xb7, 0xc9],
    &[0x49, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0],
    &[0x49, 0x8b, 0x0c, 0xcb],
    &[0xe3, 0xe3],
];

/// Offsets from `enter`: of the addresses of the table, of the syscall, and of what follows.
const TABLES: [usize; 2] = [23, 66];
const SLOW: u64 = 51;
const LEAVE: u64 = 80;
const JUMP: u64 = LEAVE + LEA_BYTES;
const RESUME: u64 = JUMP + 6;

/// What trampolines need to know of the stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stub {
    /// Address of its fast entry.
    pub entry: u64,
    /// Address of the table of threads' blocks.
    pub table: u64,
}

/// Where a trampoline and the guest code that it stands for lie.
///
/// It outlives its patch: a thread may still be in the trampoline when the site is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trampoline {
    /// Address of its first byte.
    pub address: u64,
    /// Address of the `syscall` instruction that it stands for.
    pub site: u64,
    /// Length of the copied instruction before the syscall in bytes, 0 for none.
    pub(super) lead_bytes: u8,
    /// Length of the copied instruction after the syscall in bytes, 0 for none.
    pub(super) follower_bytes: u8,
}

/// What a thread inside a trampoline is to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestPoint {
    /// The guest's instruction pointer: continuing there has the same effect.
    pub ip: u64,
    /// What became of `rcx` and `r11`. All other registers are the guest's own.
    pub clobbered: Clobbered,
}

/// What became of the guest's `rcx` and `r11` in a trampoline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clobbered {
    /// Both have the guest's values.
    No,
    /// Both have other values, and the guest's are lost. The guest is just before the syscall
    /// instruction, which would overwrite them.
    Lost,
    /// `rcx` is about to be set to this value: report it instead.
    Due(u64),
}

impl Trampoline {
    /// Returns the length of code and data in bytes.
    pub fn len(lead_bytes: u8, follower_bytes: u8) -> u64 {
        let layout = Self { address: 0, site: 0, lead_bytes, follower_bytes };
        layout.info() + DATA_BYTES
    }

    /// Returns the address behind code and data.
    pub fn end(&self) -> u64 {
        self.info() + DATA_BYTES
    }

    /// Returns where the guest is at its syscall.
    pub fn enter(&self) -> u64 {
        self.address + u64::from(self.lead_bytes)
    }

    /// Returns the address of the syscall instruction for what the stub does not serve.
    pub fn slow(&self) -> u64 {
        self.enter() + SLOW
    }

    /// Returns where the stub continues after the call.
    pub fn resume(&self) -> u64 {
        self.enter() + RESUME
    }

    /// Returns the address of the data block that the stub gets in `r11`.
    pub fn info(&self) -> u64 {
        (self.back() + JMP_BYTES).next_multiple_of(ALIGNMENT)
    }

    /// Returns the guest's instruction pointer after the call, also its `rcx`.
    pub fn guest_ip(&self) -> u64 {
        self.site + SYSCALL_BYTES
    }

    /// Returns what a thread whose next instruction is at `ip` is to the guest; `None` if no
    /// instruction of this trampoline begins there.
    pub fn guest_point(&self, ip: u64) -> Option<GuestPoint> {
        let point = |ip, clobbered| Some(GuestPoint { ip, clobbered });
        let after = self.guest_ip();
        let behind_call = self.slow() + SYSCALL_BYTES;
        match ip {
            _ if ip == self.address => point(self.site - u64::from(self.lead_bytes), Clobbered::No),
            _ if ip == self.enter() => point(self.site, Clobbered::No),
            _ if ip == behind_call || ip == self.resume() => point(after, Clobbered::Due(after)),
            _ if ip == self.follower() => point(after, Clobbered::No),
            _ if ip == self.back() => point(self.next(), Clobbered::No),
            _ if self.is_lookup(ip) => point(self.site, Clobbered::Lost),
            _ => None,
        }
    }

    /// Whether a thread with these registers has made its call, and the host has gone back to make
    /// it again.
    pub fn has_gone_back(&self, ip: u64, rcx: u64) -> bool {
        ip == self.slow() && rcx == self.slow() + SYSCALL_BYTES
    }

    /// Whether an instruction at `ip` is between `enter` and the jump to the stub.
    fn is_lookup(&self, ip: u64) -> bool {
        let Some(offset) = ip.checked_sub(self.enter()) else { return false };
        let starts = LOOKUP.iter().scan(0, |at, code| {
            *at += code.len() as u64;
            Some(*at)
        });
        starts.chain([JUMP]).any(|start| start == offset)
    }

    /// Returns the address of the copied following instruction, or of the jump back.
    pub(super) fn follower(&self) -> u64 {
        self.resume() + LEA_BYTES
    }

    fn back(&self) -> u64 {
        self.follower() + u64::from(self.follower_bytes)
    }

    /// Returns the address of the guest's first instruction that is not copied.
    pub(super) fn next(&self) -> u64 {
        self.guest_ip() + u64::from(self.follower_bytes)
    }

    /// Assembles code and data; the copies must be as long as announced.
    ///
    /// `None` if a displacement does not fit.
    pub(super) fn assemble(&self, lead: &[u8], follower: &[u8], stub: &Stub) -> Option<Vec<u8>> {
        let mut code = lead.to_vec();
        let lookup = code.len();
        code.extend(LOOKUP.into_iter().flatten());
        for offset in TABLES {
            let place = code.get_mut(lookup + offset..)?.first_chunk_mut()?;
            *place = stub.table.to_le_bytes();
        }
        let relative = |code: &mut Vec<u8>, opcode: &[u8], target: u64| {
            code.extend_from_slice(opcode);
            let end = self.address + code.len() as u64 + 4;
            code.extend_from_slice(&displacement(end, target)?.to_le_bytes());
            Some(())
        };
        relative(&mut code, LEA_R11_RIP, self.info())?;
        relative(&mut code, JMP_MEMORY_RIP, self.info() + INFO_ENTRY)?;
        relative(&mut code, LEA_RCX_RIP, self.guest_ip())?;
        code.extend_from_slice(follower);
        relative(&mut code, JMP_RELATIVE, self.next())?;
        code.resize((self.info() - self.address) as usize, super::space::INT3);
        for word in [self.resume(), self.slow(), stub.entry] {
            code.extend_from_slice(&word.to_le_bytes());
        }
        Some(code)
    }
}

/// Returns the 32-bit displacement from `end`, the end of an instruction, to `target`, if it fits.
pub(super) fn displacement(end: u64, target: u64) -> Option<i32> {
    i32::try_from(target.wrapping_sub(end) as i64).ok()
}

/// Returns the five bytes of a jump at `at` to `target`, if the displacement fits.
pub(in crate::systrap) fn jump(at: u64, target: u64) -> Option<[u8; 5]> {
    near(JMP_RELATIVE[0], at, target)
}

/// The same for a call.
pub(in crate::systrap) fn call(at: u64, target: u64) -> Option<[u8; 5]> {
    const CALL_RELATIVE: u8 = 0xe8;
    near(CALL_RELATIVE, at, target)
}

fn near(opcode: u8, at: u64, target: u64) -> Option<[u8; 5]> {
    let [a, b, c, d] = displacement(at + JMP_BYTES, target)?.to_le_bytes();
    Some([opcode, a, b, c, d])
}
