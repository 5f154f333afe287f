//! The policy and its tables as a program.

use std::fmt;
use std::ops::Range;

use linux_abi::Errno;
use linux_abi::task::AUDIT_ARCH_X86_64;

use super::table::{
    Bound, FUTEX_CALLS, HOST_CALLS, HostCall, OWN_CALLS, TRAPPED, UNKNOWN_CALLS, VSYSCALLS,
};
use super::{DOORBELL, WINDOW_BYTES};
use crate::filter::bpf::{self, Answer, Assembler, Instruction, Label, Switch, Test, Word};
use crate::systrap::patch::{AREA_BYTES, AREA_END, AREA_PERIOD};

/// First number with the bit that marks the x32 ABI. Numbers above are negative; Linux has none.
const X32_START: u32 = 0x4000_0000;
/// Upper half of all addresses in the vsyscall page, and of nothing else that is ever executed.
pub(super) const VSYSCALL_HIGH: u32 = 0xffff_ffff;
/// End of the lower half of the address space with 4-level paging.
const USER_END: u64 = 1 << 47;
/// How the channel memory is mapped.
pub(super) const CHANNEL_PROTECTION: u64 = (libc::PROT_READ | libc::PROT_WRITE) as u64;
pub(super) const CHANNEL_FLAGS: u64 = (libc::MAP_SHARED | libc::MAP_FIXED) as u64;

/// Where the stub lies in its processes, and what else the filter depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Start of the stub's region, which is `WINDOW_BYTES` long and aligned to that.
    pub window: u64,
    /// The stub's code inside the window. Of a system call the host tells the address behind the
    /// instruction, so the code must not end with one.
    pub code: Range<u64>,
    /// The channel memory inside the window.
    pub channel: Range<u64>,
    /// Where conduits lie inside the window, and how many bytes each has.
    pub conduits: Range<u64>,
    pub conduit_bytes: u64,
    /// Where in the stub's code the `struct sock_fprog` of the second filter lies.
    pub catch_all: u64,
    /// Whether guest code makes [`FUTEX_CALLS`] of the host, and [`OWN_CALLS`] with them; and gets no
    /// other answer than the host's to [`UNKNOWN_CALLS`].
    pub has_native_futexes: bool,
}

