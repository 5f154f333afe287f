//! The nodes of a connection: a bounded table from numbers to open handles.
//!
//! A number holds a slot and a generation, so one that was released is not mistaken for the
//! slot's next tenant. Others are chosen by the client, and kept apart.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use gofer_protocol::NodeId;
use linux_abi::Errno;

use crate::handle::Handle;

/// Bits of a node number that hold the slot plus one; the rest hold the generation.
const SLOT_BITS: u32 = 32;
/// The bit above it tells numbers that the client has chosen.
const GENERATION_MAX: u32 = (NodeId::CHOSEN >> SLOT_BITS) as u32 - 1;

#[derive(Debug)]
pub struct Nodes {
    slots: Vec<Slot>,
    free: Vec<u32>,
    chosen: HashMap<u64, Rc<Handle>>,
    max_nodes: usize,
    /// Whether the log has been told that the table was full.
    is_reported: Cell<bool>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    handle: Option<Rc<Handle>>,
}

impl Nodes {
    /// Makes a table that holds the root, as node 1, and up to `max_nodes` others.
    pub fn new(root: Handle, max_nodes: usize) -> Nodes {
        let root = Slot { generation: 0, handle: Some(Rc::new(root)) };
        Nodes {
            slots: vec![root],
            free: Vec::new(),
            chosen: HashMap::new(),
            max_nodes,
            is_reported: Cell::new(false),
        }
    }

    pub fn max_nodes(&self) -> usize {
        self.max_nodes
    }

    /// The handle of a node. ESTALE if there is none.
    pub fn get(&self, node: u64) -> Result<Rc<Handle>, Errno> {
        if node & NodeId::CHOSEN != 0 {
            return self.chosen.get(&node).cloned().ok_or(Errno::ESTALE);
        }
        let slot = slot_index(node).and_then(|index| self.slots.get(index));
        let slot = slot.filter(|slot| slot.generation == generation(node));
        slot.and_then(|slot| slot.handle.clone()).ok_or(Errno::ESTALE)
    }

    /// ENFILE if no further node fits.
    pub fn check_room(&self) -> Result<(), Errno> {
        let used = self.slots.len() - 1 - self.free.len() + self.chosen.len();
        if used < self.max_nodes {
            return Ok(());
        }
        if !self.is_reported.replace(true) {
            tracing::warn!(
                max_nodes = self.max_nodes,
                "a connection has all the nodes it may have"
            );
        }
        Err(Errno::ENFILE)
    }

    /// EINVAL for a number that the client may not choose, ENFILE if no further node fits.
    pub fn check_choice(&self, node: u64) -> Result<(), Errno> {
        if node & NodeId::CHOSEN == 0 || self.chosen.contains_key(&node) {
            return Err(Errno::EINVAL);
        }
        self.check_room()
    }

    /// Keeps a handle as the node that the client has chosen. Errors as [`Nodes::check_choice`].
    pub fn insert_chosen(&mut self, node: u64, handle: Rc<Handle>) -> Result<(), Errno> {
        self.check_choice(node)?;
        self.chosen.insert(node, handle);
        Ok(())
    }

    /// Keeps a handle and returns its node. ENFILE if the table is full.
    pub fn insert(&mut self, handle: Rc<Handle>) -> Result<u64, Errno> {
        self.check_room()?;
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            slot.handle = Some(handle);
            return Ok(number(index, slot.generation));
        }
        let index = u32::try_from(self.slots.len()).map_err(|_| Errno::ENFILE)?;
        self.slots.push(Slot { generation: 0, handle: Some(handle) });
        Ok(number(index, 0))
    }

    /// Forgets a node. The root and unknown nodes are left alone.
    pub fn release(&mut self, node: u64) {
        if node & NodeId::CHOSEN != 0 {
            self.chosen.remove(&node);
            return;
        }
        let Some(index) = slot_index(node).filter(|&index| index != 0) else { return };
        let Some(slot) = self.slots.get_mut(index) else { return };
        if slot.generation != generation(node) || slot.handle.take().is_none() {
            return;
        }
        slot.generation = slot.generation.wrapping_add(1) & GENERATION_MAX;
        self.free.push(index as u32);
    }
}

fn number(index: u32, generation: u32) -> u64 {
    (u64::from(generation) << SLOT_BITS) | (u64::from(index) + 1)
}

fn slot_index(node: u64) -> Option<usize> {
    (node as u32).checked_sub(1).map(|index| index as usize)
}

fn generation(node: u64) -> u32 {
    (node >> SLOT_BITS) as u32
}

#[cfg(test)]
mod tests {
    use rustix::fs::{Mode, OFlags};

    use super::*;

    fn handle() -> Handle {
        let fd = rustix::fs::open("/", OFlags::PATH, Mode::empty()).expect("the root opens");
        Handle::of_root(fd).expect("the root has attributes")
    }

    #[test]
    fn released_node_is_stale_and_its_slot_gets_another_number() {
        let mut nodes = Nodes::new(handle(), 2);
        let first = nodes.insert(Rc::new(handle())).expect("room");
        assert!(nodes.get(first).is_ok());
        nodes.release(first);
        nodes.release(first);
        assert_eq!(nodes.get(first).map(drop), Err(Errno::ESTALE));
        let second = nodes.insert(Rc::new(handle())).expect("room");
        assert_ne!(first, second);
        assert!(nodes.get(second).is_ok());
        assert_eq!(nodes.get(first).map(drop), Err(Errno::ESTALE));
    }

    #[test]
    fn chosen_numbers_are_kept_apart() {
        let mut nodes = Nodes::new(handle(), 2);
        let chosen = NodeId::chosen(1).raw();
        assert_eq!(nodes.check_choice(1), Err(Errno::EINVAL));
        assert_eq!(nodes.get(chosen).map(drop), Err(Errno::ESTALE));
        nodes.insert_chosen(chosen, Rc::new(handle())).expect("room");
        assert!(nodes.get(chosen).is_ok());
        assert_eq!(nodes.check_choice(chosen), Err(Errno::EINVAL));
        nodes.insert(Rc::new(handle())).expect("room");
        assert_eq!(nodes.check_choice(NodeId::chosen(2).raw()), Err(Errno::ENFILE));
        nodes.release(chosen);
        assert_eq!(nodes.get(chosen).map(drop), Err(Errno::ESTALE));
        assert_eq!(nodes.check_choice(NodeId::chosen(2).raw()), Ok(()));
    }

    #[test]
    fn table_is_bounded_and_root_stays() {
        let mut nodes = Nodes::new(handle(), 1);
        let node = nodes.insert(Rc::new(handle())).expect("room");
        assert_eq!(nodes.insert(Rc::new(handle())), Err(Errno::ENFILE));
        nodes.release(1);
        assert!(nodes.get(1).is_ok());
        nodes.release(node);
        assert!(nodes.insert(Rc::new(handle())).is_ok());
        for unknown in [0, 99, u64::MAX, 1 << SLOT_BITS] {
            assert_eq!(nodes.get(unknown).map(drop), Err(Errno::ESTALE));
            nodes.release(unknown);
        }
    }
}
