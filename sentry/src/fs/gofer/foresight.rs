//! Looking ahead in directories that a program goes through.
//!
//! Who has listed a directory often looks at its entries next, in whatever order: `cp -r`, `find`,
//! `git status`. In an exclusive export the second entry that is looked for makes us ask for many of
//! its kind at once, with descriptors to read or listings if others were opened or listed before.
//! What the gofer tells waits here until it is asked for. And a name that is not in the listing needs no
//! question at all.
//!
//! What is foreseen is right as long as nobody has changed the file, which needs an inode, and finding
//! that by its name takes it out of here. An inode that may have been found by another name and goes
//! after it was changed ends all belief (`Export::forget_foresight`). Answers are dropped if the
//! directory was changed meanwhile, as its version tells, or an inode of an entry has gone.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use gofer_protocol::{Attr, DirEntry, NodeId, SurveyFlags, Surveyed};
use linux_abi::Errno;
use linux_abi::fs::FileKind;

use super::budget::Answer;
use super::export::Node;
use super::inode::GoferInode;
use crate::hash::HashMap;

/// Entries that are asked for at first, and at most; these many if they are opened or listed too.
const BATCH_MIN: usize = 8;
const BATCH_MAX: usize = 128;
const OPENED_BATCH: usize = 16;
/// Most entries of a directory that wait.
const WAITING_MAX: usize = 256;
/// So many entries of a listing are looked at to find those to ask for.
const SCAN_MAX: usize = 1 << 10;

/// What is foreseen of a directory's entries.
#[derive(Default)]
pub(super) struct Foresight {
    entries: HashMap<Arc<[u8]>, Foreseen>,
    /// See [`super::export::Export::departures`].
    departures: u64,
    /// Counts inodes of entries that have gone.
    gone: u64,
    /// Whether the export's budget counts this directory.
    is_counted: bool,
    habits: Habits,
}

/// What was done with entries of a directory.
#[derive(Clone, Copy, Default)]
struct Habits {
    /// Directories, and others, that were looked for in the listing, but not foreseen.
    directories: u32,
    others: u32,
    /// Directories that were listed, and files that were opened to read.
    listed: u32,
    opened: u32,
}

/// What is known of an entry.
pub(super) struct Foreseen {
    attr: Attr,
    node: Option<Node>,
    listing: Option<Vec<DirEntry>>,
    fd: Option<OwnedFd>,
}

/// Entries to ask for.
struct Survey {
    names: Vec<Arc<[u8]>>,
    flags: SurveyFlags,
    /// Of the directory's attributes.
    version: u64,
    /// See [`Foresight`].
    departures: u64,
    gone: u64,
}

/// What a listing says of a name.
enum Listed {
    Unknown,
    Absent,
    Worth(Survey),
}

impl Foresight {
    /// Forgets an entry.
    pub(super) fn remove(&mut self, name: &[u8]) -> Option<Foreseen> {
        self.entries.remove(name)
    }

    /// The inode of an entry has gone.
    pub(super) fn note_gone(&mut self) {
        self.gone += 1;
    }
}

impl GoferInode {
    /// The entry `name`, which will be opened for reading if `opens`, if it can be told from what is
    /// foreseen, or is about to be. Errors: ENOENT and those of adopting it.
    pub(super) fn find_foreseen(
        &self,
        name: &[u8],
        opens: bool,
    ) -> Result<Option<Arc<GoferInode>>, Errno> {
        if !self.export.is_exclusive() {
            return Ok(None);
        }
        if let Some(found) = self.take_foreseen(name) {
            return self.adopt_foreseen(name, found).map(Some);
        }
        match self.look_into_listing(name, opens) {
            Listed::Unknown => Ok(None),
            Listed::Absent => Err(Errno::ENOENT),
            Listed::Worth(survey) => {
                self.carry_out(survey);
                match self.take_foreseen(name) {
                    Some(found) => self.adopt_foreseen(name, found).map(Some),
                    None => Ok(None),
                }
            }
        }
    }

    /// Notes that this directory is being listed.
    pub(super) fn note_listed(&self) {
        self.note_habit(|habits| habits.listed = habits.listed.saturating_add(1));
    }

    /// Notes that this file is being opened to read.
    pub(super) fn note_opened(&self) {
        self.note_habit(|habits| habits.opened = habits.opened.saturating_add(1));
    }

    fn note_habit(&self, note: impl FnOnce(&mut Habits)) {
        let place = self.state.lock().place.clone();
        if let Some(place) = place {
            note(&mut place.parent.state.lock().foresight.habits);
        }
    }

