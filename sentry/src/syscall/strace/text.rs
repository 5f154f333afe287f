//! Strings and bytes: paths, buffers, argument vectors.

use super::memory::{CString, ReadMemory, read, read_array, read_bytes, read_c_string};
use super::{Arg, ArgKind};
use linux_abi::fs::IoVec;

/// How many bytes of a buffer are shown.
pub(super) const MAX_BYTES: usize = 64;
/// How many elements of an array are shown.
pub(super) const MAX_ELEMENTS: usize = 16;
/// How many strings of an argument vector are shown, and how many of an environment are counted.
const MAX_STRINGS: usize = 32;
const MAX_COUNTED: u64 = 4096;

/// Quotes bytes as C does; what is cut off shows as `...`.
pub(super) fn quote(bytes: &[u8], is_cut: bool) -> String {
    let mut out = String::with_capacity(bytes.len() + 5);
    out.push('"');
    for (index, &byte) in bytes.iter().enumerate() {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x0b => out.push_str("\\v"),
            0x0c => out.push_str("\\f"),
            0x20..=0x7e => out.push(byte as char),
            // A digit that follows must not be read as part of the number.
            _ if bytes.get(index + 1).is_some_and(u8::is_ascii_digit) => {
                out.push_str(&format!("\\{byte:03o}"));
            }
            _ => out.push_str(&format!("\\{byte:o}")),
        }
    }
    out.push('"');
    if is_cut {
        out.push_str("...");
    }
    out
}

/// Quotes `len` bytes of memory, at most [`MAX_BYTES`].
pub(super) fn quote_memory(memory: ReadMemory<'_>, addr: u64, len: u64) -> Option<String> {
    let shown = len.min(MAX_BYTES as u64) as usize;
    let bytes = read_bytes(memory, addr, shown)?;
    let is_cut = (bytes.len() as u64) < len;
    Some(quote(&bytes, is_cut))
}

/// Shows strings, buffers and their arrays.
pub(super) fn text(kind: ArgKind, arg: &Arg<'_>) -> Option<String> {
    let addr = arg.value();
    match kind {
        ArgKind::Path | ArgKind::OutPath => {
            let CString { bytes, is_complete } = read_c_string(arg.memory, addr)?;
            Some(quote(&bytes, !is_complete))
        }
        ArgKind::Str => short_string(arg.memory, addr),
        ArgKind::Buf => quote_memory(arg.memory, addr, arg.next()),
        ArgKind::OutBuf => quote_memory(arg.memory, addr, arg.returned()),
        ArgKind::ArgvArray => argv(arg.memory, addr),
        ArgKind::EnvArray => env(arg.memory, addr),
        ArgKind::IoVec => iovec(arg.memory, addr, arg.next(), u64::MAX),
        ArgKind::OutIoVec => iovec(arg.memory, addr, arg.next(), arg.returned()),
        _ => None,
    }
}

/// A string of which at most [`MAX_BYTES`] are shown.
pub(super) fn short_string(memory: ReadMemory<'_>, addr: u64) -> Option<String> {
    let CString { bytes, is_complete } = read_c_string(memory, addr)?;
    match bytes.get(..MAX_BYTES) {
        Some(start) if bytes.len() > MAX_BYTES => Some(quote(start, true)),
        _ => Some(quote(&bytes, !is_complete)),
    }
}

fn argv(memory: ReadMemory<'_>, addr: u64) -> Option<String> {
    let mut shown = Vec::new();
    for index in 0..=MAX_STRINGS as u64 {
        match read::<u64>(memory, addr.wrapping_add(index * 8)) {
            Some(0) => break,
            Some(_) if index == MAX_STRINGS as u64 => shown.push("...".to_owned()),
            Some(string) => {
                shown.push(short_string(memory, string).unwrap_or_else(|| format!("{string:#x}")))
            }
            None if index == 0 => return None,
            None => {
                shown.push("...".to_owned());
                break;
            }
        }
    }
    Some(format!("[{}]", shown.join(", ")))
}

fn env(memory: ReadMemory<'_>, addr: u64) -> Option<String> {
    let mut count = 0;
    while count < MAX_COUNTED && read::<u64>(memory, addr.wrapping_add(count * 8))? != 0 {
        count += 1;
    }
    let variables = if count == 1 { "var" } else { "vars" };
    Some(format!("{addr:#x} /* {count} {variables} */"))
}

/// Shows the pieces, of whose contents the first `filled` bytes are meaningful.
pub(super) fn iovec(
    memory: ReadMemory<'_>,
    addr: u64,
    count: u64,
    mut filled: u64,
) -> Option<String> {
    let pieces: Vec<IoVec> = read_array(memory, addr, count.min(MAX_ELEMENTS as u64) as usize)?;
    let is_cut = (pieces.len() as u64) < count;
    let shown = pieces.iter().map(|piece| {
        let data = quote_memory(memory, piece.base, piece.len.min(filled));
        filled = filled.saturating_sub(piece.len);
        let data = data.unwrap_or_else(|| format!("{:#x}", piece.base));
        format!("{{iov_base={data}, iov_len={}}}", piece.len)
    });
    Some(array(shown.collect(), is_cut))
}

/// Joins elements into `[a, b]`.
pub(super) fn array(mut elements: Vec<String>, is_cut: bool) -> String {
    if is_cut {
        elements.push("...".to_owned());
    }
    format!("[{}]", elements.join(", "))
}
