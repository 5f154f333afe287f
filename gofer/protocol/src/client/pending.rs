//! Quiet requests that wait to be sent, one behind the other.
//!
//! Programs write files under a passing name, and make files that they remove soon. As long as the
//! request that gives a file its name is still here when that name is to be removed, neither needs to be
//! done ([`Pending::take_back`]). And a request that is waited for need not wait for those here if it has
//! nothing to do with them ([`Scope`]).

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::change::Change;
use crate::MAX_MESSAGE_BYTES;
use crate::message::{Op, RequestHeader};
use crate::name::NodeId;
use crate::wire::Writer;

/// A directory and a name in it, and the bytes of a request; those of common length take no memory of their
/// own.
type Key = SmallVec<[u8; 36]>;
pub(super) type Bytes = SmallVec<[u8; 64]>;

type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// Most requests of a message.
const MESSAGE_REQUESTS: u32 = 64;

/// Requests that wait, in their order.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// None for one that was taken back.
    requests: VecDeque<Option<Request>>,
    /// The number of the first of them; the next one has the number behind the last.
    first: u64,
    /// The last request about an entry of a directory, by [`key`].
    entries: HashMap<Key, u64>,
    nodes: HashMap<u64, Mentions>,
    /// Those that take space, or give it back, and those among them that make directories.
    spending: u32,
    making: u32,
    /// Those that may have to do with any other.
    strange: u32,
}

#[derive(Debug)]
struct Request {
    bytes: Bytes,
    change: Change,
    /// The request about the same entry before this one; not known of one that is about two.
    before: Option<u64>,
    /// Whether it makes a directory, and those before it have nothing to do with that but for such ones.
    is_free: bool,
    /// How many requests that count were told before it, itself included.
    mark: u64,
}

/// What the requests do with a node.
#[derive(Debug, Default)]
struct Mentions {
    /// How many change entries of it, a directory.
    changes: u32,
    /// How many change attributes of it or of one of its entries, and the number of the last.
    sets: u32,
    last_set: u64,
    /// Those that give it a name.
    names: SmallVec<[u64; 2]>,
    /// The one that makes it, a directory.
    made: Option<u64>,
}

/// What has become of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlinked {
    /// It will be done.
    Quietly,
    /// The name was not given yet and never will be; the file has no other.
    BeforeNamed,
    /// The same, but the file has another name, or will get one.
    BeforeLinked,
}

