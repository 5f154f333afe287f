//! Instructions, what they read, and what a program answers.

use linux_abi::Errno;
use linux_abi::task::{
    SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_TRAP,
    SECCOMP_RET_USER_NOTIF,
};

// Codes of the instructions in use, from `linux/bpf_common.h`. A is the accumulator, X the index
// register, K the instruction's constant.
pub(super) const LD_W_ABS: u16 = 0x20;
pub(super) const ALU_ADD_X: u16 = 0x0c;
pub(super) const ALU_ADD_K: u16 = 0x04;
pub(super) const ALU_AND_K: u16 = 0x54;
pub(super) const MISC_TAX: u16 = 0x07;
pub(super) const RET_K: u16 = 0x06;
pub(super) const JMP_JA: u16 = 0x05;
pub(super) const JMP_JEQ_K: u16 = 0x15;
pub(super) const JMP_JGT_K: u16 = 0x25;
pub(super) const JMP_JGE_K: u16 = 0x35;
pub(super) const JMP_JGE_X: u16 = 0x3d;
pub(super) const JMP_JSET_K: u16 = 0x45;

/// `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    /// How many instructions a conditional jump skips if its test holds,
    pub jt: u8,
    /// and if not.
    pub jf: u8,
    pub k: u32,
}

impl Instruction {
    pub(super) const fn plain(code: u16, k: u32) -> Instruction {
        Instruction { code, jt: 0, jf: 0, k }
    }

    /// The layout that `seccomp(2)` reads.
    pub fn to_bytes(self) -> [u8; 8] {
        let code = self.code.to_ne_bytes();
        let k = self.k.to_ne_bytes();
        [code[0], code[1], self.jt, self.jf, k[0], k[1], k[2], k[3]]
    }
}

/// A 32-bit word of `struct seccomp_data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Number,
    Arch,
    IpLow,
    IpHigh,
    /// Lower half of an argument, counted from 0 to 5.
    ArgLow(u8),
    ArgHigh(u8),
}

impl Word {
    pub(super) const fn offset(self) -> u32 {
        match self {
            Word::Number => 0,
            Word::Arch => 4,
            Word::IpLow => 8,
            Word::IpHigh => 12,
            Word::ArgLow(index) => 16 + 8 * index as u32,
            Word::ArgHigh(index) => 20 + 8 * index as u32,
        }
    }
}

/// A question about A that a conditional jump asks; numbers are unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    Equals(u32),
    AtLeast(u32),
    Above(u32),
    /// At least one of these bits is set.
    HasAny(u32),
    /// A ≥ X.
    AtLeastX,
}

impl Test {
    pub(super) const fn encode(self) -> (u16, u32) {
        match self {
            Test::Equals(k) => (JMP_JEQ_K, k),
            Test::AtLeast(k) => (JMP_JGE_K, k),
            Test::Above(k) => (JMP_JGT_K, k),
            Test::HasAny(k) => (JMP_JSET_K, k),
            Test::AtLeastX => (JMP_JGE_X, 0),
        }
    }
}

/// What a program answers, `SECCOMP_RET_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Allow,
    /// A user notification: the holder of the filter's listener answers.
    Notify,
    /// SIGSYS.
    Trap,
    /// The call fails without being made.
    Refuse(Errno),
    KillProcess,
}

impl Answer {
    /// As the kernel takes it.
    pub const fn value(self) -> u32 {
        match self {
            Answer::Allow => SECCOMP_RET_ALLOW,
            Answer::Notify => SECCOMP_RET_USER_NOTIF,
            Answer::Trap => SECCOMP_RET_TRAP,
            Answer::Refuse(errno) => SECCOMP_RET_ERRNO | errno.raw() as u32,
            Answer::KillProcess => SECCOMP_RET_KILL_PROCESS,
        }
    }
}
