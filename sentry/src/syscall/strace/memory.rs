//! Reading workload memory for a trace: whatever cannot be read is shown as an address.

use linux_abi::Errno;
use linux_abi::fs::PATH_MAX;
use linux_abi::mm::PAGE_SIZE;
use zerocopy::{FromBytes, IntoBytes};

/// Reads workload memory at an address into the buffer and answers how many bytes it got.
pub type ReadMemory<'a> = &'a dyn Fn(u64, &mut [u8]) -> Result<usize, Errno>;

/// A string as far as it was read.
pub(super) struct CString {
    pub bytes: Vec<u8>,
    /// Whether the zero byte was found.
    pub is_complete: bool,
}

/// Reads a structure; `None` if any byte of it is out of reach.
pub(super) fn read<T: FromBytes + IntoBytes>(memory: ReadMemory<'_>, addr: u64) -> Option<T> {
    let mut value = T::new_zeroed();
    let bytes = value.as_mut_bytes();
    let len = bytes.len();
    (memory(addr, bytes) == Ok(len)).then_some(value)
}

/// Reads at most `count` structures, fewer if memory ends; `None` if not even one.
pub(super) fn read_array<T: FromBytes + IntoBytes>(
    memory: ReadMemory<'_>,
    addr: u64,
    count: usize,
) -> Option<Vec<T>> {
    let step = size_of::<T>() as u64;
    let mut values = Vec::new();
    for index in 0..count as u64 {
        match read(memory, addr.wrapping_add(index * step)) {
            Some(value) => values.push(value),
            None => break,
        }
    }
    (count == 0 || !values.is_empty()).then_some(values)
}

/// Reads at most `len` bytes, fewer if memory ends; `None` if not even one.
pub(super) fn read_bytes(memory: ReadMemory<'_>, addr: u64, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        let from = addr.wrapping_add(filled as u64);
        let chunk = (len - filled).min((PAGE_SIZE - from % PAGE_SIZE) as usize);
        match memory(from, &mut bytes[filled..filled + chunk]) {
            Ok(got) if got == chunk => filled += got,
            Ok(got) => {
                filled += got.min(chunk);
                break;
            }
            Err(_) => break,
        }
    }
    bytes.truncate(filled);
    (len == 0 || filled > 0).then_some(bytes)
}

/// Reads a zero-terminated string of at most `PATH_MAX` bytes.
pub(super) fn read_c_string(memory: ReadMemory<'_>, addr: u64) -> Option<CString> {
    const CHUNK: usize = 256;
    let mut bytes = Vec::new();
    while bytes.len() < PATH_MAX {
        let from = addr.wrapping_add(bytes.len() as u64);
        let Some(chunk) = read_bytes(memory, from, CHUNK) else { break };
        if let Some(end) = chunk.iter().position(|byte| *byte == 0) {
            bytes.extend_from_slice(&chunk[..end]);
            return Some(CString { bytes, is_complete: true });
        }
        bytes.extend_from_slice(&chunk);
        if chunk.len() < CHUNK {
            break;
        }
    }
    (!bytes.is_empty()).then_some(CString { bytes, is_complete: false })
}
