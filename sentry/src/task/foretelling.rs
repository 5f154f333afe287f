//! Answers of calls that guest code has not made yet.
//!
//! Programs look at the attributes of nearly each file that they have opened, and read on until they
//! are told that there is no more. What these calls will be answered with is known when the call
//! before them is; so guest code is told with that one's answer, and need not ask
//! (`platform::Thread::foretell`).
//!
//! That holds until something else happens. What the thread itself does next ends it, in the
//! thread's own slot; for all others there is [`Foretelling`]: one thread of the sandbox at a time
//! may be told something, and each call of another thread takes that back before it is answered. The
//! thread is noted there before the call is made whose answer says more, so that others' changes
//! either come before that or find it. What changes without any call is never foretold: files that
//! others outside can change, or that a shared mapping may be changing.
//!
//! Divergence: who sees by a mapping of the file that a call of somebody else is changing it may be
//! told the attributes from before that, until the call is answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};
use linux_abi::sysno::*;
use linux_abi::task::{RLIM_INFINITY, RLIMIT_FSIZE};
use platform::{Foretold, TakeBack, Thread};
use zerocopy::IntoBytes;

use super::{Ctx, posting};
use crate::sync::{Mutex, Rank};
use crate::syscall::{clone_error, stat_at_hand};
use crate::vfs::FileDescription;

/// Who may have been foretold something.
pub struct Foretelling {
    /// The thread's number, or [`NOBODY`] or [`CHANGING`].
    holder: AtomicU64,
    /// How many have got a number.
    threads: AtomicU64,
    /// How to take that back. Locked while the holder changes.
    told: Mutex<Option<Weak<dyn TakeBack>>>,
}

/// Also the number of a thread that needs none.
const NOBODY: u64 = 0;
/// The last one is just losing it.
const CHANGING: u64 = u64::MAX;

impl Default for Foretelling {
    fn default() -> Foretelling {
        let told = Mutex::new(Rank::Leaf, None);
        Foretelling { holder: AtomicU64::new(NOBODY), threads: AtomicU64::new(0), told }
    }
}

impl Foretelling {
    /// A number for a thread.
    fn number(&self) -> u64 {
        self.threads.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn is_held_by(&self, number: u64) -> bool {
        self.holder.load(Ordering::SeqCst) == number
    }

    /// The thread is the one to be told something.
    fn hold(&self, number: u64, thread: &dyn Thread) {
        if self.is_held_by(number) {
            return;
        }
        let told = thread.foretold().map(|told| Arc::downgrade(&told));
        let mut place = self.told.lock();
        self.holder.store(number, Ordering::SeqCst);
        let _last = take_back(&std::mem::replace(&mut *place, told));
        // Before that.
        drop(place);
    }

    /// Another thread makes a call, or has made one.
    fn end_others(&self, number: u64) {
        // What the call has changed was changed under locks, or by the host: others see it by now.
        let holder = self.holder.load(Ordering::SeqCst);
        if holder == NOBODY || holder == number {
            return;
        }
        let mut place = self.told.lock();
        if self.is_held_by(number) {
            return;
        }
        // Who finds nobody there must not come before it is taken back.
        self.holder.store(CHANGING, Ordering::SeqCst);
        let _last = take_back(&place.take());
        self.holder.store(NOBODY, Ordering::SeqCst);
        drop(place);
    }
}

/// Takes back what a thread was told; answers with it, to be dropped without a lock.
fn take_back(told: &Option<Weak<dyn TakeBack>>) -> Option<Arc<dyn TakeBack>> {
    let told = told.as_ref()?.upgrade()?;
    told.take_back();
    Some(told)
}

/// A thread's own part.
#[derive(Default)]
pub(super) struct Foresight {
    /// Its number, or [`NOBODY`].
    number: u64,
    /// The present call may say what comes next.
    is_possible: bool,
    /// The last call has.
    is_told: bool,
    /// Whether it was about attributes, and otherwise the end of something.
    is_of_attributes: bool,
    attributes: Record,
    end: Record,
    /// The file that was opened last to be read: another may be to become its clone.
    source: Option<u32>,
}

/// Whether it was of use to foretell something.
#[derive(Default)]
struct Record {
    /// How often it was not, at last.
    vain: u32,
    /// How often it is not to be tried.
    pause: u32,
}

/// So often in a row it may be in vain.
const VAIN_MAX: u32 = 3;
/// Then it is not tried for some calls, and longer each time.
const PAUSE: u32 = 8;
const PAUSES_MAX: u32 = 6;

impl Record {
    /// Whether to try it with the next call.
    fn is_worth(&mut self) -> bool {
        let is_worth = self.pause == 0;
        self.pause = self.pause.saturating_sub(1);
        is_worth
    }

