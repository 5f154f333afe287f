//! Files in memory that the two processes of a sandbox share with the command line.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags};

/// Room for what a dying sentry or gofer writes to standard error, in bytes.
pub const CRASH_LOG_BYTES: u64 = 64 << 10;

/// A memory file with `text`, at its start.
pub fn memory_file(text: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create("config", MemfdFlags::CLOEXEC)?);
    file.write_all(text)?;
    file.rewind()?;
    Ok(file.into())
}

/// A memory file of a fixed size: whoever writes to it cannot use up memory.
pub fn crash_log() -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = File::from(rustix::fs::memfd_create("crash-log", flags)?);
    file.set_len(CRASH_LOG_BYTES)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file)
}
