//! Files, pipes and paths.

use super::check::Must;
use super::sys::{sys, zeroed};
use std::ffi::{CStr, CString};

/// Makes a C string of a path computed at run time; pass it on with `.as_c_str()`.
#[track_caller]
pub fn cstr(text: &str) -> CString {
    CString::new(text).ok().must()
}

/// Returns the absolute path of a name in the case's own directory.
#[track_caller]
pub fn path(name: &str) -> CString {
    let mut buf = [0u8; 4096];
    let len = sys!(getcwd, &mut buf, buf.len()).must() as usize;
    cstr(&format!("{}/{name}", String::from_utf8_lossy(&buf[..len - 1])))
}

/// Opens a file, with mode 0644 for a new one.
#[track_caller]
pub fn open(path: &CStr, flags: i32) -> i32 {
    sys!(open, path, flags, 0o644).must() as i32
}

/// Makes a file with this content, mode 0644.
#[track_caller]
pub fn create(path: &CStr, content: &[u8]) {
    let fd = open(path, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC);
    let mut done = 0;
    while done < content.len() {
        done += sys!(write, fd, &content[done..], content.len() - done).must() as usize;
    }
    sys!(close, fd).must();
}

/// Reads a descriptor to its end.
#[track_caller]
pub fn read_all(fd: i32) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buf = [0u8; 4096];
    loop {
        match sys!(read, fd, &mut buf, buf.len()).must() {
            0 => return all,
            count => all.extend_from_slice(&buf[..count as usize]),
        }
    }
}

/// Returns a whole file.
#[track_caller]
pub fn content(path: &CStr) -> Vec<u8> {
    let fd = open(path, libc::O_RDONLY);
    let all = read_all(fd);
    sys!(close, fd).must();
    all
}

/// Makes a pipe: read end, write end.
#[track_caller]
pub fn pipe() -> (i32, i32) {
    let mut ends = [0i32; 2];
    sys!(pipe2, &mut ends, 0).must();
    (ends[0], ends[1])
}

/// Returns a path's attributes.
#[track_caller]
pub fn stat(path: &CStr) -> libc::stat {
    let mut attributes: libc::stat = zeroed();
    sys!(stat, path, &mut attributes).must();
    attributes
}

/// Returns an open file's attributes.
#[track_caller]
pub fn fstat(fd: i32) -> libc::stat {
    let mut attributes: libc::stat = zeroed();
    sys!(fstat, fd, &mut attributes).must();
    attributes
}
