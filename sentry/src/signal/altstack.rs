//! The alternate signal stack, `sigaltstack(2)`.

use linux_abi::Errno;
use linux_abi::signal::{MINSIGSTKSZ, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, SigAltStack};

/// A thread's alternate signal stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AltStack {
    sp: u64,
    size: u64,
    /// As given by the program (`SS_DISABLE`, `SS_AUTODISARM`).
    flags: u32,
}

impl AltStack {
    pub fn disabled() -> AltStack {
        AltStack { sp: 0, size: 0, flags: SS_DISABLE }
    }

    /// What [`AltStack::save`] has told, or guest code.
    pub(super) fn saved(stack: SigAltStack) -> AltStack {
        let SigAltStack { sp, flags, size, .. } = stack;
        AltStack { sp, size, flags }
    }

    /// Whether a stack pointer can lie on it so that it counts.
    pub fn can_be_on(&self) -> bool {
        self.size != 0 && self.flags & SS_AUTODISARM == 0
    }

    /// Whether `sp` lies on this stack. A stack with `SS_AUTODISARM` is never "in use".
    pub fn is_on(&self, sp: u64) -> bool {
        self.flags & SS_AUTODISARM == 0 && self.contains(sp)
    }

    /// Whether `sp`, which grows down from the end, lies on this stack.
    pub fn contains(&self, sp: u64) -> bool {
        sp > self.sp && sp - self.sp <= self.size
    }

    /// The first stack pointer of a handler, unless `sp` is already on the stack or there is none.
    pub fn entry(&self, sp: u64) -> Option<u64> {
        let usable = self.size != 0 && !self.is_on(sp);
        usable.then(|| self.sp.wrapping_add(self.size))
    }

    /// As `sigaltstack(NULL, &old)` shows it to a thread with stack pointer `sp`.
    pub fn describe(&self, sp: u64) -> SigAltStack {
        let state = match self.size {
            0 => SS_DISABLE,
            _ if self.is_on(sp) => SS_ONSTACK,
            _ => 0,
        };
        let flags = state | (self.flags & SS_AUTODISARM);
        SigAltStack { sp: self.sp, flags, _pad0: 0, size: self.size }
    }

    /// As a signal frame saves it, and guest code keeps it.
    pub fn save(&self) -> SigAltStack {
        SigAltStack { sp: self.sp, flags: self.flags, _pad0: 0, size: self.size }
    }

    /// Replaces the stack of a thread whose stack pointer is `sp`.
    ///
    /// Errors: EPERM while the thread runs on the old one, EINVAL for unknown flags, ENOMEM when
    /// smaller than `MINSIGSTKSZ` (Linux: `do_sigaltstack`).
    pub fn replace(&mut self, new: &SigAltStack, sp: u64) -> Result<(), Errno> {
        if self.is_on(sp) {
            return Err(Errno::EPERM);
        }
        let mode = new.flags & !SS_AUTODISARM;
        if !matches!(mode, 0 | SS_ONSTACK | SS_DISABLE) {
            return Err(Errno::EINVAL);
        }
        let mut next = AltStack { sp: new.sp, size: new.size, flags: new.flags };
        if mode == SS_DISABLE {
            (next.sp, next.size) = (0, 0);
        } else if *self != next && new.size < MINSIGSTKSZ {
            return Err(Errno::ENOMEM);
        }
        *self = next;
        Ok(())
    }

    /// A handler was entered: `SS_AUTODISARM` disables the stack until the handler returns.
    pub fn disarm_if_asked(&mut self) {
        if self.flags & SS_AUTODISARM != 0 {
            *self = AltStack::disabled();
        }
    }

    /// `execve`: the memory is gone.
    pub fn forget(&mut self) {
        (self.sp, self.size) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(sp: u64, size: u64, flags: u32) -> SigAltStack {
        SigAltStack { sp, flags, _pad0: 0, size }
    }

    #[test]
    fn a_stack_in_use_cannot_be_replaced() {
        let mut alt = AltStack::default();
        assert_eq!(alt.describe(0).flags, SS_DISABLE);
        assert_eq!(alt.replace(&stack(0x1000, 0x2000, 0), 0), Ok(()));
        assert_eq!(alt.entry(0x9000), Some(0x3000));
        assert_eq!(alt.entry(0x2000), None);
        assert_eq!(alt.describe(0x3000).flags, SS_ONSTACK);
        assert_eq!(alt.describe(0x1000).flags, 0);
        assert_eq!(alt.replace(&stack(0, 0, SS_DISABLE), 0x2000), Err(Errno::EPERM));
        assert_eq!(alt.replace(&stack(0, 0, SS_DISABLE), 0x9000), Ok(()));
        assert_eq!(alt.entry(0x9000), None);
    }

    #[test]
    fn bad_flags_and_sizes_are_refused() {
        let mut alt = AltStack::default();
        assert_eq!(alt.replace(&stack(0x1000, 0x2000, 4), 0), Err(Errno::EINVAL));
        assert_eq!(alt.replace(&stack(0x1000, 2047, 0), 0), Err(Errno::ENOMEM));
        assert_eq!(alt.replace(&stack(0x1000, 2048, SS_ONSTACK), 0), Ok(()));
    }

    #[test]
    fn autodisarm_lets_handlers_nest() {
        let mut alt = AltStack::default();
        alt.replace(&stack(0x1000, 0x2000, SS_AUTODISARM), 0).unwrap();
        assert_eq!(alt.entry(0x2000), Some(0x3000));
        let saved = alt.save();
        alt.disarm_if_asked();
        assert_eq!(alt, AltStack::disabled());
        alt.replace(&saved, 0x2000).unwrap();
        assert_eq!(alt.describe(0x2000).flags, SS_AUTODISARM);
    }
}
