//! Looking at many entries of a directory at once.

use std::os::fd::OwnedFd;

use linux_abi::Errno;

use crate::MAX_WALK_NAMES;
use crate::client::Client;
use crate::client::pending::Scope;
use crate::client::reply::Surveyed;
use crate::client::walk::read_entries;
use crate::flags::SurveyFlags;
use crate::message::{Op, SurveyEntry, SurveyReply, SurveyRequest};
use crate::name::NodeId;
use crate::wire::Reader;

impl Client {
    /// Reads the attributes of several entries of `dir`, in order, and what `flags` ask for. The
    /// answer may stop early; an entry that cannot be looked at has its error.
    ///
    /// # Errors
    /// EINVAL for more than [`MAX_WALK_NAMES`] or no names, ENOTDIR, EACCES.
    pub fn survey(
        &self,
        dir: NodeId,
        names: &[&[u8]],
        flags: SurveyFlags,
    ) -> Result<Vec<Result<Surveyed, Errno>>, Errno> {
        if names.is_empty() || names.len() > MAX_WALK_NAMES {
            return Err(Errno::EINVAL);
        }
        self.call_apart(
            Scope::Node(dir),
            Op::Survey,
            |request| {
                let count = names.len() as u32;
                request.fixed(&SurveyRequest { dir: dir.raw(), flags: flags.bits(), count });
                names.iter().try_for_each(|name| request.short_bytes(name))
            },
            |response, fds| read_survey(response, fds, names.len()),
        )
    }
}

fn read_survey(
    response: &mut Reader<'_>,
    fds: Vec<OwnedFd>,
    names: usize,
) -> Result<Vec<Result<Surveyed, Errno>>, Errno> {
    let reply: SurveyReply = response.fixed()?;
    if reply.count as usize > names {
        return Err(Errno::EIO);
    }
    let mut fds = fds.into_iter();
    let mut surveyed = Vec::with_capacity(reply.count as usize);
    for _ in 0..reply.count {
        let entry: SurveyEntry = response.fixed()?;
        if entry.error != 0 {
            surveyed.push(Err(super::from_wire(entry.error)));
            continue;
        }
        let listing = match entry.is_listed {
            0 => None,
            _ => Some(read_entries(response, entry.count)?),
        };
        let fd = if entry.has_descriptor != 0 { fds.next() } else { None };
        let node = NodeId::from_raw(entry.node);
        surveyed.push(Ok(Surveyed { attr: entry.attr, node, listing, fd }));
    }
    Ok(surveyed)
}
