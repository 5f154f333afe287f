//! Loading programs: ELF images, interpreter scripts, and the initial stack.
//!
//! [`load`] builds a complete new address space from an open program file without touching the
//! caller; `execve` then moves the task into it. Layout is randomised like Linux' (`mmap_base`
//! is the host's own; the break and the stack get their own random offsets).

mod domains;
mod elf;
mod image;
mod plan;
mod prepared;
mod script;
mod stack;

use std::sync::Arc;

use linux_abi::Errno;
use platform::{AddressSpace, NewProcess, Thread};

use crate::mm::Mm;
use crate::task::{Credentials, Task};
use crate::vfs::FileDescription;

pub use domains::Domains;
pub use prepared::PreparedFiles;
pub use script::resolve;
pub use stack::Strings;

/// Most bytes of one argument or environment string with its NUL (`MAX_ARG_STRLEN`).
pub const MAX_STRING_BYTES: usize = 32 * 4096;

/// A program to run, after scripts are resolved to their interpreter.
pub struct Program {
    pub file: Arc<FileDescription>,
    /// The path that `execve` was given, for `AT_EXECFN`.
    pub exec_path: Vec<u8>,
    pub args: Vec<Vec<u8>>,
    pub env: Vec<Vec<u8>>,
}

/// A loaded program that only waits to run.
pub struct Loaded {
    pub mm: Arc<Mm>,
    pub space: Arc<dyn AddressSpace>,
    pub thread: Box<dyn Thread>,
}

/// Loads `program` for a process with `credentials` into an `empty` address space, or else into one
/// that it makes.
///
/// # Errors
/// ENOEXEC (not an ELF image we can run), ELIBBAD (bad interpreter), E2BIG, ENOMEM, EAGAIN, EIO,
/// and those of opening the ELF interpreter.
pub async fn load(
    task: &Arc<Task>,
    program: &Program,
    credentials: &Credentials,
    is_secure: bool,
    empty: Option<NewProcess>,
) -> Result<Loaded, Errno> {
    image::build(task, program, credentials, is_secure, empty).await
}
