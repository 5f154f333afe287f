//! What an open asks for, checked.

use linux_abi::Errno;
use linux_abi::fs::{O_RDONLY, O_RDWR, O_WRONLY, OpenFlags, OpenHow, ResolveFlags, S_IALLUGO};

use crate::vfs::permission::Want;

/// Flags, mode of a new file, and restrictions of the walk.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenRequest {
    pub flags: OpenFlags,
    pub mode: u32,
    pub resolve: ResolveFlags,
}

/// What `O_PATH` leaves of the other flags.
const PATH_FLAGS: OpenFlags = OpenFlags::DIRECTORY
    .union(OpenFlags::NOFOLLOW)
    .union(OpenFlags::PATH)
    .union(OpenFlags::CLOEXEC);

/// The bit of `O_TMPFILE` that is not `O_DIRECTORY`.
const TMPFILE_BIT: u32 = OpenFlags::TMPFILE.bits() & !OpenFlags::DIRECTORY.bits();

impl OpenRequest {
    /// For `open` and `openat`, which ignore flags and mode bits that they do not know.
    ///
    /// # Errors
    /// EINVAL for combinations that make no sense.
    pub fn from_open(flags: u32, mode: u32) -> Result<OpenRequest, Errno> {
        let mut flags = OpenFlags::from_bits_truncate(flags);
        if flags.contains(OpenFlags::PATH) {
            flags &= PATH_FLAGS;
        }
        let makes = makes_file(flags);
        let mode = if makes { mode & S_IALLUGO } else { 0 };
        OpenRequest { flags, mode, resolve: ResolveFlags::empty() }.checked()
    }

    /// For `openat2`, which refuses what it does not know.
    ///
    /// # Errors
    /// EINVAL.
    pub fn from_how(how: &OpenHow) -> Result<OpenRequest, Errno> {
        let bits = u32::try_from(how.flags).map_err(|_| Errno::EINVAL)?;
        let flags = OpenFlags::from_bits(bits).ok_or(Errno::EINVAL)?;
        let resolve = ResolveFlags::from_bits(how.resolve).ok_or(Errno::EINVAL)?;
        if resolve.contains(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT) {
            return Err(Errno::EINVAL);
        }
        let is_mode_ok =
            if makes_file(flags) { how.mode & !u64::from(S_IALLUGO) == 0 } else { how.mode == 0 };
        if !is_mode_ok || (flags.contains(OpenFlags::PATH) && !PATH_FLAGS.contains(flags)) {
            return Err(Errno::EINVAL);
        }
        if resolve.contains(ResolveFlags::CACHED)
            && (makes_file(flags) || flags.contains(OpenFlags::TRUNC))
        {
            return Err(Errno::EAGAIN);
        }
        OpenRequest { flags, mode: how.mode as u32, resolve }.checked()
    }

    fn checked(self) -> Result<OpenRequest, Errno> {
        let flags = self.flags;
        if flags.bits() & TMPFILE_BIT != 0 {
            let is_writable = matches!(flags.access_mode(), O_WRONLY | O_RDWR | 3);
            let is_whole = flags.contains(OpenFlags::TMPFILE);
            if !is_whole || !is_writable || flags.contains(OpenFlags::CREAT) {
                return Err(Errno::EINVAL);
            }
        } else if flags.contains(OpenFlags::CREAT | OpenFlags::DIRECTORY) {
            return Err(Errno::EINVAL);
        }
        Ok(self)
    }

    /// The permissions that the open needs. Access mode 3 means both, for `ioctl` only.
    pub fn wants(&self) -> Want {
        let mut wants = match self.flags.access_mode() {
            O_RDONLY => Want::READ,
            O_WRONLY => Want::WRITE,
            _ => Want::READ | Want::WRITE,
        };
        if self.flags.contains(OpenFlags::TRUNC) {
            wants |= Want::WRITE;
        }
        wants
    }
}

fn makes_file(flags: OpenFlags) -> bool {
    flags.contains(OpenFlags::CREAT) || flags.bits() & TMPFILE_BIT != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(flags: OpenFlags) -> Result<OpenRequest, Errno> {
        OpenRequest::from_open(flags.bits(), 0o17777)
    }

    #[test]
    fn open_ignores_what_it_does_not_know() {
        let request = OpenRequest::from_open(1 << 30, 0o644).unwrap();
        assert!(request.flags.is_empty());
        assert_eq!(open(OpenFlags::CREAT).unwrap().mode, 0o7777);
        let path = open(OpenFlags::PATH | OpenFlags::RDWR | OpenFlags::CREAT).unwrap();
        assert_eq!(path.flags, OpenFlags::PATH);
    }

    #[test]
    fn senseless_combinations_are_refused() {
        assert!(open(OpenFlags::CREAT | OpenFlags::DIRECTORY).is_err());
        assert!(open(OpenFlags::TMPFILE).is_err());
        assert!(open(OpenFlags::TMPFILE | OpenFlags::RDWR).is_ok());
        let bit = OpenFlags::from_bits_retain(TMPFILE_BIT);
        assert!(open(bit | OpenFlags::RDWR).is_err());
    }

    #[test]
    fn openat2_is_strict() {
        let how = |flags, mode, resolve| OpenRequest::from_how(&OpenHow { flags, mode, resolve });
        assert!(how(1 << 40, 0, 0).is_err());
        assert!(how(0, 0o644, 0).is_err());
        assert!(how(0o100, 0o10644, 0).is_err());
        assert!(how(0o100, 0o644, 0x8 | 0x10).is_err());
        assert!(how(0o100, 0o644, 0x8).is_ok());
        assert!(how(0o10000000 | 0o2, 0, 0).is_err());
        assert_eq!(how(0o1000, 0, 0x20).err(), Some(Errno::EAGAIN));
    }
}
