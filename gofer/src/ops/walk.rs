//! Hello, walk, open, read link, release.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use gofer_protocol::message::{
    HelloReply, HelloRequest, NodeReply, NodesRequest, OpenRequest, TargetRequest, WalkReply,
    WalkRequest, WireEntry,
};
use gofer_protocol::transport::errno;
use gofer_protocol::wire::Reader;
use gofer_protocol::{
    Attr, MAX_LINK_BYTES, MAX_RELEASE_NODES, MAX_WALK_NAMES, Name, OpenFlags, VERSION, WalkFlags,
};
use linux_abi::Errno;

use crate::connection::{Connection, Donation, Outcome};
use crate::handle::Handle;

impl Connection {
    pub(crate) fn hello(&mut self, request: &mut Reader<'_>) -> Outcome {
        let _: HelloRequest = request.fixed()?;
        let attr = self.nodes.get(1)?.attr()?;
        self.response.fixed(&HelloReply {
            version: VERSION,
            is_readonly: self.is_readonly.into(),
            max_nodes: self.nodes.max_nodes() as u64,
            attr,
        });
        Ok(None)
    }

    pub(crate) fn walk(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: WalkRequest = request.fixed()?;
        let flags = WalkFlags::from_bits(fixed.flags).ok_or(Errno::EINVAL)?;
        let open_flags = parse_open_flags(fixed.open_flags)?;
        let count = fixed.count as usize;
        if !(1..=MAX_WALK_NAMES).contains(&count) {
            return Err(Errno::EINVAL);
        }
        let names = (0..count).map(|_| request.name()).collect::<Result<Vec<_>, _>>()?;
        request.finish()?;
        let mut current = self.nodes.get(fixed.dir)?;
        let mut reply = WalkReply::default();
        let start = self.response.len();
        self.response.fixed(&reply);
        for (index, name) in names.iter().enumerate() {
            match self.step(&current, *name, flags, index + 1 == count) {
                Ok(handle) => current = handle,
                Err(error) => {
                    reply.error = error.raw() as u32;
                    break;
                }
            }
            reply.count += 1;
            if current.is_symlink() {
                break;
            }
        }
        if reply.count > 0 && current.is_symlink() {
            match current.read_link() {
                Ok(target) if target.len() <= MAX_LINK_BYTES => {
                    reply.link_bytes = target.len() as u32;
                    self.response.bytes(&target);
                }
                Ok(_) => reply.error = Errno::ENAMETOOLONG.raw() as u32,
                Err(error) => reply.error = error.raw() as u32,
            }
        }
        let mut donation = None;
        if flags.contains(WalkFlags::OPEN) && reply.count as usize == count {
            match self.open_file(&current, open_flags) {
                Ok(opened) => donation = Some(Donation::Opened(vec![opened])),
                Err(error) => reply.open_error = error.raw() as u32,
            }
        }
        self.response.replace(start, &reply);
        Ok(donation)
    }

    /// Goes one component on and reports it.
    fn step(
        &mut self,
        dir: &Handle,
        name: Name<'_>,
        flags: WalkFlags,
        is_last: bool,
    ) -> Result<Rc<Handle>, Errno> {
        let (handle, attr) = dir.lookup(name, self.resolution)?;
        let handle = Rc::new(handle);
        let is_kept = if attr.is_directory() {
            flags.contains(WalkFlags::DIRECTORY_NODES)
        } else {
            is_last && flags.contains(WalkFlags::FILE_NODE)
        };
        let node = if is_kept { self.nodes.insert(Rc::clone(&handle))? } else { 0 };
        self.response.fixed(&WireEntry { node, attr });
        Ok(handle)
    }

    pub(crate) fn open(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: OpenRequest = request.fixed()?;
        let name = request.optional_name()?;
        request.finish()?;
        let flags = parse_open_flags(fixed.flags)?;
        let wants_node = parse_bool(fixed.wants_node)?;
        let mut handle = self.nodes.get(fixed.node)?;
        let mut known = None;
        if let Some(name) = name {
            let (found, attr) = handle.lookup(name, self.resolution)?;
            handle = Rc::new(found);
            known = Some(attr).filter(|_| !flags.contains(OpenFlags::TRUNC));
        }
        if wants_node {
            self.nodes.check_room()?;
        }
        let fd = self.open_file(&handle, flags)?;
        let attr = known.map_or_else(|| handle.attr(), Ok)?;
        self.reply_node(handle, attr, wants_node, None)?;
        Ok(Some(Donation::Opened(vec![fd])))
    }

    fn open_file(&self, handle: &Handle, flags: OpenFlags) -> Result<OwnedFd, Errno> {
        if flags.is_write() && handle.file_type() == libc::S_IFREG {
            self.check_writable()?;
        }
        handle.open_file(flags, self.proc_dir)
    }

    /// Reports a file, with a node if one is wanted.
    pub(crate) fn reply_node(
        &mut self,
        handle: Rc<Handle>,
        attr: Attr,
        wants_node: bool,
        owner_error: Option<Errno>,
    ) -> Result<(), Errno> {
        let node = if wants_node { self.nodes.insert(handle)? } else { 0 };
        let owner_error = owner_error.map_or(0, |error| error.raw() as u32);
        self.response.fixed(&NodeReply { node, owner_error, reserved: 0, attr });
        Ok(())
    }

    pub(crate) fn read_link(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: TargetRequest = request.fixed()?;
        let name = request.optional_name()?;
        request.finish()?;
        let handle = self.nodes.get(fixed.node)?;
        let target = match name {
            None => handle.read_link()?,
            Some(name) => {
                let dir = handle.as_dir()?;
                let target = rustix::fs::readlinkat(dir, name.as_bytes(), Vec::new());
                target.map_err(errno)?.into_bytes()
            }
        };
        self.response.bytes(&target);
        Ok(None)
    }

    /// Forgets nodes. There is no response, so a request that makes no sense is ignored.
    pub(crate) fn release(&mut self, request: &mut Reader<'_>) {
        let Ok(fixed) = request.fixed::<NodesRequest>() else { return };
        for _ in 0..(fixed.count as usize).min(MAX_RELEASE_NODES) {
            let Ok(node) = request.fixed::<u64>() else { return };
            self.nodes.release(node);
        }
    }
}

/// EINVAL for unknown flags or access mode 3.
pub fn parse_open_flags(raw: u32) -> Result<OpenFlags, Errno> {
    let flags = OpenFlags::from_bits(raw).ok_or(Errno::EINVAL)?;
    if flags.contains(OpenFlags::WRONLY | OpenFlags::RDWR) {
        return Err(Errno::EINVAL);
    }
    Ok(flags)
}

/// EINVAL for what is neither 0 nor 1.
pub fn parse_bool(raw: u32) -> Result<bool, Errno> {
    match raw {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Errno::EINVAL),
    }
}