/// What a request that is waited for has to do with quiet ones: whether it may be served before them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope<'a> {
    /// Anything.
    All,
    /// What this node is, or its entries are.
    Node(NodeId),
    /// It makes this entry, which must not exist.
    New(NodeId, &'a [u8]),
    /// That there is this node.
    Exists(NodeId),
    /// What space is left.
    Space,
    /// Nothing at all.
    Nothing,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The number of the next request.
    pub(super) fn next(&self) -> u64 {
        self.first + self.requests.len() as u64
    }

    /// How many of the requests that count have left, if `told` were told.
    pub(super) fn sent(&self, told: u64) -> u64 {
        self.requests
            .iter()
            .flatten()
            .next()
            .map_or(told, |first| first.mark - u64::from(first.change.counts()))
    }

    /// Adds a request.
    pub(super) fn push(&mut self, bytes: &[u8], told: u64) {
        let number = self.next();
        let change = Change::of(bytes);
        let is_free = match &change {
            Change::Makes { dir, name, .. } => self.goes_ahead(*dir, name),
            _ => false,
        };
        let before = self.note(&change, number);
        let request =
            Request { bytes: Bytes::from_slice(bytes), change, before, is_free, mark: told };
        self.requests.push_back(Some(request));
    }

    /// Whether a request has to be served behind those that wait.
    pub(super) fn concerns(&self, scope: Scope<'_>) -> bool {
        let is_strange = self.strange > 0;
        match scope {
            Scope::All => !self.is_empty(),
            Scope::Nothing => false,
            Scope::Exists(node) => is_strange || self.is_being_made(node.raw()),
            Scope::Space => is_strange || self.spending > 0,
            Scope::Node(node) => is_strange || self.nodes.contains_key(&node.raw()),
            Scope::New(dir, name) => self.concerns_new(dir.raw(), name),
        }
    }

    fn concerns_new(&self, dir: u64, name: &[u8]) -> bool {
        self.is_being_made(dir) || self.concerns_entry(dir, name)
    }

    fn concerns_entry(&self, dir: u64, name: &[u8]) -> bool {
        let sets = self.nodes.get(&dir).map_or(0, |mentions| mentions.sets);
        self.strange > 0 || sets > 0 || self.entries.contains_key(&key(dir, name))
    }

    /// Whether a request that makes this directory need not be served behind others, but for those that
    /// make directories and need not either.
    pub(super) fn goes_ahead(&self, dir: u64, name: &[u8]) -> bool {
        let made = self.nodes.get(&dir).and_then(|mentions| mentions.made);
        let is_behind = made.and_then(|made| self.request(made)).is_some_and(|it| !it.is_free);
        !is_behind && !self.concerns_entry(dir, name)
    }

    fn is_being_made(&self, node: u64) -> bool {
        self.nodes.get(&node).is_some_and(|mentions| mentions.made.is_some())
    }

    /// Whether a node that is given back could be met again under another number, while what is done
    /// to it under this one waits.
    pub(super) fn needs(&self, node: NodeId) -> bool {
        let is_first = |number: &u64| {
            let request = self.request(*number);
            request.is_some_and(|request| {
                matches!(request.change, Change::Names { is_first: true, .. })
            })
        };
        self.nodes.get(&node.raw()).is_some_and(|mentions| {
            mentions.changes > 0
                || mentions.sets > 0
                || mentions.made.is_some()
                || !mentions.names.iter().all(is_first)
        })
    }

    /// Takes out what fits into one message, of the requests before number `end`, and `last` behind
    /// them if there is still room: answers with whether there was. An empty message is no message.
    pub(super) fn take_message(
        &mut self,
        message: &mut Writer,
        end: u64,
        last: Option<&[u8]>,
    ) -> bool {
        message.clear();
        let mut count = 0;
        while let Some(front) = self.requests.front()
            && self.first < end
        {
            let len = front.as_ref().map_or(0, |request| request.bytes.len());
            if len > 0 && !has_room(message, count, len) {
                return false;
            }
            let number = self.first;
            let request = self.requests.pop_front().flatten();
            self.first += 1;
            let Some(request) = request else { continue };
            self.forget(&request.change, number, None);
            add(message, &request.bytes);
            count += 1;
        }
        let Some(last) = last else { return false };
        let has_room = count > 0 && has_room(message, count, last.len());
        if has_room {
            add(message, last);
        }
        has_room
    }

    /// Before `name` of `dir` is removed, which is a file: takes the request back that would give it
    /// this name. If it is to get another name behind that, this becomes its first.
    ///
    /// That is only done if something else happens to the directory besides, so that its times
    /// change as they should.
    pub(super) fn take_back(&mut self, dir: NodeId, name: &[u8]) -> Unlinked {
        self.try_take_back(dir.raw(), name).unwrap_or(Unlinked::Quietly)
    }

    fn try_take_back(&mut self, dir: u64, name: &[u8]) -> Option<Unlinked> {
        let number = *self.entries.get(&key(dir, name))?;
        let Change::Names { file, is_first, .. } = self.request(number)?.change else {
            return None;
        };
        let directory = self.nodes.get(&dir)?;
        let named = self.nodes.get(&file)?;
        // Times that were set would change anew; and what is set of the file may go by this name.
        let is_set = directory.sets > 0 || (named.sets > 0 && named.last_set > number);
        if self.strange > 0 || is_set || directory.changes < 2 {
            return None;
        }
        let next = named.names.iter().copied().find(|&other| other > number);
        let becomes_first = next.filter(|_| is_first);
        let taken = self.requests.get_mut((number - self.first) as usize)?.take()?;
        self.forget(&taken.change, number, taken.before);
        if let Some(first) = becomes_first {
            self.make_first(first);
        }
        match is_first && becomes_first.is_none() {
            true => Some(Unlinked::BeforeNamed),
            false => Some(Unlinked::BeforeLinked),
        }
    }

    /// Takes the requests out that have to be served before one of this scope, in their order, if these
    /// make directories and need not be served behind others. What remains may still concern it.
    pub(super) fn take_ahead(&mut self, scope: Scope<'_>) -> Vec<Bytes> {
        let numbers = match scope {
            _ if self.strange > 0 => Vec::new(),
            Scope::New(dir, _) | Scope::Exists(dir) => self.way_to(dir.raw()),
            Scope::Node(node) if self.is_just_made(node.raw()) => self.way_to(node.raw()),
            Scope::Space if self.spending == self.making => self.making_all(),
            _ => Vec::new(),
        };
        numbers.into_iter().filter_map(|number| self.take_out(number)).collect()
    }

    /// Whether nothing is to be done with a node but to make it.
    fn is_just_made(&self, node: u64) -> bool {
        self.nodes.get(&node).is_some_and(|mentions| mentions.changes == 0 && mentions.sets == 0)
    }

    /// The requests that make this directory and those around it, if they may go ahead.
    fn way_to(&self, node: u64) -> Vec<u64> {
        let mut way = Vec::new();
        let mut next = node;
        while let Some(number) = self.nodes.get(&next).and_then(|mentions| mentions.made) {
            match self.request(number) {
                Some(Request { is_free: true, change: Change::Makes { dir, .. }, .. }) => {
                    next = *dir
                }
                _ => return Vec::new(),
            }
            way.push(number);
        }
        way.reverse();
        way
    }

    /// All requests that make directories, if all may go ahead.
    fn making_all(&self) -> Vec<u64> {
        let makes = |request: &Request| matches!(request.change, Change::Makes { .. });
        let waiting = (self.first..).zip(&self.requests);
        let making = waiting.filter(|(_, request)| request.as_ref().is_some_and(makes));
        let is_free = |request: &Option<Request>| request.as_ref().is_some_and(|it| it.is_free);
        making
            .map(|(number, it)| is_free(it).then_some(number))
            .collect::<Option<_>>()
            .unwrap_or_default()
    }

    fn take_out(&mut self, number: u64) -> Option<Bytes> {
        let at = number.checked_sub(self.first)? as usize;
        let taken = self.requests.get_mut(at)?.take()?;
        self.forget(&taken.change, number, taken.before);
        Some(taken.bytes)
    }

    fn request(&self, number: u64) -> Option<&Request> {
        self.requests.get(number.checked_sub(self.first)? as usize)?.as_ref()
    }

    /// Lets a request that gives a file another name give it its first.
    fn make_first(&mut self, number: u64) {
        let at = (number - self.first) as usize;
        if let Some(Some(request)) = self.requests.get_mut(at)
            && let Change::Names { is_first, .. } = &mut request.change
        {
            *is_first = true;
            request.bytes = Bytes::from_vec(request.change.as_first_name());
        }
    }

    /// Notes what a request is about; answers with the one before it about the same entry.
    fn note(&mut self, change: &Change, number: u64) -> Option<u64> {
        let mut before = None;
        for (dir, name) in change.entries() {
            before = self.entries.insert(key(dir, name), number);
        }
        match *change {
            Change::Names { file, dir, .. } => {
                self.nodes.entry(dir).or_default().changes += 1;
                self.nodes.entry(file).or_default().names.push(number);
            }
            Change::Makes { node, dir, .. } => {
                self.spending += 1;
                self.making += 1;
                self.nodes.entry(dir).or_default().changes += 1;
                self.nodes.entry(node).or_default().made = Some(number);
            }
            Change::Removes { dir, .. } => {
                self.spending += 1;
                self.nodes.entry(dir).or_default().changes += 1;
            }
            // It may take the last name of another file.
            Change::Renames { from: (from, _), to: (to, _) } => {
                self.spending += 1;
                self.nodes.entry(from).or_default().changes += 1;
                self.nodes.entry(to).or_default().changes += 1;
            }
            Change::Sets { node, .. } => {
                let mentions = self.nodes.entry(node).or_default();
                mentions.sets += 1;
                mentions.last_set = number;
            }
            Change::Releases => {}
            Change::Strange => self.strange += 1,
        }
        before
    }

    /// Forgets what a request is about that is here no more; `before` is the one before it about the
    /// same entry, if it is still here.
    fn forget(&mut self, change: &Change, number: u64, before: Option<u64>) {
        for (dir, name) in change.entries() {
            let key = key(dir, name);
            if self.entries.get(&key) == Some(&number) {
                match before.filter(|&before| self.request(before).is_some()) {
                    Some(before) => self.entries.insert(key, before),
                    None => self.entries.remove(&key),
                };
            }
        }
        match *change {
            Change::Names { file, dir, .. } => {
                self.mentions(dir, |mentions| mentions.changes -= 1);
                self.mentions(file, |mentions| mentions.names.retain(|other| *other != number));
            }
            Change::Makes { node, dir, .. } => {
                self.spending -= 1;
                self.making -= 1;
                self.mentions(dir, |mentions| mentions.changes -= 1);
                self.mentions(node, |mentions| mentions.made = None);
            }
            Change::Removes { dir, .. } => {
                self.spending -= 1;
                self.mentions(dir, |mentions| mentions.changes -= 1);
            }
            Change::Renames { from: (from, _), to: (to, _) } => {
                self.spending -= 1;
                self.mentions(from, |mentions| mentions.changes -= 1);
                self.mentions(to, |mentions| mentions.changes -= 1);
            }
            Change::Sets { node, .. } => self.mentions(node, |mentions| mentions.sets -= 1),
            Change::Releases => {}
            Change::Strange => self.strange -= 1,
        }
    }

    fn mentions(&mut self, node: u64, change: impl FnOnce(&mut Mentions)) {
        if let Some(mentions) = self.nodes.get_mut(&node) {
            change(mentions);
            let Mentions { changes, sets, names, made, .. } = mentions;
            if *changes == 0 && *sets == 0 && names.is_empty() && made.is_none() {
                self.nodes.remove(&node);
            }
        }
    }
}

