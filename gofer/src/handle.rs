//! Handles: host files opened with `O_PATH`, or just created, and what can be done with one.
//!
//! A handle is found by one component below another handle ([`Handle::lookup`]); everything else
//! goes through the handle itself, so no name is resolved twice.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use gofer_protocol::transport::errno;
use gofer_protocol::{Attr, FsStats, Name, OpenFlags, Time};
use linux_abi::Errno;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Statx, StatxFlags, StatxTimestamp};
use rustix::path::DecInt;

use crate::host::ProcDir;

/// File systems that are interfaces to the host's kernel (`linux/magic.h`). Mounted below an
/// export's root they are sealed: shown, but neither entered nor opened.
const SEALED_FILE_SYSTEMS: &[(u64, &str)] = &[
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xcafe_4a11, "bpf"),
    (0x6265_6570, "configfs"),
    (0xde5e_81e4, "efivarfs"),
    (0x6165_676c, "pstore"),
    (0x4249_4e4d, "binfmt_misc"),
    (0xf97c_ff8c, "selinuxfs"),
    (0x4341_5d53, "smackfs"),
    (0x6573_5543, "fusectl"),
    (0x0765_5821, "resctrl"),
    (0x6e73_6673, "nsfs"),
    (0x5049_4446, "pidfs"),
];

/// `PROC_SUPER_MAGIC`.
const PROC_MAGIC: u64 = 0x9fa0;

const STATX_FLAGS: AtFlags = AtFlags::EMPTY_PATH.union(AtFlags::NO_AUTOMOUNT);
const STATX_MASK: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// An open host file of any type.
#[derive(Debug)]
pub struct Handle {
    fd: OwnedFd,
    file_type: u32,
    dev: (u32, u32),
    is_sealed: bool,
}

/// How a lookup treats the host's mounts.
#[derive(Clone, Copy, Debug)]
pub struct Resolution(ResolveFlags);

impl Resolution {
    pub fn new(crosses_mounts: bool) -> Resolution {
        let base = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        Resolution(if crosses_mounts { base } else { base | ResolveFlags::NO_XDEV })
    }
}

impl Handle {
    /// Makes the handle of an export's root.
    pub fn of_root(fd: OwnedFd) -> Result<Handle, Errno> {
        let attr = attr_of(fd.as_fd())?;
        Ok(Handle { fd, file_type: attr.file_type(), dev: attr.dev(), is_sealed: false })
    }

    /// Finds an entry of this directory. A symbolic link is found, not followed.
    ///
    /// # Errors
    /// ENOTDIR if this is no directory, EACCES if it is sealed, EXDEV for a mount that must not be
    /// crossed, and the host's: ENOENT, EACCES, ….
    pub fn lookup(&self, name: Name<'_>, how: Resolution) -> Result<(Handle, Attr), Errno> {
        let dir = self.as_dir()?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat2(dir, name.as_bytes(), flags, Mode::empty(), how.0)
            .map_err(open_errno)?;
        let attr = attr_of(fd.as_fd())?;
        let is_sealed = attr.dev() != self.dev && is_kernel_interface(fd.as_fd())?;
        let handle = Handle { fd, file_type: attr.file_type(), dev: attr.dev(), is_sealed };
        Ok((handle, attr))
    }

    /// Makes and opens a regular file in this directory.
    pub fn create(
        &self,
        name: Name<'_>,
        flags: OpenFlags,
        mode: Mode,
        how: Resolution,
    ) -> Result<(Handle, Attr), Errno> {
        let dir = self.as_dir()?;
        let flags = host_flags(flags) | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let fd =
            rustix::fs::openat2(dir, name.as_bytes(), flags, mode, how.0).map_err(open_errno)?;
        let attr = attr_of(fd.as_fd())?;
        let handle = Handle { fd, file_type: attr.file_type(), dev: attr.dev(), is_sealed: false };
        Ok((handle, attr))
    }

    /// Makes and opens a regular file without a name on the file system of this directory.
    ///
    /// # Errors
    /// EOPNOTSUPP where there are no such files.
    pub fn create_unnamed(&self, mode: Mode, how: Resolution) -> Result<(Handle, Attr), Errno> {
        let flags = host_flags(OpenFlags::RDWR) | OFlags::TMPFILE;
        let dir = self.as_dir()?;
        let fd = rustix::fs::openat2(dir, c".", flags, mode, how.0).map_err(open_errno)?;
        let attr = attr_of(fd.as_fd())?;
        let handle = Handle { fd, file_type: attr.file_type(), dev: attr.dev(), is_sealed: false };
        Ok((handle, attr))
    }

    /// Reads the attributes of an entry of this directory.
    pub fn entry_attr(&self, name: Name<'_>) -> Result<Attr, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let stat = rustix::fs::statx(self.as_dir()?, name.as_bytes(), flags, STATX_MASK);
        stat.map(|stat| attr_from(&stat)).map_err(errno)
    }

    pub fn attr(&self) -> Result<Attr, Errno> {
        attr_of(self.fd.as_fd())
    }

