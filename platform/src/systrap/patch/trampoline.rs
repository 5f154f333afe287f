//! The code that a patched site jumps to, and what a thread found in it means to the guest.
//!
//! ```text
//!           <leading instruction>        leading form only: a copy of the one before the syscall
//!  enter:   lea rcx, [rip + info]
//!           jmp qword ptr [rip + entry]  the stub serves the call
//!  resume:  lea rcx, [rip + guest_ip]    as the syscall instruction leaves it
//!           <following instruction>      general form only: a copy of the one after the syscall
//!           jmp <the guest's next instruction>
//!           (padding to 8 bytes)
//!  info:    u64 resume, u64 guest_ip
//!  entry:   u64 address of the stub's fast entry
//! ```
//!
//! **Contract with the stub.** At its entry all registers and flags are as at the `syscall`
//! instruction, but `rcx` points to `info`. It serves the call and jumps to `resume` with `rax` and
//! `r11` (the flags) as the kernel would leave them, everything else as it was; `rcx` may hold
//! anything, so that `jmp [rcx]` with `rcx` still at `info` will do. Guest code can jump to the
//! stub with any `rcx`, and write to `info` if it remaps the page: both are hostile input.
//!
//! Only `lea`, `jmp` and the copies run, so flags survive, and no stack is used.

use super::space::ALIGNMENT;

/// Offset in `info` of the address where the stub continues.
pub const INFO_RESUME: u64 = 0;

/// Offset in `info` of the address that the guest takes for `rip` and `rcx` after the call.
pub const INFO_GUEST_IP: u64 = 8;

/// Length of `info` and `entry` in bytes.
const DATA_BYTES: u64 = 24;

/// Length of a `syscall` instruction in bytes.
pub(super) const SYSCALL_BYTES: u64 = 2;

const LEA_RCX_RIP: &[u8] = &[0x48, 0x8d, 0x0d];
const JMP_MEMORY_RIP: &[u8] = &[0xff, 0x25];
const JMP_RELATIVE: &[u8] = &[0xe9];

/// Lengths of those instructions with their displacement.
const LEA_BYTES: u64 = 7;
const JMP_MEMORY_BYTES: u64 = 6;
const JMP_BYTES: u64 = 5;

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
    /// The guest's `rcx`. All other registers are the guest's own.
    pub rcx: Rcx,
}

/// What became of the guest's `rcx` in a trampoline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rcx {
    /// The register has the guest's value.
    Kept,
    /// The register holds the address of `info` and the guest's value is lost. The guest is just
    /// before the syscall instruction, which would overwrite the register.
    Lost,
    /// The register is about to be set to this value: report it instead.
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

    /// Returns where the stub is entered.
    pub fn enter(&self) -> u64 {
        self.address + u64::from(self.lead_bytes)
    }

    /// Returns where the stub continues after the call.
    pub fn resume(&self) -> u64 {
        self.jump() + JMP_MEMORY_BYTES
    }

    /// Returns the address of the data block that the stub gets in `rcx`.
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
        let kept = |ip| Some(GuestPoint { ip, rcx: Rcx::Kept });
        let after = self.guest_ip();
        match ip {
            _ if ip == self.enter() => kept(self.site),
            _ if ip == self.address => kept(self.site - u64::from(self.lead_bytes)),
            _ if ip == self.jump() => Some(GuestPoint { ip: self.site, rcx: Rcx::Lost }),
            _ if ip == self.resume() => Some(GuestPoint { ip: after, rcx: Rcx::Due(after) }),
            _ if ip == self.follower() => kept(after),
            _ if ip == self.back() => kept(self.next()),
            _ => None,
        }
    }

    /// Returns the address of the copied following instruction, or of the jump back.
    pub(super) fn follower(&self) -> u64 {
        self.resume() + LEA_BYTES
    }

    fn jump(&self) -> u64 {
        self.enter() + LEA_BYTES
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
    pub(super) fn assemble(&self, lead: &[u8], follower: &[u8], entry: u64) -> Option<Vec<u8>> {
        let mut code = lead.to_vec();
        let relative = |code: &mut Vec<u8>, opcode: &[u8], target: u64| {
            code.extend_from_slice(opcode);
            let end = self.address + code.len() as u64 + 4;
            code.extend_from_slice(&displacement(end, target)?.to_le_bytes());
            Some(())
        };
        relative(&mut code, LEA_RCX_RIP, self.info())?;
        relative(&mut code, JMP_MEMORY_RIP, self.info() + 16)?;
        relative(&mut code, LEA_RCX_RIP, self.guest_ip())?;
        code.extend_from_slice(follower);
        relative(&mut code, JMP_RELATIVE, self.next())?;
        code.resize((self.info() - self.address) as usize, super::space::INT3);
        for word in [self.resume(), self.guest_ip(), entry] {
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
pub(super) fn jump(at: u64, target: u64) -> Option<[u8; 5]> {
    let [a, b, c, d] = displacement(at + JMP_BYTES, target)?.to_le_bytes();
    Some([JMP_RELATIVE[0], a, b, c, d])
}
