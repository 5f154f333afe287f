//! Extended attributes (`xattr(7)`).
//!
//! The calls name a file by its magic link in `/proc/self/fd`, since a handle is no descriptor that
//! `fgetxattr(2)` takes. Offered are `user.*`, the POSIX ACLs of `system.*`, and, for reading only,
//! `security.capability`, which `execve(2)` needs. The rest is the host's own business.

use gofer_protocol::message::{TargetRequest, XattrRequest};
use gofer_protocol::transport::errno;
use gofer_protocol::wire::Reader;
use gofer_protocol::{MAX_XATTR_BYTES, XattrFlags};
use linux_abi::Errno;

use crate::connection::{Connection, Outcome};

/// Whether a file's attribute of this name is shown.
fn is_visible(name: &[u8]) -> bool {
    is_changeable(name) || name == b"security.capability"
}

/// Whether an attribute of this name may be set and removed.
fn is_changeable(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || matches!(name, b"system.posix_acl_access" | b"system.posix_acl_default")
}

/// EPERM for the namespaces of the administrator, EOPNOTSUPP for others that are not offered.
fn check_changeable(name: &[u8]) -> Result<(), Errno> {
    if is_changeable(name) {
        Ok(())
    } else if name.starts_with(b"trusted.") || name.starts_with(b"security.") {
        Err(Errno::EPERM)
    } else {
        Err(Errno::EOPNOTSUPP)
    }
}

impl Connection {
    pub(crate) fn get_xattr(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: XattrRequest = request.fixed()?;
        let target_name = request.optional_name()?;
        let name = request.short_bytes()?;
        request.finish()?;
        if !is_visible(name) {
            return Err(Errno::ENODATA);
        }
        let handle = self.target(fixed.node, target_name)?;
        let path = handle.proc_name(self.proc_dir)?;
        let mut value = vec![0; MAX_XATTR_BYTES];
        let len = rustix::fs::getxattr(path, name, &mut value[..]).map_err(errno)?;
        self.response.bytes(value.get(..len).unwrap_or_default());
        Ok(None)
    }

    pub(crate) fn set_xattr(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: XattrRequest = request.fixed()?;
        let target_name = request.optional_name()?;
        let name = request.short_bytes()?;
        let value = request.rest();
        let flags = XattrFlags::from_bits(fixed.flags).ok_or(Errno::EINVAL)?;
        if value.len() > MAX_XATTR_BYTES {
            return Err(Errno::E2BIG);
        }
        self.check_writable()?;
        check_changeable(name)?;
        let handle = self.target(fixed.node, target_name)?;
        let path = handle.proc_name(self.proc_dir)?;
        let flags = rustix::fs::XattrFlags::from_bits_retain(flags.bits());
        rustix::fs::setxattr(path, name, value, flags).map_err(errno)?;
        Ok(None)
    }

    pub(crate) fn remove_xattr(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: XattrRequest = request.fixed()?;
        let target_name = request.optional_name()?;
        let name = request.short_bytes()?;
        request.finish()?;
        self.check_writable()?;
        check_changeable(name)?;
        let handle = self.target(fixed.node, target_name)?;
        let path = handle.proc_name(self.proc_dir)?;
        rustix::fs::removexattr(path, name).map_err(errno)?;
        Ok(None)
    }

    pub(crate) fn list_xattr(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: TargetRequest = request.fixed()?;
        let target_name = request.optional_name()?;
        request.finish()?;
        let handle = self.target(fixed.node, target_name)?;
        let path = handle.proc_name(self.proc_dir)?;
        let mut list = vec![0; MAX_XATTR_BYTES];
        let len = rustix::fs::listxattr(path, &mut list[..]).map_err(errno)?;
        let names = list.get(..len).unwrap_or_default();
        for name in names.split_inclusive(|&byte| byte == 0) {
            if is_visible(name.strip_suffix(b"\0").unwrap_or(name)) {
                self.response.bytes(name);
            }
        }
        Ok(None)
    }
}
