//! What a thread is told of its next call: if it is a certain one, the stub answers it by itself.
//!
//! Which call that is, and its answer, lie in the thread's slot ([`line::Foretold`]). That they are
//! there comes with the answer of a call by the line, and any other call that the stub puts there ends
//! it. Of all others who could change the answer the sentry's kernel knows, and takes it back before
//! it answers them: a stub that still finds it has been asked before that.
//!
//! All of it can be written by the guest, who fools only himself.

use std::mem::offset_of;
use std::sync::atomic::{Ordering, fence};

use super::line::{self, FORETOLD_OFFSET, foretold, known};
use super::slot::Slot;
use crate::contract::{Foretold, TakeBack};

const LINE_BYTES: u64 = 64;

impl Slot {
    /// Something will be said soon.
    pub(super) fn prepare_foretelling(&self) {
        let bytes = size_of::<line::Foretold>() as u64;
        let lines = (0..bytes).step_by(LINE_BYTES as usize);
        lines.for_each(|line| self.memory.fetch_to_write(FORETOLD_OFFSET + line));
    }

    /// Says what follows the present call; answers with whether the stub has used what was said last.
    pub(super) fn foretell(&self, what: &Foretold) -> bool {
        const WORDS: u64 = FORETOLD_OFFSET + offset_of!(line::Foretold, words) as u64;
        let last = self.memory.read::<u64>(FORETOLD_OFFSET);
        let was_used = last == 0 || last & foretold::USED != 0;
        let head = match *what {
            Foretold::Stat { fd, ref words, source } => {
                self.memory.write(WORDS, words);
                foretold::head(foretold::FSTAT, fd) | foretold::source(source)
            }
            Foretold::Read { fd } => foretold::head(foretold::READ, fd),
            Foretold::Getdents64 { fd } => foretold::head(foretold::GETDENTS64, fd),
            Foretold::CopyFileRange { from, to, len } => {
                self.memory.write(WORDS, &[u64::from(to), len]);
                foretold::head(foretold::COPY_FILE_RANGE, from)
            }
        };
        self.memory.atomic_long(FORETOLD_OFFSET).store(head, Ordering::Release);
        self.say_known(known::FORETOLD);
        // Whoever says this looks afterwards whether it still may; who takes it back, the other way
        // round.
        fence(Ordering::SeqCst);
        was_used
    }
}

impl TakeBack for Slot {
    fn take_back(&self) {
        self.memory.atomic_long(FORETOLD_OFFSET).fetch_and(!foretold::IS, Ordering::SeqCst);
    }
}

const _: () = assert!(offset_of!(line::Foretold, head) == 0);
// Numbers of calls, descriptors and sources lie side by side.
const _: () = assert!(foretold::head(u16::MAX as u32, u32::MAX) & foretold::SOURCE == 0);
const _: () = assert!(foretold::source(Some(foretold::SOURCE_MAX - 1)) & !foretold::SOURCE == 0);
