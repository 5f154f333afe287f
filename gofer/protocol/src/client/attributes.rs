//! Attributes, extended attributes, figures of the file system, write-back.

use linux_abi::Errno;

use crate::attr::{Attr, FsStats, SetAttr, SetTime, Time};
use crate::client::pending::Scope;
use crate::client::request::Target;
use crate::client::{Client, optional_error, write_nodes};
use crate::flags::{SetAttrMask, XattrFlags};
use crate::message::{AttrReply, Op, SetAttrRequest, XattrRequest};
use crate::name::NodeId;
use crate::wire::Reader;
use crate::{MAX_ATTR_NODES, MAX_XATTR_BYTES};

impl Client {
    /// Reads the attributes; a symbolic link is not followed.
    pub fn get_attr(&self, target: Target<'_>) -> Result<Attr, Errno> {
        self.ask_target(Op::GetAttr, target, |response, _| response.fixed())
    }

    /// Reads the attributes as they are when all is done that was asked for quietly.
    pub fn get_attr_behind_all(&self, target: Target<'_>) -> Result<Attr, Errno> {
        self.call_target(Op::GetAttr, target, |response, _| response.fixed())
    }

    /// Reads the attributes of several nodes, in order, as they are before what was asked for quietly.
    ///
    /// # Errors
    /// EINVAL for more than [`MAX_ATTR_NODES`] or none.
    pub fn get_attrs(&self, nodes: &[NodeId]) -> Result<Vec<Result<Attr, Errno>>, Errno> {
        if nodes.is_empty() || nodes.len() > MAX_ATTR_NODES {
            return Err(Errno::EINVAL);
        }
        let read = |response: &mut Reader<'_>| -> Result<Result<Attr, Errno>, Errno> {
            let AttrReply { error, attr, .. } = response.fixed()?;
            Ok(optional_error(error).map_or(Ok(attr), Err))
        };
        self.call_apart(
            Scope::Nothing,
            Op::GetAttrs,
            |request| {
                write_nodes(request, nodes.iter().copied());
                Ok(())
            },
            |response, _| nodes.iter().map(|_| read(response)).collect(),
        )
    }

    /// Changes attributes and returns the new ones; a symbolic link is not followed. Owner first,
    /// then mode, size and times; an error may leave the earlier ones changed.
    ///
    /// # Errors
    /// EROFS on a read-only export, EPERM without the right, EISDIR and EINVAL for the size of
    /// what is no regular file, EOPNOTSUPP for the mode of a symbolic link.
    pub fn set_attr(&self, target: Target<'_>, set: &SetAttr) -> Result<Attr, Errno> {
        self.call(
            Op::SetAttr,
            |request| {
                request.fixed(&set_attr_request(target.node, set));
                request.short_bytes(target.name)
            },
            |response, _| response.fixed(),
        )
    }

    /// Changes attributes as [`Client::set_attr`] does, quietly.
    pub fn set_attr_quietly(&self, target: Target<'_>, set: &SetAttr) -> Result<(), Errno> {
        self.tell(Op::SetAttr, |request| {
            request.fixed(&set_attr_request(target.node, set));
            request.short_bytes(target.name)
        })
    }

    /// Reads the figures of the node's file system (`statfs(2)`).
    pub fn stat_fs(&self, node: NodeId) -> Result<FsStats, Errno> {
        self.ask_target(Op::StatFs, node.into(), |response, _| response.fixed())
    }

    /// Writes a directory's entries, or a file's data, back to the disk (`fsync(2)`).
    pub fn sync(&self, node: NodeId) -> Result<(), Errno> {
        self.call_target(Op::Sync, node.into(), |_, _| Ok(()))
    }

    /// Reads an extended attribute. ENODATA if there is none of that name.
    pub fn get_xattr(&self, target: Target<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let flags = XattrFlags::empty();
        self.xattr(Op::GetXattr, target, name, b"", flags)
    }

    /// Sets an extended attribute.
    ///
    /// # Errors
    /// EPERM for `trusted.*` and `security.*`, EOPNOTSUPP for a namespace that is not offered,
    /// EEXIST and ENODATA as `flags` tell, E2BIG for a value of more than 64 KiB.
    pub fn set_xattr(
        &self,
        target: Target<'_>,
        name: &[u8],
        value: &[u8],
        flags: XattrFlags,
    ) -> Result<(), Errno> {
        if value.len() > MAX_XATTR_BYTES {
            return Err(Errno::E2BIG);
        }
        self.xattr(Op::SetXattr, target, name, value, flags).map(drop)
    }

    /// Removes an extended attribute. ENODATA if there is none; EPERM as for setting.
    pub fn remove_xattr(&self, target: Target<'_>, name: &[u8]) -> Result<(), Errno> {
        let flags = XattrFlags::empty();
        self.xattr(Op::RemoveXattr, target, name, b"", flags).map(drop)
    }

    /// Lists the names of extended attributes, without `trusted.*`.
    pub fn list_xattr(&self, target: Target<'_>) -> Result<Vec<Vec<u8>>, Errno> {
        self.call_target(Op::ListXattr, target, |response, _| {
            let names = response.rest().split(|&byte| byte == 0);
            Ok(names.filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
        })
    }

    fn xattr(
        &self,
        op: Op,
        target: Target<'_>,
        name: &[u8],
        value: &[u8],
        flags: XattrFlags,
    ) -> Result<Vec<u8>, Errno> {
        self.call(
            op,
            |request| {
                let node = target.node.raw();
                request.fixed(&XattrRequest { node, flags: flags.bits(), reserved: 0 });
                request.short_bytes(target.name)?;
                // Linux: a name that is too long is ERANGE, not ENAMETOOLONG (xattr(7)).
                request.short_bytes(name).map_err(|_| Errno::ERANGE)?;
                request.bytes(value);
                Ok(())
            },
            |response, _| Ok(response.rest().to_vec()),
        )
    }
}

fn set_attr_request(node: NodeId, set: &SetAttr) -> SetAttrRequest {
    let mut mask = SetAttrMask::empty();
    mask.set(SetAttrMask::MODE, set.mode.is_some());
    mask.set(SetAttrMask::UID, set.uid.is_some());
    mask.set(SetAttrMask::GID, set.gid.is_some());
    mask.set(SetAttrMask::SIZE, set.size.is_some());
    let mut time = |set: SetTime, at: SetAttrMask, now: SetAttrMask| match set {
        SetTime::Omit => Time::default(),
        SetTime::Now => {
            mask |= now;
            Time::default()
        }
        SetTime::At(time) => {
            mask |= at;
            time
        }
    };
    let atime = time(set.atime, SetAttrMask::ATIME, SetAttrMask::ATIME_NOW);
    let mtime = time(set.mtime, SetAttrMask::MTIME, SetAttrMask::MTIME_NOW);
    SetAttrRequest {
        node: node.raw(),
        mask: mask.bits(),
        mode: set.mode.unwrap_or(0),
        uid: set.uid.unwrap_or(0),
        gid: set.gid.unwrap_or(0),
        size: set.size.unwrap_or(0),
        atime,
        mtime,
    }
}
