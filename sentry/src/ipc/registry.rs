//! Numbers and keys of System V objects.

use std::collections::{BTreeMap, HashMap};

use linux_abi::Errno;
use linux_abi::ipc::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE};

/// Bits of an id that are its index; a sequence number is above them.
const INDEX_BITS: u32 = 15;
const MAX_SEQUENCE: u16 = u16::MAX;
/// Indices run over at least so many before they are used again, so that ids are not reused soon.
const MIN_CYCLE: u32 = 64;

/// Index and sequence number of an id.
pub fn split_id(id: i32) -> (u32, u16) {
    (id as u32 & ((1 << INDEX_BITS) - 1), (id as u32 >> INDEX_BITS) as u16)
}

/// The objects of one kind.
pub struct Registry<T> {
    objects: BTreeMap<u32, (u16, T)>,
    keys: HashMap<i32, u32>,
    limit: usize,
    sequence: u16,
    last_index: Option<u32>,
}

/// What a `*get` call finds.
pub enum Lookup {
    Existing(i32),
    /// There is none and the caller wants a new one.
    Create,
}

impl<T> Registry<T> {
    /// At most `limit` objects.
    pub fn new(limit: usize) -> Registry<T> {
        Registry {
            objects: BTreeMap::new(),
            keys: HashMap::new(),
            limit,
            sequence: 0,
            last_index: None,
        }
    }

    /// What `key` and `flags` of a `*get` call ask for.
    ///
    /// # Errors
    /// ENOENT, EEXIST.
    pub fn look_up(&self, key: i32, flags: u32) -> Result<Lookup, Errno> {
        if key == IPC_PRIVATE {
            return Ok(Lookup::Create);
        }
        match self
            .keys
            .get(&key)
            .and_then(|index| Some(self.id(*index, self.objects.get(index)?.0)))
        {
            None if flags & IPC_CREAT == 0 => Err(Errno::ENOENT),
            None => Ok(Lookup::Create),
            Some(_) if flags & IPC_CREAT != 0 && flags & IPC_EXCL != 0 => Err(Errno::EEXIST),
            Some(id) => Ok(Lookup::Existing(id)),
        }
    }

    fn id(&self, index: u32, sequence: u16) -> i32 {
        (i32::from(sequence) << INDEX_BITS) | index as i32
    }

    /// Adds an object; answers with its id.
    ///
    /// # Errors
    /// ENOSPC.
    pub fn insert(&mut self, key: i32, object: T) -> Result<i32, Errno> {
        if self.objects.len() >= self.limit {
            return Err(Errno::ENOSPC);
        }
        let cycle = ((self.objects.len() as u32 + 1) * 3 / 2).max(MIN_CYCLE);
        let end = cycle.min(self.limit as u32);
        let first = self.last_index.map_or(0, |last| last + 1);
        let is_free = |index: &u32| !self.objects.contains_key(index);
        let index = (first..end).find(is_free).or_else(|| (0..).find(is_free));
        let index = index.ok_or(Errno::ENOSPC)?;
        if self.last_index.is_some_and(|last| index <= last) {
            self.sequence = if self.sequence == MAX_SEQUENCE { 0 } else { self.sequence + 1 };
        }
        self.last_index = Some(index);
        self.objects.insert(index, (self.sequence, object));
        if key != IPC_PRIVATE {
            self.keys.insert(key, index);
        }
        Ok(self.id(index, self.sequence))
    }

    /// The object `id`. Errors: EINVAL.
    pub fn get(&mut self, id: i32) -> Result<&mut T, Errno> {
        if id < 0 {
            return Err(Errno::EINVAL);
        }
        let (index, sequence) = split_id(id);
        let found = self.objects.get_mut(&index).filter(|(known, _)| *known == sequence);
        found.map(|(_, object)| object).ok_or(Errno::EINVAL)
    }

    /// The object at `index`, with its id. Errors: EINVAL.
    pub fn at(&mut self, index: i32) -> Result<(i32, &mut T), Errno> {
        let index = u32::try_from(index).map_err(|_| Errno::EINVAL)?;
        let (sequence, object) = self.objects.get_mut(&index).ok_or(Errno::EINVAL)?;
        Ok(((i32::from(*sequence) << INDEX_BITS) | index as i32, object))
    }

    /// Takes the object out. Errors: EINVAL.
    pub fn remove(&mut self, id: i32) -> Result<T, Errno> {
        self.get(id)?;
        let (index, _) = split_id(id);
        self.keys.retain(|_, other| *other != index);
        self.objects.remove(&index).map(|(_, object)| object).ok_or(Errno::EINVAL)
    }

    /// Frees the object's key; it stays, known by its id only.
    pub fn forget_key(&mut self, key: i32) {
        self.keys.remove(&key);
    }

    /// Takes out what `keep` refuses.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.objects.retain(|_, (_, object)| keep(object));
        let objects = &self.objects;
        self.keys.retain(|_, index| objects.contains_key(index));
    }

    /// All objects with their ids in order of their indices.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &T)> {
        self.objects.iter().map(|(&index, (sequence, object))| (self.id(index, *sequence), object))
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The highest index in use, 0 if there is none (the result of `*_INFO`).
    pub fn highest_index(&self) -> usize {
        self.objects.keys().next_back().map_or(0, |&index| index as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_to_objects() {
        let mut registry = Registry::new(10);
        assert_eq!(registry.look_up(7, 0).err(), Some(Errno::ENOENT));
        let id = registry.insert(7, "seven").unwrap();
        assert!(
            matches!(registry.look_up(7, IPC_CREAT), Ok(Lookup::Existing(found)) if found == id)
        );
        assert_eq!(registry.look_up(7, IPC_CREAT | IPC_EXCL).err(), Some(Errno::EEXIST));
        assert!(matches!(registry.look_up(IPC_PRIVATE, 0), Ok(Lookup::Create)));
        assert_eq!(registry.remove(id), Ok("seven"));
        assert_eq!(registry.look_up(7, 0).err(), Some(Errno::ENOENT));
    }

    #[test]
    fn old_ids_do_not_lead_to_new_objects() {
        let mut registry = Registry::new(100);
        let first = registry.insert(IPC_PRIVATE, 0).unwrap();
        assert_eq!(first, 0);
        registry.remove(first).unwrap();
        for number in 1..64 {
            let id = registry.insert(IPC_PRIVATE, number).unwrap();
            assert_eq!(id, number);
            registry.remove(id).unwrap();
        }
        let again = registry.insert(IPC_PRIVATE, 64).unwrap();
        assert_eq!(split_id(again), (0, 1));
        assert_eq!(registry.get(first), Err(Errno::EINVAL));
        assert_eq!(registry.get(again), Ok(&mut 64));
    }

    #[test]
    fn a_full_registry_is_enospc() {
        let mut registry = Registry::new(2);
        registry.insert(1, ()).unwrap();
        registry.insert(2, ()).unwrap();
        assert_eq!(registry.insert(3, ()), Err(Errno::ENOSPC));
    }
}
