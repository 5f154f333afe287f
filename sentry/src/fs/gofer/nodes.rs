//! Finding the node of an inode again, and giving it back.

use std::sync::Arc;

use gofer_protocol::{MAX_WALK_NAMES, NodeId, WalkFlags};
use linux_abi::Errno;

use super::budget::Answer;
use super::export::Node;
use super::inode::{GoferInode, Place};

/// How often a node is looked for anew when a rename came in between.
const ATTEMPTS: usize = 3;

impl GoferInode {
    /// The node of this object; found again by name if it was given back.
    ///
    /// Errors: ESTALE when another file, or none, has its name now.
    pub(super) fn node(&self) -> Result<Arc<Node>, Errno> {
        let mut failures = 0;
        while failures < ATTEMPTS {
            {
                let mut state = self.state.lock();
                state.is_node_used = true;
                if let Some(node) = &state.node {
                    return Ok(node.clone());
                }
            }
            match self.find_node() {
                // A part of the way, if it is long.
                Ok(()) => {}
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE) => failures += 1,
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::ESTALE)
    }

    /// Walks from the nearest ancestor with a node down to here, or a part of the way.
    fn find_node(&self) -> Result<(), Errno> {
        let mut current = self.shared()?;
        let mut way: Vec<(Arc<[u8]>, Arc<GoferInode>)> = Vec::new();
        loop {
            let place = {
                let state = current.state.lock();
                if state.node.is_some() { None } else { state.place.clone() }
            };
            match place {
                Some(Place { parent, name }) => {
                    way.push((name, current));
                    current = parent;
                }
                None if current.state.lock().node.is_some() => break,
                None => return Err(Errno::ESTALE),
            }
        }
        way.reverse();
        way.truncate(MAX_WALK_NAMES);
        let names: Vec<&[u8]> = way.iter().map(|(name, _)| &**name).collect();
        if names.is_empty() {
            return Ok(());
        }
        let walked = current.walk(&names, WalkFlags::DIRECTORY_NODES | WalkFlags::FILE_NODE)?;
        let error = walked.error;
        let count = walked.entries.len();
        for ((_, inode), (attr, node)) in way.iter().zip(walked.entries) {
            if !inode.recognises(&attr) {
                return Err(Errno::ESTALE);
            }
            if let Some(node) = node {
                inode.keep_node(node);
            }
        }
        if count < way.len() { Err(error.unwrap_or(Errno::ESTALE)) } else { Ok(()) }
    }

    /// Keeps `node` unless there is one already.
    pub(super) fn keep_node(self: &Arc<Self>, node: Node) {
        let node = Arc::new(node);
        let is_new = {
            let mut state = self.state.lock();
            let is_new = state.node.is_none();
            if is_new {
                state.node = Some(node.clone());
            }
            is_new
        };
        // The root's node is never given back.
        if is_new && node.id() != NodeId::ROOT {
            self.export.nodes.add(self, GoferInode::give_node_back);
        }
    }

    /// Gives the node back if it can be found again and nobody has used it lately.
    pub(super) fn give_node_back(&self) -> Answer {
        let _node = {
            let mut state = self.state.lock();
            let was_used = std::mem::take(&mut state.is_node_used);
            let is_busy = state.node.as_ref().is_some_and(|node| Arc::strong_count(node) > 1);
            if was_used || is_busy || state.place.is_none() || self.known_identity().is_none() {
                return Answer::Keeps;
            }
            state.node.take()
        };
        Answer::LetGo
    }
}
