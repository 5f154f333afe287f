//! One line of a table.

/// A system call that a process may make.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Its number on x86-64.
    pub number: i64,
    /// Alternatives, each a list of checks that must all hold; none means "always".
    pub when: &'static [&'static [Check]],
    /// What needs it.
    pub reason: &'static str,
}

/// A condition on one argument (counted from 0). Arguments are compared as the 32-bit numbers that
/// the kernel takes them for, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Is(u8, u32),
    IsNot(u8, u32),
    /// None of these bits is set.
    Lacks(u8, u32),
    /// The bits under a mask are these.
    HasOf {
        arg: u8,
        mask: u32,
        value: u32,
    },
    /// As `Is`, over all 64 bits.
    IsLong(u8, u64),
    /// As `Lacks`, over all 64 bits.
    LacksLong(u8, u64),
}

impl Allowed {
    /// A call that is allowed with all arguments.
    pub const fn always(number: i64, reason: &'static str) -> Allowed {
        Allowed { number, when: &[], reason }
    }

    /// A call that is allowed if all checks of an alternative hold.
    pub const fn when(
        number: i64,
        when: &'static [&'static [Check]],
        reason: &'static str,
    ) -> Allowed {
        Allowed { number, when, reason }
    }
}