    fn take_foreseen(&self, name: &[u8]) -> Option<Foreseen> {
        let departures = self.export.departures();
        let mut state = self.state.lock();
        let foresight = &mut state.foresight;
        if foresight.departures == departures {
            return foresight.entries.remove(name);
        }
        let _outdated = std::mem::take(&mut foresight.entries);
        drop(state);
        None
    }

    fn adopt_foreseen(&self, name: &[u8], found: Foreseen) -> Result<Arc<GoferInode>, Errno> {
        let inode = self.adopt(name, &found.attr, found.node, None)?;
        if let Some(fd) = found.fd {
            inode.keep_read_only(fd);
        }
        if let Some(listing) = found.listing {
            inode.keep_surveyed(listing);
        }
        Ok(inode)
    }

    /// Looks for `name` in the listing that is kept, and decides whether to ask for more than that.
    fn look_into_listing(&self, name: &[u8], opens: bool) -> Listed {
        let mut state = self.state.lock();
        let version = state.attributes.version();
        let Some(kept) = self.kept_listing(&mut state) else { return Listed::Unknown };
        let Some(number) = kept.number(name) else { return Listed::Absent };
        let state = &mut *state;
        let Some(kept) = &state.listing else { return Listed::Unknown };
        let Some(asked) = kept.entries_from(number).next() else { return Listed::Unknown };
        let is_directory = asked.kind == FileKind::Directory;
        let habits = &mut state.foresight.habits;
        habits.opened = habits.opened.saturating_add(opens.into());
        let count = if is_directory { &mut habits.directories } else { &mut habits.others };
        *count = count.saturating_add(1);
        let count = *count;
        if count < 2 || state.foresight.entries.len() > WAITING_MAX {
            return Listed::Unknown;
        }
        let mut flags = SurveyFlags::empty();
        flags.set(SurveyFlags::LIST, is_directory && state.foresight.habits.listed > 0);
        flags.set(SurveyFlags::OPEN, !is_directory && state.foresight.habits.opened > 0);
        let batch = match flags.is_empty() {
            true => (BATCH_MIN << (count - 2).min(8)).min(BATCH_MAX),
            false => OPENED_BATCH,
        };
        let is_wanted = |name: &[u8]| {
            let child = state.children.get(name);
            let is_in_use = child.is_some_and(|child| child.strong_count() > 0);
            !is_in_use && !state.foresight.entries.contains_key(name)
        };
        let around = kept.entries_from(number).chain(kept.entries_from(0).take(number as usize));
        let others = around.skip(1).take(SCAN_MAX);
        let others = others.filter(|entry| (entry.kind == FileKind::Directory) == is_directory);
        let others = others.filter(|entry| is_wanted(&entry.name)).take(batch - 1);
        let names = std::iter::once(asked).chain(others).map(|entry| entry.name.clone()).collect();
        let departures = self.export.departures();
        Listed::Worth(Survey { names, flags, version, departures, gone: state.foresight.gone })
    }

    /// Asks the gofer and keeps what it tells, unless something has changed meanwhile. A failure is
    /// for whoever needs an entry to meet.
    fn carry_out(&self, survey: Survey) {
        let names: Vec<&[u8]> = survey.names.iter().map(|name| &**name).collect();
        let ask = |client: &gofer_protocol::Client, node| client.survey(node, &names, survey.flags);
        let Ok(surveyed) = self.with_node(ask) else { return };
        let told = survey.names.into_iter().zip(surveyed);
        // Outlives the guard, as nodes do that are not kept.
        let mut told: Vec<_> = told
            .filter_map(|(name, surveyed)| Some((name, self.foreseen(surveyed.ok()?))))
            .collect();
        let _outdated;
        let is_new = {
            let mut state = self.state.lock();
            let is_overtaken = state.attributes.version() != survey.version;
            let foresight = &mut state.foresight;
            if is_overtaken || foresight.gone != survey.gone {
                return;
            }
            let is_same = foresight.departures == survey.departures;
            _outdated = (!is_same).then(|| std::mem::take(&mut foresight.entries));
            foresight.departures = survey.departures;
            foresight.entries.extend(told.drain(..));
            !std::mem::replace(&mut foresight.is_counted, true)
        };
        if is_new && let Ok(shared) = self.shared() {
            self.export.foresights.add(&shared, GoferInode::let_foresight_go);
        }
    }

    /// Makes sure that the node is given back some time.
    fn foreseen(&self, surveyed: Surveyed) -> Foreseen {
        let own = |node: NodeId| Node::new(&self.export, node);
        let Surveyed { attr, node, listing, fd } = surveyed;
        Foreseen { attr, node: node.map(own), listing, fd }
    }

    fn let_foresight_go(&self) -> Answer {
        let _entries = {
            let foresight = &mut self.state.lock().foresight;
            foresight.is_counted = false;
            std::mem::take(&mut foresight.entries)
        };
        Answer::LetGo
    }
}