fn key(dir: u64, name: &[u8]) -> Key {
    let mut key = Key::new();
    key.extend_from_slice(&dir.to_ne_bytes());
    key.extend_from_slice(name);
    key
}

fn has_room(message: &Writer, count: u32, len: usize) -> bool {
    count < MESSAGE_REQUESTS && message.len() + size_of::<u32>() + len <= MAX_MESSAGE_BYTES
}

/// Moves what fits into one message from the front of `requests`, and `last` behind the last of them if there
/// is still room: answers with whether there was.
pub(super) fn join(message: &mut Writer, requests: &mut &[Bytes], last: Option<&[u8]>) -> bool {
    message.clear();
    let mut count = 0;
    while let Some((request, rest)) = requests.split_first()
        && has_room(message, count, request.len())
    {
        add(message, request);
        (*requests, count) = (rest, count + 1);
    }
    let last = last.filter(|last| requests.is_empty() && has_room(message, count, last.len()));
    if let Some(last) = last {
        add(message, last);
    }
    last.is_some()
}

/// Adds a request behind its length.
fn add(message: &mut Writer, request: &[u8]) {
    if message.is_empty() {
        message.fixed(&RequestHeader { op: Op::Batch as u32, ..RequestHeader::default() });
    }
    message.fixed(&(request.len() as u32));
    message.bytes(request);
}

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;