    fn note(&mut self, was_used: bool) {
        if was_used {
            self.vain = 0;
            return;
        }
        self.vain += 1;
        if self.vain >= VAIN_MAX {
            self.pause = PAUSE << (self.vain - VAIN_MAX).min(PAUSES_MAX);
        }
    }
}

impl Foresight {
    fn record(&mut self, is_of_attributes: bool) -> &mut Record {
        if is_of_attributes { &mut self.attributes } else { &mut self.end }
    }
}

/// Before a call is made.
pub(super) fn begin(ctx: &mut Ctx, number: u64) {
    end_others(ctx);
    if std::mem::take(&mut ctx.foresight.is_told) && !ctx.thread.can_post() {
        take_own_back(ctx);
    }
    let is_of_attributes = matches!(number, SYS_OPEN | SYS_OPENAT);
    let is_of_end = matches!(number, SYS_READ | SYS_GETDENTS64 | SYS_COPY_FILE_RANGE);
    ctx.foresight.is_possible = (is_of_attributes || is_of_end)
        && posting::is_possible(ctx)
        && ctx.foresight.record(is_of_attributes).is_worth();
    if !ctx.foresight.is_possible {
        return;
    }
    let foretelling = &ctx.task.kernel.foretelling;
    if ctx.foresight.number == NOBODY {
        ctx.foresight.number = foretelling.number();
    }
    foretelling.hold(ctx.foresight.number, &*ctx.thread);
    if is_of_attributes {
        ctx.thread.prepare_foretelling();
    }
}

/// A call was made: what others were told is over.
pub(super) fn end_others(ctx: &Ctx) {
    ctx.task.kernel.foretelling.end_others(ctx.foresight.number);
}

fn take_own_back(ctx: &Ctx) {
    if let Some(told) = ctx.thread.foretold() {
        told.take_back();
    }
}

/// A call was made, with this result: says what comes next, if that is known.
pub(super) fn note(ctx: &mut Ctx, number: u64, args: &[u64; 6], result: usize) {
    if !std::mem::take(&mut ctx.foresight.is_possible) {
        return;
    }
    let Some(what) = foresee(ctx, number, args, result) else { return };
    let was_used = ctx.thread.foretell(&what);
    if let Foretold::Stat { fd, source: None, .. } = what {
        ctx.foresight.source = Some(fd);
    }
    let foresight = &mut ctx.foresight;
    foresight.record(foresight.is_of_attributes).note(was_used);
    foresight.is_of_attributes = matches!(what, Foretold::Stat { .. });
    foresight.is_told = true;
    if !ctx.task.kernel.foretelling.is_held_by(foresight.number) {
        take_own_back(ctx);
    }
}

fn foresee(ctx: &Ctx, number: u64, args: &[u64; 6], result: usize) -> Option<Foretold> {
    let fds = ctx.task.fds();
    let fd = args[0] as u32;
    match number {
        SYS_OPEN | SYS_OPENAT => {
            let fd = result as u32;
            let file = fds.get_usable(fd as i32).ok()?;
            let stat = stat_at_hand(&file)?;
            let is_clonable = |source: &u32| {
                let source = fds.get_usable(*source as i32);
                source.is_ok_and(|it| clone_error(&it, &file) == Errno::EOPNOTSUPP)
            };
            let source = ctx.foresight.source.filter(is_clonable);
            let (words, rest) = stat.as_bytes().as_chunks::<8>();
            let words: [u64; 18] = std::array::from_fn(|index| u64::from_ne_bytes(words[index]));
            debug_assert!(rest.is_empty() && words[15..] == [0; 3]);
            Some(Foretold::Stat { fd, words: *words.first_chunk()?, source })
        }
        SYS_READ if 0 < result && (result as u64) < args[2] => {
            let file = fds.get(fd as i32).ok()?;
            let is_plain = file.location().kind() == FileKind::Regular
                && !file.flags().contains(OpenFlags::DIRECT);
            (is_plain && is_at_end(&file)).then_some(Foretold::Read { fd })
        }
        SYS_GETDENTS64 if result > 0 => {
            let file = fds.get(fd as i32).ok()?;
            let has_watches = file.inode().common().existing_watches().is_some();
            (!has_watches && is_at_end(&file)).then_some(Foretold::Getdents64 { fd })
        }
        SYS_COPY_FILE_RANGE if 0 < result && (result as u64) < args[4] => {
            let &[_, from_offset, to, to_offset, len, _] = args;
            let (source, target) = (fds.get(fd as i32).ok()?, fds.get(to as i32).ok()?);
            let is_limited = ctx.task.group.soft_limit(RLIMIT_FSIZE as usize) != RLIM_INFINITY;
            let has_room = |file: &FileDescription| {
                file.offset().checked_add(len).is_some_and(|end| end <= i64::MAX as u64)
            };
            (from_offset == 0
                && to_offset == 0
                && !is_limited
                && has_room(&source)
                && has_room(&target)
                && is_at_end(&source))
            .then_some(Foretold::CopyFileRange { from: fd, to: to as u32, len })
        }
        _ => None,
    }
}

/// Whether a file's offset is at its end.
fn is_at_end(file: &FileDescription) -> bool {
    file.file().ends_at(file.offset())
}
