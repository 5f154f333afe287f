//! Survey: many entries of a directory at once, for a client that goes through a tree.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use gofer_protocol::message::{ReadDirReply, SurveyEntry, SurveyReply, SurveyRequest};
use gofer_protocol::transport::MAX_DESCRIPTORS;
use gofer_protocol::wire::Reader;
use gofer_protocol::{MAX_WALK_NAMES, Name, OpenFlags, ReadDirFlags, SurveyFlags};
use linux_abi::Errno;

use super::listing::fill;
use crate::connection::{Connection, Donation, Outcome};
use crate::handle::Handle;

impl Connection {
    pub(crate) fn survey(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: SurveyRequest = request.fixed()?;
        let flags = SurveyFlags::from_bits(fixed.flags).ok_or(Errno::EINVAL)?;
        let count = fixed.count as usize;
        if !(1..=MAX_WALK_NAMES).contains(&count) {
            return Err(Errno::EINVAL);
        }
        let names = (0..count).map(|_| request.name()).collect::<Result<Vec<_>, _>>()?;
        request.finish()?;
        let dir = self.nodes.get(fixed.dir)?;
        dir.as_dir()?;
        let mut fds = Vec::new();
        let mut reply = SurveyReply::default();
        let start = self.response.len();
        self.response.fixed(&reply);
        for name in names {
            if !self.response.has_room_for::<SurveyEntry>() {
                break;
            }
            self.survey_entry(&dir, name, flags, &mut fds);
            reply.count += 1;
        }
        self.response.replace(start, &reply);
        Ok((!fds.is_empty()).then_some(Donation::Opened(fds)))
    }

    /// Reports an entry.
    fn survey_entry(
        &mut self,
        dir: &Handle,
        name: Name<'_>,
        flags: SurveyFlags,
        fds: &mut Vec<OwnedFd>,
    ) {
        let start = self.response.len();
        self.response.fixed(&SurveyEntry::default());
        let entry = if flags.is_empty() {
            dir.entry_attr(name).map(|attr| SurveyEntry { attr, ..SurveyEntry::default() })
        } else {
            self.survey_opened(dir, name, flags, fds)
        };
        let entry = entry.unwrap_or_else(|error| SurveyEntry {
            error: error.raw() as u32,
            ..SurveyEntry::default()
        });
        self.response.replace(start, &entry);
    }

    /// Looks an entry up and opens it as `flags` ask. What cannot be had besides its attributes is
    /// left out; the client meets the error when it needs it.
    fn survey_opened(
        &mut self,
        dir: &Handle,
        name: Name<'_>,
        flags: SurveyFlags,
        fds: &mut Vec<OwnedFd>,
    ) -> Result<SurveyEntry, Errno> {
        let (handle, attr) = dir.lookup(name, self.resolution)?;
        let mut entry = SurveyEntry { attr, ..SurveyEntry::default() };
        if attr.is_directory() && flags.contains(SurveyFlags::LIST) {
            if let Some(count) = self.list_whole(&handle) {
                (entry.is_listed, entry.count) = (1, count);
            }
            entry.node = self.nodes.insert(Rc::new(handle)).unwrap_or(0);
        } else if attr.is_regular()
            && flags.contains(SurveyFlags::OPEN)
            && fds.len() < MAX_DESCRIPTORS
            && let Ok(fd) = handle.open_file(OpenFlags::RDONLY, self.proc_dir)
        {
            fds.push(fd);
            entry.has_descriptor = 1;
        }
        Ok(entry)
    }

    /// Adds all entries of a directory and returns how many; nothing if they do not fit.
    fn list_whole(&mut self, handle: &Handle) -> Option<u32> {
        let start = self.response.len();
        let mut reply = ReadDirReply::default();
        let filled = handle.open_dir(self.proc_dir).and_then(|fd| {
            fill(&mut self.response, &mut reply, handle, &fd, ReadDirFlags::empty())
        });
        if filled.is_ok() && reply.is_end != 0 {
            return Some(reply.count);
        }
        self.response.truncate(start);
        None
    }
}
