//! File systems that a program may mount, by name.

use std::sync::Arc;

use linux_abi::Errno;

use super::mqueue::new_mqueue;
use super::proc::ProcFs;
use super::sysfs::SysFs;
use super::tmpfs::{Tmpfs, TmpfsOptions};
use super::tty::{DevptsOptions, new_devpts};
use crate::kernel::Kernel;
use crate::vfs::FileSystem;

/// Makes a file system of type `name` with the comma-separated options `data`, mount(2).
///
/// # Errors
/// ENODEV (no such type), EINVAL (an option that is unknown or makes no sense).
pub fn new_file_system(
    kernel: &Arc<Kernel>,
    name: &[u8],
    data: &[u8],
) -> Result<Arc<dyn FileSystem>, Errno> {
    match name {
        b"tmpfs" => {
            let mut options =
                TmpfsOptions { size: Some(kernel.memory_total / 2), ..TmpfsOptions::default() };
            options.parse(data, kernel.memory_total)?;
            Ok(Tmpfs::new(kernel, &options))
        }
        // What these could be told is about other kernels' features: options are not read.
        b"proc" => Ok(ProcFs::new(kernel)),
        b"sysfs" => Ok(SysFs::new(kernel)),
        b"mqueue" => Ok(new_mqueue(kernel)),
        b"devpts" => {
            let mut options = DevptsOptions { mode: None, gid: None, ptmxmode: None };
            options.parse(data)?;
            Ok(new_devpts(kernel, &options))
        }
        _ => Err(Errno::ENODEV),
    }
}

impl DevptsOptions {
    /// Takes the options of a mount over. Each mount is an instance of its own, as on Linux.
    ///
    /// # Errors
    /// EINVAL.
    fn parse(&mut self, data: &[u8]) -> Result<(), Errno> {
        let text = std::str::from_utf8(data).map_err(|_| Errno::EINVAL)?;
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let octal = || u32::from_str_radix(value, 8).map_err(|_| Errno::EINVAL);
            match key {
                "mode" => self.mode = Some(octal()? & 0o7777),
                "ptmxmode" => self.ptmxmode = Some(octal()? & 0o7777),
                "gid" => self.gid = Some(value.parse().map_err(|_| Errno::EINVAL)?),
                "newinstance" => {}
                _ => return Err(Errno::EINVAL),
            }
        }
        Ok(())
    }
}

impl TmpfsOptions {
    /// Takes the options of a mount, tmpfs(5), over.
    ///
    /// # Errors
    /// EINVAL.
    pub fn parse(&mut self, data: &[u8], memory_total: u64) -> Result<(), Errno> {
        let text = std::str::from_utf8(data).map_err(|_| Errno::EINVAL)?;
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            match key {
                "size" => self.size = no_limit(size(value, memory_total)?),
                "nr_blocks" => {
                    let blocks = size(value, memory_total)?;
                    self.size = no_limit(blocks.checked_mul(4096).ok_or(Errno::EINVAL)?);
                }
                "nr_inodes" => self.inodes = no_limit(size(value, memory_total)?),
                "mode" => {
                    let mode = u32::from_str_radix(value, 8).map_err(|_| Errno::EINVAL)?;
                    self.mode = mode & 0o7777;
                }
                "uid" => self.uid = value.parse().map_err(|_| Errno::EINVAL)?,
                "gid" => self.gid = value.parse().map_err(|_| Errno::EINVAL)?,
                // How large pages are used is the host's business.
                "huge" | "mpol" | "inode32" | "inode64" => {}
                _ => return Err(Errno::EINVAL),
            }
        }
        Ok(())
    }
}

/// Linux: 0 means no limit.
fn no_limit(value: u64) -> Option<u64> {
    (value != 0).then_some(value)
}

/// A number with a suffix `k`, `m`, `g`, or `%` of the memory. Errors: EINVAL.
fn size(text: &str, memory_total: u64) -> Result<u64, Errno> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let number: u64 = digits.parse().map_err(|_| Errno::EINVAL)?;
    let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        "%" => return Ok((u128::from(memory_total) * u128::from(number) / 100) as u64),
        _ => return Err(Errno::EINVAL),
    };
    number.checked_mul(factor).ok_or(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(data: &str) -> Result<TmpfsOptions, Errno> {
        let mut options = TmpfsOptions::default();
        options.parse(data.as_bytes(), 1000).map(|()| options)
    }

    #[test]
    fn tmpfs_options_are_read() {
        let options = parse("size=64k,nr_inodes=10,mode=755,uid=1,gid=2").unwrap();
        assert_eq!((options.size, options.inodes), (Some(65536), Some(10)));
        assert_eq!((options.mode, options.uid, options.gid), (0o755, 1, 2));
        assert_eq!(parse("size=50%").unwrap().size, Some(500));
        assert_eq!(parse("size=0").unwrap().size, None);
    }

    #[test]
    fn unknown_tmpfs_options_are_refused() {
        for data in ["colour=red", "size=x", "size=1q", "mode=9", "uid=-1"] {
            assert_eq!(parse(data).err(), Some(Errno::EINVAL), "{data}");
        }
    }
}
