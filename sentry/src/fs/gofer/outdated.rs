//! Directories whose attributes have to be asked for again.
//!
//! What programs have filled they often go through next: `rm -r` looks at each directory of a tree that
//! was copied just now. So directories that were changed by quiet requests queue up here, and when one
//! of them is asked about soon after another, many are asked about at once.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use gofer_protocol::{Client, MAX_ATTR_NODES, NodeId};
use linux_abi::fs::FileKind;
use platform::host;
use platform::host::time::Clock;

use super::attributes::Asked;
use super::export::{Export, Node};
use super::inode::GoferInode;
use crate::sync::{Mutex, Rank};
use crate::vfs::{Attributes, Inode};

/// Most directories that wait.
const WAITING_MAX: usize = 1 << 12;
/// Questions that are so close are taken for those of one program.
const CLOSE: Duration = Duration::from_millis(20);

/// The directories of an export that wait.
pub(super) struct Outdated(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    directories: VecDeque<Weak<GoferInode>>,
    asked_at: Duration,
    /// How many others were asked about last.
    batch: usize,
}

/// One that is to be asked about.
pub(super) struct Question {
    directory: Arc<GoferInode>,
    node: Arc<Node>,
    asked: Asked,
}

impl Default for Outdated {
    fn default() -> Outdated {
        Outdated(Mutex::new(Rank::Leaf, Waiting::default()))
    }
}

impl Outdated {
    /// Adds a directory, which is not among those that wait.
    pub(super) fn add(&self, directory: Weak<GoferInode>) {
        let _first = {
            let mut waiting = self.0.lock();
            waiting.directories.push_back(directory);
            let is_full = waiting.directories.len() > WAITING_MAX;
            if is_full { waiting.directories.pop_front() } else { None }
        };
    }

    /// Those to ask about besides one that is being asked about now.
    fn take(&self, now: Duration) -> Vec<Weak<GoferInode>> {
        let mut waiting = self.0.lock();
        let is_close = now.saturating_sub(waiting.asked_at) < CLOSE;
        waiting.asked_at = now;
        let most = if is_close { MAX_ATTR_NODES - 1 } else { 0 };
        waiting.batch = (2 * waiting.batch + 1).min(most);
        let count = waiting.batch.min(waiting.directories.len());
        waiting.directories.drain(..count).collect()
    }
}

impl Export {
    /// Asks about directories, at most [`MAX_ATTR_NODES`].
    pub(super) fn ask(&self, questions: &[Question]) {
        let nodes: Vec<NodeId> = questions.iter().map(|question| question.node.id()).collect();
        let Ok(answers) = self.call(|client: &Client| client.get_attrs(&nodes)) else { return };
        for (Question { directory, asked, .. }, answer) in questions.iter().zip(answers) {
            if let Ok(attr) = answer
                && directory.recognises(&attr)
            {
                directory.note_attr(&attr, *asked);
            }
        }
    }
}

impl GoferInode {
    /// Asks about other directories along with this one, whose attributes are outdated, if that is worth
    /// it. Answers with the attributes of this one; without them it has to be asked about alone.
    pub(super) fn ask_for_many(&self) -> Option<Attributes> {
        if self.kind() != FileKind::Directory || !self.export.is_exclusive() {
            return None;
        }
        let others = self.export.outdated.take(host::time::now(Clock::Monotonic));
        let others = others.iter().filter_map(|other| other.upgrade()?.question());
        let mut questions: Vec<Question> = others.collect();
        if questions.is_empty() {
            return None;
        }
        questions.extend(self.question());
        self.export.ask(&questions);
        self.state.lock().attributes.current()
    }

    /// The question for the attributes of this directory, if there is need for it and nothing waits that
    /// would change the answer.
    pub(super) fn question(&self) -> Option<Question> {
        let asked = self.asking();
        let directory = self.shared().ok()?;
        let mut state = self.state.lock();
        state.attributes.note_asked();
        if state.attributes.current().is_some() {
            return None;
        }
        let is_served = self.export.client().is_served(state.quiet_mark);
        let node = state.node.clone().filter(|_| is_served)?;
        drop(state);
        Some(Question { directory, node, asked })
    }
}
