//! What is in the directory of a process or thread.
//!
//! A table of [`Entry`]s names each file with its mode and the function that generates it. A
//! function gets the [`Subject`] and answers ESRCH when it is gone; a zombie has no [`Task`] any
//! more but still has files, most of them empty.
//!
//! [`Task`]: crate::task::Task

mod control;
mod fds;
mod limits;
mod links;
mod maps;
mod mem;
mod mounts;
mod namespaces;
mod smaps;
mod stat;
mod state;
mod status;
mod strings;
mod threads;

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};

use super::subject::{Area, Subject, View};
use crate::fs::synthetic::{
    Child, ChildCache, Children, Content, NodeAttributes, SyntheticDir, SyntheticFile,
    SyntheticLink,
};
use crate::task::AccessMode;
use crate::vfs::{Inode, IoContext, Location};

type Generate = fn(&Subject, &IoContext<'_>) -> Result<Vec<u8>, Errno>;

/// A file, link or directory of every process.
struct Entry {
    name: &'static str,
    permissions: u32,
    node: Node,
}

enum Node {
    /// A file that everybody may read whom its mode allows.
    Open(Generate),
    /// A file that only those may open who may look into the process (EACCES).
    Guarded(Generate),
    /// A "magic" link; following or reading it takes the right to look into the process.
    Link {
        text: Generate,
        place: fn(&Subject) -> Result<Location, Errno>,
    },
    /// A file of its own kind.
    File(fn(&Arc<Subject>, NodeAttributes) -> Arc<dyn Inode>),
    Directory(fn(&Arc<Subject>, NodeAttributes) -> Arc<dyn Inode>),
}

/// Entries of `/proc/[pid]` and of `/proc/[pid]/task/[tid]`.
const COMMON: &[Entry] = &[
    file("auxv", 0o400, Node::Guarded(strings::auxv)),
    file("cgroup", 0o444, Node::Open(control::cgroup)),
    file("cmdline", 0o444, Node::Open(strings::cmdline)),
    file("comm", 0o644, Node::File(strings::comm)),
    file("cwd", 0o777, Node::Link { text: links::cwd_text, place: links::cwd }),
    file("environ", 0o400, Node::Guarded(strings::environ)),
    file("exe", 0o777, Node::Link { text: links::exe_text, place: links::exe }),
    file("fd", 0o500, Node::Directory(fds::descriptors)),
    file("fdinfo", 0o555, Node::Directory(fds::details)),
    file("gid_map", 0o644, Node::Open(control::identity_map)),
    file("io", 0o400, Node::Guarded(control::io_counts)),
    file("limits", 0o444, Node::Open(limits::limits)),
    file("maps", 0o444, Node::Guarded(maps::maps)),
    file("mem", 0o600, Node::File(mem::node)),
    file("mountinfo", 0o444, Node::Open(mounts::mountinfo)),
    file("mounts", 0o444, Node::Open(mounts::mounts)),
    file("net", 0o555, Node::Directory(super::net::directory)),
    file("ns", 0o511, Node::Directory(namespaces::directory)),
    file("oom_score", 0o444, Node::Open(control::oom_score)),
    file("oom_score_adj", 0o644, Node::File(control::oom_score_adj)),
    file("personality", 0o400, Node::Guarded(control::personality)),
    file("projid_map", 0o644, Node::Open(control::identity_map)),
    file("root", 0o777, Node::Link { text: links::root_text, place: links::root }),
    file("schedstat", 0o444, Node::Open(control::schedstat)),
    file("setgroups", 0o644, Node::Open(control::setgroups)),
    file("smaps", 0o444, Node::Guarded(smaps::smaps)),
    file("smaps_rollup", 0o444, Node::Guarded(smaps::rollup)),
    file("stat", 0o444, Node::Open(stat::stat)),
    file("statm", 0o444, Node::Open(stat::statm)),
    file("status", 0o444, Node::Open(status::status)),
    file("uid_map", 0o644, Node::Open(control::identity_map)),
    file("wchan", 0o444, Node::Open(control::wchan)),
];

const PROCESS_ONLY: &[Entry] = &[
    file("mountstats", 0o400, Node::Open(mounts::mountstats)),
    file("task", 0o555, Node::Directory(threads::directory)),
    file("timerslack_ns", 0o666, Node::File(control::timer_slack)),
];

const THREAD_ONLY: &[Entry] = &[file("children", 0o444, Node::Open(threads::children))];

const fn file(name: &'static str, permissions: u32, node: Node) -> Entry {
    Entry { name, permissions, node }
}

impl Node {
    fn kind(&self) -> FileKind {
        match self {
            Node::Open(_) | Node::Guarded(_) | Node::File(_) => FileKind::Regular,
            Node::Link { .. } => FileKind::Symlink,
            Node::Directory(_) => FileKind::Directory,
        }
    }
}

/// The directory of `subject`.
pub(super) fn directory(subject: &Arc<Subject>) -> Arc<dyn Inode> {
    let number = subject.number(Area::Directory, 0);
    let links = 2 + entries(subject).filter(|(_, entry)| is_directory(entry)).count() as u64;
    let attributes = subject.attributes(number, FileKind::Directory, 0o555).with_links(links);
    let children = SubjectChildren { subject: subject.clone(), made: ChildCache::default() };
    SyntheticDir::new(attributes, children)
}

fn is_directory(entry: &Entry) -> bool {
    entry.node.kind() == FileKind::Directory
}

/// The entries of `subject`'s directory with their numbers, in order.
fn entries(subject: &Subject) -> impl Iterator<Item = (u32, &'static Entry)> {
    let more = match subject.view {
        View::Process => PROCESS_ONLY,
        View::Thread => THREAD_ONLY,
    };
    (0..).zip(COMMON.iter().chain(more))
}

struct SubjectChildren {
    subject: Arc<Subject>,
    made: ChildCache<u32>,
}

impl Children for SubjectChildren {
    fn find(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let subject = &self.subject;
        let (index, entry) = entries(subject)
            .find(|(_, entry)| entry.name.as_bytes() == name)
            .filter(|_| subject.exists())
            .ok_or(Errno::ENOENT)?;
        Ok(self.made.get_or_make(index, || make(subject, index, entry)))
    }

    fn list(&self, _: &IoContext<'_>) -> Result<Vec<Child>, Errno> {
        if !self.subject.exists() {
            return Err(Errno::ENOENT);
        }
        let child = |(index, entry): (u32, &Entry)| Child {
            position: u64::from(index),
            name: entry.name.as_bytes().to_vec(),
            inode: self.subject.number(Area::Entry, index),
            kind: entry.node.kind(),
        };
        Ok(entries(&self.subject).map(child).collect())
    }

    fn is_still(&self, _: &[u8], _: &Arc<dyn Inode>) -> bool {
        self.subject.exists()
    }
}

fn make(subject: &Arc<Subject>, index: u32, entry: &'static Entry) -> Arc<dyn Inode> {
    let number = subject.number(Area::Entry, index);
    let attributes = subject.attributes(number, entry.node.kind(), entry.permissions);
    match entry.node {
        Node::Open(generate) | Node::Guarded(generate) => {
            let subject = subject.clone();
            let is_guarded = matches!(entry.node, Node::Guarded(_));
            let is_map = entry.permissions & 0o200 != 0;
            SyntheticFile::new(attributes, Generated { subject, generate, is_guarded, is_map })
        }
        Node::Link { text, place } => magic_link(subject, attributes, text, place),
        Node::File(make) | Node::Directory(make) => make(subject, attributes),
    }
}

fn magic_link(
    subject: &Arc<Subject>,
    attributes: NodeAttributes,
    text: Generate,
    place: fn(&Subject) -> Result<Location, Errno>,
) -> Arc<dyn Inode> {
    let (reader, follower) = (subject.clone(), subject.clone());
    SyntheticLink::magic(
        attributes,
        move |io: &IoContext<'_>| {
            reader.check_access(AccessMode::ReadAsFile, io)?;
            text(&reader, io)
        },
        move |io: &IoContext<'_>| {
            follower.check_access(AccessMode::ReadAsFile, io)?;
            place(&follower)
        },
    )
}

/// A file that is generated for a process.
struct Generated {
    subject: Arc<Subject>,
    generate: Generate,
    is_guarded: bool,
    /// An identity map or the like, which was written once and for all.
    is_map: bool,
}

impl Content for Generated {
    fn generate(&self, io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
        (self.generate)(&self.subject, io)
    }

    fn write(&self, _: &[u8], _: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        Err(if self.is_map { Errno::EPERM } else { Errno::EINVAL })
    }

    fn check_open(&self, _: OpenFlags, io: &IoContext<'_>) -> Result<(), Errno> {
        if self.is_guarded {
            self.subject.check_access(AccessMode::ReadAsFile, io)?;
        }
        Ok(())
    }
}
