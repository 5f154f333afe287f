//! A batch: quiet requests that wait for others, one behind the other as they will be sent.
//!
//! Programs write files under a passing name, and make files that they remove at once. As long as the
//! request that gives a file its name is still here when that name is to be removed, neither needs to be
//! done ([`Batch::take_back`]).

use crate::message::{LinkRequest, Op, RequestHeader, SetAttrRequest, TargetRequest};
use crate::name::NodeId;
use crate::wire::{Reader, Writer};

/// Requests behind each other, each behind its length.
#[derive(Debug, Default)]
pub(super) struct Batch {
    message: Writer,
    count: u32,
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

/// What a request does.
enum Change<'a> {
    /// Gives a file its first name, or another.
    Names {
        file: u64,
        is_first: bool,
        dir: u64,
        name: &'a [u8],
    },
    Removes {
        dir: u64,
        name: &'a [u8],
    },
    /// Changes attributes of a node, or of an entry.
    Sets {
        node: u64,
        name: &'a [u8],
    },
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The length of the message with another request of `len` bytes.
    pub(super) fn len_with(&self, len: usize) -> usize {
        self.message.len() + size_of::<u32>() + len
    }

    /// Adds a request.
    pub(super) fn push(&mut self, request: &[u8]) {
        if self.count == 0 {
            self.message.clear();
            self.message.fixed(&RequestHeader { op: Op::Batch as u32, ..RequestHeader::default() });
        }
        self.message.fixed(&(request.len() as u32));
        self.message.bytes(request);
        self.count += 1;
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.message.as_bytes()
    }

    fn requests(&self) -> Vec<&[u8]> {
        let mut rest = Reader::new(self.message.as_bytes());
        let header = rest.fixed::<RequestHeader>();
        let mut requests = Vec::with_capacity(self.count as usize);
        while header.is_ok()
            && self.count > 0
            && let Ok(len) = rest.fixed::<u32>()
            && let Ok(request) = rest.bytes(len as usize)
        {
            requests.push(request);
        }
        requests
    }

    /// Before `name` of `dir` is removed, which is a file: takes the request back that would give it
    /// this name. If it is to get another name behind that, this becomes its first.
    ///
    /// That is only done if something else happens to the directory in this batch, so that its times
    /// change as they should.
    pub(super) fn take_back(&mut self, dir: NodeId, name: &[u8]) -> Unlinked {
        let requests = self.requests();
        let changes: Option<Vec<Change<'_>>> =
            requests.iter().map(|request| Change::of(request)).collect();
        let Some(plan) = changes.and_then(|changes| plan(&changes, dir.raw(), name)) else {
            return Unlinked::Quietly;
        };
        let kept: Vec<Vec<u8>> = (0..)
            .zip(requests)
            .filter(|(at, _)| *at != plan.dropped)
            .map(|(at, request)| match plan.becomes_first == Some(at) {
                true => as_first(request),
                false => request.to_vec(),
            })
            .collect();
        self.clear();
        kept.iter().for_each(|request| self.push(request));
        match plan.is_nameless {
            true => Unlinked::BeforeNamed,
            false => Unlinked::BeforeLinked,
        }
    }
}

/// How a name is taken back.
struct Plan {
    /// The request to be dropped.
    dropped: usize,
    /// The one that gives the file its first name then.
    becomes_first: Option<usize>,
    is_nameless: bool,
}

