//! Executes our own binary again, by descriptor: the process that does so has no path left.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{MemfdFlags, Mode, OFlags};

/// Permission to execute for everybody.
const EXECUTABLE_BY_ALL: u32 = 0o001;

/// Opens the running binary for execution.
///
/// With `for_other_user` and a binary that only some may execute, it is copied to a memory file
/// that everybody may.
pub fn open(for_other_user: bool) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let image = rustix::fs::open("/proc/self/exe", flags, Mode::empty())?;
    if for_other_user {
        let file = File::from(image.try_clone()?);
        if file.metadata()?.mode() & EXECUTABLE_BY_ALL == 0 {
            return copy_to_memory();
        }
    }
    Ok(image)
}

fn copy_to_memory() -> io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create("runsc-rs", MemfdFlags::CLOEXEC)?;
    let mut copy = File::from(memory);
    io::copy(&mut File::open("/proc/self/exe")?, &mut copy)?;
    // A memory file has mode 0777. Opened anew, as a file open for writing is not executed.
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// Replaces this process by `image` with the arguments `args`. Returns only an error.
pub fn execute(image: &OwnedFd, args: &[&str]) -> Result<Infallible, io::Error> {
    let strings: Vec<CString> =
        args.iter().map(|arg| CString::new(*arg)).collect::<Result<_, _>>()?;
    let mut argv: Vec<*const libc::c_char> = strings.iter().map(|arg| arg.as_ptr()).collect();
    argv.push(std::ptr::null());
    let backtrace = std::env::var_os("RUST_BACKTRACE").map(|wanted| match wanted == "full" {
        true => c"RUST_BACKTRACE=full",
        false => c"RUST_BACKTRACE=1",
    });
    // An arena of the allocator for each thread costs memory and time to make, and what threads
    // allocate at the same time is little.
    let allocator = c"GLIBC_TUNABLES=glibc.malloc.arena_max=1";
    let backtrace = backtrace.map_or(std::ptr::null(), |text| text.as_ptr());
    let envp = [allocator.as_ptr(), backtrace, std::ptr::null()];
    // SAFETY: 1. The path is an empty C string. 2. Both lists end with a null pointer and their
    // strings live until the call returns.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            image.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Err(io::Error::last_os_error())
}