/// Why there is no program for a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The window is not aligned, or neither above the first 4 GiB nor in the lower half.
    Window(u64),
    /// The code is empty, or not inside the window.
    Code(Range<u64>),
    /// The channel memory is not inside the window.
    Channel(Range<u64>),
    /// Conduits are not inside the window.
    Conduits(Range<u64>),
    /// An error in the translation of the tables.
    Program(bpf::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Window(start) => write!(f, "no window for a stub can begin at {start:#x}"),
            Error::Code(range) => write!(f, "code at {range:#x?} is not in the stub's window"),
            Error::Channel(range) => write!(f, "channel {range:#x?} is not in the stub's window"),
            Error::Conduits(range) => {
                write!(f, "conduits {range:#x?} are not in the stub's window")
            }
            Error::Program(error) => write!(f, "filter for stubs: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// The filter's program, as the bytes of an array of `struct sock_filter`.
///
/// # Errors
/// [`Error`] names what is wrong with the layout.
pub fn program(layout: &Layout) -> Result<Vec<u8>, Error> {
    Ok(assemble(layout)?.into_iter().flat_map(Instruction::to_bytes).collect())
}

/// The same, not yet as bytes.
pub(super) fn assemble(layout: &Layout) -> Result<Vec<Instruction>, Error> {
    layout.check()?;
    let mut generator = Generator { asm: Assembler::new(), layout };
    generator.policy();
    generator.asm.assemble().map_err(Error::Program)
}

impl Layout {
    pub(super) fn check(&self) -> Result<(), Error> {
        let Layout { window, code, channel, conduits, .. } = self;
        let places = WINDOW_BYTES..=USER_END - WINDOW_BYTES;
        if !window.is_multiple_of(WINDOW_BYTES) || !places.contains(window) {
            return Err(Error::Window(*window));
        }
        // The end too must have the window's upper half.
        let last = window + (WINDOW_BYTES - 1);
        let is_inside = |range: &Range<u64>| *window <= range.start && range.end <= last;
        if !is_inside(code) || code.is_empty() {
            return Err(Error::Code(code.clone()));
        }
        if !is_inside(channel) || channel.start > channel.end {
            return Err(Error::Channel(channel.clone()));
        }
        if !is_inside(conduits) || conduits.end.saturating_sub(self.conduit_bytes) < conduits.start
        {
            return Err(Error::Conduits(conduits.clone()));
        }
        Ok(())
    }

    pub(super) fn window_high(&self) -> u32 {
        high(self.window)
    }
}

struct Generator<'a> {
    asm: Assembler,
    layout: &'a Layout,
}

impl Generator<'_> {
    /// Guest calls are the most frequent and take the shortest path.
    fn policy(&mut self) {
        let Layout { code, .. } = self.layout;
        let (guest, stub, no_such_call) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.load(Word::Arch);
        self.asm.jump_unless(Test::Equals(AUDIT_ARCH_X86_64), no_such_call);
        self.asm.load(Word::IpHigh);
        self.asm.jump_unless(Test::Equals(self.layout.window_high()), guest);
        self.asm.load(Word::IpLow);
        self.asm.jump_if(Test::AtLeast(low(code.end)), guest);
        self.asm.branch(Test::AtLeast(low(code.start)), stub, guest);
        self.asm.bind(guest);
        self.guest(no_such_call);
        self.asm.bind(no_such_call);
        self.asm.answer(Answer::Refuse(Errno::ENOSYS));
        self.asm.bind(stub);
        self.stub();
    }

    fn guest(&mut self, no_such_call: Label) {
        let (notify, trap) = (self.asm.label(), self.asm.label());
        let (vsyscall, allow) = (self.asm.label(), self.asm.label());
        let mut switch = Switch::new(notify);
        switch.set(X32_START..=u32::MAX, no_such_call);
        for &number in TRAPPED {
            switch.set(only(number), trap);
        }
        for call in VSYSCALLS {
            switch.set(only(call.number), vsyscall);
        }
        let natives = FUTEX_CALLS.iter().chain(OWN_CALLS);
        let natives = natives.filter(|_| self.layout.has_native_futexes);
        let natives: Vec<_> = natives.map(|call| (call, self.asm.label())).collect();
        for (call, label) in &natives {
            let is_bounded = !call.when.is_empty();
            switch.set(only(call.number), if is_bounded { *label } else { allow });
        }
        if self.layout.has_native_futexes {
            UNKNOWN_CALLS.iter().for_each(|&number| switch.set(only(number), no_such_call));
        }
        self.asm.load(Word::Number);
        switch.emit(&mut self.asm);
        for (call, label) in natives {
            self.asm.bind(label);
            self.alternatives(call, Answer::Allow);
            self.asm.jump(if TRAPPED.contains(&call.number) { trap } else { notify });
        }
        self.asm.bind(trap);
        self.asm.answer(Answer::Trap);
        self.asm.bind(vsyscall);
        self.asm.load(Word::IpHigh);
        self.asm.branch(Test::Equals(VSYSCALL_HIGH), allow, notify);
        self.asm.bind(allow);
        self.asm.answer(Answer::Allow);
        self.asm.bind(notify);
        self.asm.answer(Answer::Notify);
    }

    fn stub(&mut self) {
        let (kill, no_such_call) = (self.asm.label(), self.asm.label());
        let (ring, always) = (self.asm.label(), self.asm.label());
        let mut switch = Switch::new(kill);
        switch.set(X32_START..=u32::MAX, no_such_call);
        let mut bounded = Vec::new();
        for call in HOST_CALLS {
            let label = if call.when.is_empty() { always } else { self.asm.label() };
            switch.set(only(call.number), label);
            if !call.when.is_empty() {
                bounded.push((call, label));
            }
        }
        self.asm.load(Word::Number);
        self.asm.jump_if(Test::Equals(DOORBELL), ring);
        switch.emit(&mut self.asm);
        for (label, answer) in [
            (ring, Answer::Notify),
            (always, Answer::Allow),
            (no_such_call, Answer::Refuse(Errno::ENOSYS)),
            (kill, Answer::KillProcess),
        ] {
            self.asm.bind(label);
            self.asm.answer(answer);
        }
        for (call, label) in bounded {
            self.asm.bind(label);
            self.call(call);
        }
    }

    fn call(&mut self, call: &HostCall) {
        self.alternatives(call, if call.is_asked { Answer::Notify } else { Answer::Allow });
        self.asm.answer(Answer::Refuse(call.refusal));
    }

    /// Gives an answer to a bounded call within its bounds, else goes on.
    fn alternatives(&mut self, call: &HostCall, answer: Answer) {
        for alternative in call.when {
            let next = self.asm.label();
            for bound in *alternative {
                self.require(*bound, next);
            }
            self.asm.answer(answer);
            self.asm.bind(next);
        }
    }

    /// Goes on if `bound` holds, else jumps.
    fn require(&mut self, bound: Bound, otherwise: Label) {
        match bound {
            Bound::OneOf(arg, values) => {
                self.asm.load(Word::ArgLow(arg));
                self.require_one_of(values, otherwise);
            }
            Bound::OneOfBeside { arg, ignored, values } => {
                self.asm.load(Word::ArgLow(arg));
                self.asm.and(!ignored as u32);
                self.require_one_of(values, otherwise);
            }
            Bound::Lacks(arg, bits) => {
                self.asm.load(Word::ArgLow(arg));
                self.asm.jump_if(Test::HasAny(bits as u32), otherwise);
            }
            Bound::IsLong(arg, value) => self.require_long(arg, value, otherwise),
            Bound::AtMost(arg, most) => {
                self.asm.load(Word::ArgHigh(arg));
                self.asm.jump_unless(Test::Equals(0), otherwise);
                self.asm.load(Word::ArgLow(arg));
                self.asm.jump_if(Test::Above(most), otherwise);
            }
            Bound::Outside { addr, len } => self.require_outside(addr, len, otherwise),
            Bound::BesideAreas { addr, len } => {
                let most = low(AREA_PERIOD - AREA_BYTES);
                self.asm.load(Word::ArgHigh(len));
                self.asm.jump_unless(Test::Equals(0), otherwise);
                self.asm.load(Word::ArgLow(len));
                self.asm.jump_if(Test::Above(most), otherwise);
                self.asm.copy_to_x();
                self.asm.load(Word::ArgLow(addr));
                self.asm.add(low(AREA_END).wrapping_neg());
                self.asm.and(low(AREA_PERIOD - 1));
                self.asm.add_x();
                self.asm.jump_if(Test::Above(most), otherwise);
            }
            Bound::CatchAll => {
                self.require_long(0, libc::SECCOMP_SET_MODE_FILTER.into(), otherwise);
                self.require_long(1, 0, otherwise);
                self.require_long(2, self.layout.catch_all, otherwise);
            }
            Bound::Channel => {
                let channel = &self.layout.channel;
                self.require_long(0, channel.start, otherwise);
                self.require_long(1, channel.end - channel.start, otherwise);
                self.require_long(2, CHANNEL_PROTECTION, otherwise);
                self.require_long(3, CHANNEL_FLAGS, otherwise);
            }
            Bound::Conduit => {
                let (conduits, bytes) = (&self.layout.conduits, self.layout.conduit_bytes);
                self.asm.load(Word::ArgHigh(0));
                self.asm.jump_unless(Test::Equals(self.layout.window_high()), otherwise);
                self.asm.load(Word::ArgLow(0));
                self.asm.jump_unless(Test::AtLeast(low(conduits.start)), otherwise);
                self.asm.jump_if(Test::Above(low(conduits.end - bytes)), otherwise);
                self.require_long(1, bytes, otherwise);
                self.require_long(2, CHANNEL_PROTECTION, otherwise);
                self.require_long(3, CHANNEL_FLAGS, otherwise);
            }
        }
    }

    fn require_one_of(&mut self, values: &[i32], otherwise: Label) {
        let listed = self.asm.label();
        let mut switch = Switch::new(otherwise);
        for &value in values {
            let value = value as u32;
            switch.set(value..=value, listed);
        }
        switch.emit(&mut self.asm);
        self.asm.bind(listed);
    }

    fn require_long(&mut self, arg: u8, value: u64, otherwise: Label) {
        self.asm.load(Word::ArgLow(arg));
        self.asm.jump_unless(Test::Equals(low(value)), otherwise);
        self.asm.load(Word::ArgHigh(arg));
        self.asm.jump_unless(Test::Equals(high(value)), otherwise);
    }

    /// Exact, with 32-bit arithmetic. All of the window has the same upper half W, so a range
    /// below must end at W·2³² at most. Above, only a range that wraps could reach the window: the
    /// host refuses those, and where it rounds a length up to no pages it changes nothing.
    fn require_outside(&mut self, addr: u8, len: u8, otherwise: Label) {
        let window = self.layout.window_high();
        let (outside, near, touches) = (self.asm.label(), self.asm.label(), self.asm.label());
        let below = self.asm.label();
        self.asm.load(Word::ArgHigh(addr));
        self.asm.jump_if(Test::Above(window), outside);
        self.asm.branch(Test::Equals(window), otherwise, below);
        self.asm.bind(below);
        self.asm.copy_to_x();
        self.asm.load(Word::ArgHigh(len));
        self.asm.jump_if(Test::Above(window), otherwise);
        // Both are at most W < 2¹⁵, so this does not wrap. It lacks the carry of the lower halves.
        self.asm.add_x();
        self.asm.branch(Test::AtLeast(window - 1), near, outside);
        self.asm.bind(near);
        self.asm.jump_if(Test::Above(window), otherwise);
        self.asm.jump_if(Test::Equals(window), touches);
        // The sum is W-1: the range is outside without a carry, or if it ends just at the window.
        self.asm.load(Word::ArgLow(addr));
        self.asm.copy_to_x();
        self.asm.load(Word::ArgLow(len));
        self.asm.add_x();
        self.asm.jump_if(Test::Equals(0), outside);
        self.asm.branch(Test::AtLeastX, outside, otherwise);
        // The sum is W: outside if the lower halves add nothing.
        self.asm.bind(touches);
        self.asm.load(Word::ArgLow(addr));
        self.asm.jump_unless(Test::Equals(0), otherwise);
        self.asm.load(Word::ArgLow(len));
        self.asm.jump_unless(Test::Equals(0), otherwise);
        self.asm.bind(outside);
    }
}

pub(super) const fn low(value: u64) -> u32 {
    value as u32
}

const fn high(value: u64) -> u32 {
    (value >> 32) as u32
}

/// The one number of a call; those of the tables are small and positive.
pub(super) fn only(number: i64) -> std::ops::RangeInclusive<u32> {
    number as u32..=number as u32
}