fn plan(changes: &[Change<'_>], dir: u64, name: &[u8]) -> Option<Plan> {
    let is_it = |other_dir: u64, other: &[u8]| other_dir == dir && other == name;
    let dropped = changes.iter().rposition(|change| match *change {
        Change::Names { dir, name, .. } | Change::Removes { dir, name } => is_it(dir, name),
        Change::Sets { node, name } => is_it(node, name),
    })?;
    let Change::Names { file, is_first, .. } = changes[dropped] else { return None };
    let mut becomes_first = None;
    for (at, change) in (0..).zip(changes).skip(dropped + 1) {
        match *change {
            Change::Names { file: other, .. } if other == file => {
                becomes_first.get_or_insert(at);
            }
            Change::Sets { node, .. } if node == file => return None,
            _ => {}
        }
    }
    // Times that were set would change anew.
    if changes.iter().any(|change| matches!(*change, Change::Sets { node, .. } if node == dir)) {
        return None;
    }
    let is_witness = |(at, change): (usize, &Change<'_>)| match *change {
        Change::Names { dir: other, .. } | Change::Removes { dir: other, .. } => {
            at != dropped && other == dir
        }
        Change::Sets { .. } => false,
    };
    if !changes.iter().enumerate().any(is_witness) {
        return None;
    }
    let becomes_first = becomes_first.filter(|_| is_first);
    Some(Plan { dropped, becomes_first, is_nameless: is_first && becomes_first.is_none() })
}

impl<'a> Change<'a> {
    /// `None` for a request that may have to do with any other.
    fn of(request: &'a [u8]) -> Option<Change<'a>> {
        let mut rest = Reader::new(request);
        let op = Op::from_raw(rest.fixed::<RequestHeader>().ok()?.op)?;
        match op {
            Op::Name | Op::Link => {
                let LinkRequest { node, dir } = rest.fixed().ok()?;
                let is_first = op == Op::Name;
                if !is_first && !rest.short_bytes().ok()?.is_empty() {
                    return None;
                }
                let name = rest.short_bytes().ok()?;
                Some(Change::Names { file: node, is_first, dir, name })
            }
            Op::Unlink | Op::RemoveDirectory => {
                let TargetRequest { node } = rest.fixed().ok()?;
                Some(Change::Removes { dir: node, name: rest.short_bytes().ok()? })
            }
            Op::SetAttr => {
                let SetAttrRequest { node, .. } = rest.fixed().ok()?;
                Some(Change::Sets { node, name: rest.short_bytes().ok()? })
            }
            _ => None,
        }
    }
}

/// The request [`Op::Name`] in place of [`Op::Link`].
fn as_first(link: &[u8]) -> Vec<u8> {
    let mut first = Writer::default();
    if let Some(Change::Names { file, dir, name, .. }) = Change::of(link) {
        first.fixed(&RequestHeader {
            op: Op::Name as u32,
            is_quiet: 1,
            ..RequestHeader::default()
        });
        first.fixed(&LinkRequest { node: file, dir });
        // It was as long before.
        let _ = first.short_bytes(name);
    }
    first.as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(op: Op) -> Writer {
        let mut request = Writer::default();
        request.fixed(&RequestHeader { op: op as u32, is_quiet: 1, ..RequestHeader::default() });
        request
    }

    fn named(op: Op, file: u64, dir: u64, name: &str) -> Vec<u8> {
        let mut request = header(op);
        request.fixed(&LinkRequest { node: file, dir });
        if op == Op::Link {
            request.short_bytes(b"").unwrap();
        }
        request.short_bytes(name.as_bytes()).unwrap();
        request.as_bytes().to_vec()
    }

    fn unlink(dir: u64, name: &str) -> Vec<u8> {
        let mut request = header(Op::Unlink);
        request.fixed(&TargetRequest { node: dir });
        request.short_bytes(name.as_bytes()).unwrap();
        request.as_bytes().to_vec()
    }

    fn set(node: u64) -> Vec<u8> {
        let mut request = header(Op::SetAttr);
        request.fixed(&SetAttrRequest { node, ..SetAttrRequest::default() });
        request.short_bytes(b"").unwrap();
        request.as_bytes().to_vec()
    }

    /// What comes of taking `name` of directory 1 back, and what is left.
    fn take_back(requests: &[Vec<u8>], name: &str) -> (Unlinked, Vec<Vec<u8>>) {
        let mut batch = Batch::default();
        requests.iter().for_each(|request| batch.push(request));
        let unlinked = batch.take_back(NodeId::ROOT, name.as_bytes());
        (unlinked, batch.requests().iter().map(|request| request.to_vec()).collect())
    }

    #[test]
    fn name_is_taken_back_if_the_directory_changes_all_the_same() {
        let other = unlink(1, "b");
        let requests = [other.clone(), named(Op::Name, 7, 1, "a")];
        assert_eq!(take_back(&requests, "a"), (Unlinked::BeforeNamed, vec![other]));
        for requests in [
            // Nothing else changes this directory.
            vec![unlink(2, "b"), named(Op::Name, 7, 1, "a")],
            // The name is another file's, or was sent before.
            vec![unlink(1, "b"), named(Op::Name, 7, 1, "c")],
            vec![unlink(1, "b"), named(Op::Name, 7, 1, "a"), unlink(1, "a")],
            // The file is changed by its node.
            vec![unlink(1, "b"), named(Op::Name, 7, 1, "a"), set(7)],
            // The directory's times are set.
            vec![unlink(1, "b"), set(1), named(Op::Name, 7, 1, "a")],
            vec![],
        ] {
            assert_eq!(take_back(&requests, "a"), (Unlinked::Quietly, requests));
        }
    }

    #[test]
    fn passing_name_makes_way_for_the_one_that_stays() {
        let last = named(Op::Name, 7, 2, "final");
        let requests = [
            set(9),
            named(Op::Name, 7, 1, "a"),
            named(Op::Link, 7, 2, "final"),
            named(Op::Name, 8, 1, "b"),
        ];
        let left = vec![set(9), last, named(Op::Name, 8, 1, "b")];
        assert_eq!(take_back(&requests, "a"), (Unlinked::BeforeLinked, left));
        // A further name of a file that has its first.
        let requests = [named(Op::Link, 7, 1, "a"), unlink(1, "b")];
        assert_eq!(take_back(&requests, "a"), (Unlinked::BeforeLinked, vec![unlink(1, "b")]));
    }
}