    /// The descriptor of a file that was created, with the rights it was created with.
    pub fn donated(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens the regular file of this handle.
    ///
    /// # Errors
    /// See [`gofer_protocol::Client::open`].
    pub fn open_file(&self, flags: OpenFlags, proc_dir: ProcDir) -> Result<OwnedFd, Errno> {
        match self.file_type {
            libc::S_IFREG if self.is_sealed => Err(Errno::EACCES),
            libc::S_IFREG => open_again(self.fd.as_fd(), host_flags(flags), proc_dir),
            libc::S_IFDIR => Err(Errno::EISDIR),
            libc::S_IFLNK => Err(Errno::ELOOP),
            libc::S_IFIFO | libc::S_IFSOCK => Err(Errno::ENXIO),
            _ => Err(Errno::EACCES),
        }
    }

    /// Opens the directory of this handle for listing it or writing it back.
    pub fn open_dir(&self, proc_dir: ProcDir) -> Result<OwnedFd, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        open_again(self.as_dir()?, flags, proc_dir)
    }

    /// The directory of this handle, to name an entry in. ENOTDIR if it is none, EACCES if it is
    /// sealed.
    pub fn as_dir(&self) -> Result<BorrowedFd<'_>, Errno> {
        match self.file_type {
            libc::S_IFDIR if self.is_sealed => Err(Errno::EACCES),
            libc::S_IFDIR => Ok(self.fd.as_fd()),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// The file itself, to be named by an empty path or by [`Handle::proc_name`]. EACCES if it is
    /// sealed.
    pub fn as_object(&self) -> Result<BorrowedFd<'_>, Errno> {
        if self.is_sealed { Err(Errno::EACCES) } else { Ok(self.fd.as_fd()) }
    }

    /// The path of this file relative to `/proc/self/fd`: a magic link straight to it.
    pub fn proc_name(&self, _proc_dir: ProcDir) -> Result<DecInt, Errno> {
        Ok(DecInt::from_fd(self.as_object()?))
    }

    /// The target of a symbolic link. EINVAL if this is none.
    pub fn read_link(&self) -> Result<Vec<u8>, Errno> {
        if !self.is_symlink() {
            return Err(Errno::EINVAL);
        }
        let target = rustix::fs::readlinkat(self.as_object()?, c"", Vec::new()).map_err(errno)?;
        Ok(target.into_bytes())
    }

    pub fn stat_fs(&self) -> Result<FsStats, Errno> {
        let stat = rustix::fs::fstatfs(&self.fd).map_err(errno)?;
        // The same call again: it shows the identifier, which the other keeps to itself.
        let fsid = rustix::fs::fstatvfs(&self.fd).map_err(errno)?.f_fsid;
        Ok(FsStats {
            fs_type: stat.f_type as u64,
            block_size: stat.f_bsize as u64,
            fragment_size: stat.f_frsize as u64,
            blocks: stat.f_blocks,
            blocks_free: stat.f_bfree,
            blocks_available: stat.f_bavail,
            files: stat.f_files,
            files_free: stat.f_ffree,
            fsid: [fsid as u32, (fsid >> 32) as u32],
            name_max: stat.f_namelen as u64,
            flags: stat.f_flags as u64,
        })
    }

    /// Whether this is on a procfs.
    pub fn is_on_procfs(&self) -> Result<bool, Errno> {
        let stat = rustix::fs::fstatfs(&self.fd).map_err(errno)?;
        Ok(stat.f_type as u64 == PROC_MAGIC)
    }

    pub fn file_type(&self) -> u32 {
        self.file_type
    }

    pub fn is_symlink(&self) -> bool {
        self.file_type == libc::S_IFLNK
    }
}

/// Opens what `fd` refers to once more, with other rights.
fn open_again(fd: BorrowedFd<'_>, flags: OFlags, _proc_dir: ProcDir) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, DecInt::from_fd(fd), flags, Mode::empty()).map_err(open_errno)
}

/// The error of an open. The gofer's own descriptor limit is not the guest's, which EMFILE would
/// say.
fn open_errno(error: rustix::io::Errno) -> Errno {
    if error == rustix::io::Errno::MFILE { Errno::ENFILE } else { errno(error) }
}

/// The host's flags for a donated descriptor.
fn host_flags(flags: OpenFlags) -> OFlags {
    OFlags::from_bits_retain(flags.bits()) | OFlags::CLOEXEC | OFlags::NOCTTY
}

fn attr_of(fd: BorrowedFd<'_>) -> Result<Attr, Errno> {
    let stat = rustix::fs::statx(fd, c"", STATX_FLAGS, STATX_MASK).map_err(errno)?;
    Ok(attr_from(&stat))
}

fn is_kernel_interface(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let fs_type = rustix::fs::fstatfs(fd).map_err(errno)?.f_type as u64;
    Ok(SEALED_FILE_SYSTEMS.iter().any(|&(magic, _)| magic == fs_type))
}

fn attr_from(stat: &Statx) -> Attr {
    let time = |time: StatxTimestamp| Time { sec: time.tv_sec, nsec: time.tv_nsec.into() };
    Attr {
        ino: stat.stx_ino,
        size: stat.stx_size,
        blocks: stat.stx_blocks,
        attributes: stat.stx_attributes.bits(),
        atime: time(stat.stx_atime),
        mtime: time(stat.stx_mtime),
        ctime: time(stat.stx_ctime),
        btime: time(stat.stx_btime),
        mask: stat.stx_mask,
        mode: stat.stx_mode.into(),
        nlink: stat.stx_nlink,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        blksize: stat.stx_blksize,
        dev_major: stat.stx_dev_major,
        dev_minor: stat.stx_dev_minor,
        rdev_major: stat.stx_rdev_major,
        rdev_minor: stat.stx_rdev_minor,
    }
}
