//! The lines of `tcp`, `udp` and `unix`: one for each socket that some process has open.
//!
//! Divergence: on Linux sockets that nobody has open any more are there too, such as connections
//! that wait to be accepted, or in `TIME_WAIT`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use linux_abi::net::{
    AF_INET, AF_INET6, AF_UNIX, SO_ACCEPTCONN, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET, TCP_CLOSE,
};

use crate::kernel::Kernel;
use crate::net::{OptionValue, Socket, Summary, socket_of};
use crate::vfs::FileDescription;

/// Length of a line of `tcp` and of `udp` without its end; those for IPv6 have none.
const TCP_WIDTH: usize = 149;
const UDP_WIDTH: usize = 127;

/// An open socket, and what its inode says.
struct Open {
    description: Arc<FileDescription>,
    inode: u64,
    uid: u32,
}

impl Open {
    fn socket(&self) -> Option<&Arc<dyn Socket>> {
        socket_of(&self.description).ok()
    }
}

/// Every socket of a family and type that is open somewhere, by inode number.
fn open_sockets(kernel: &Kernel, domain: i32, kind: Option<i32>) -> Vec<Open> {
    let mut tables = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for task in kernel.tasks.groups().iter().flat_map(|group| group.threads()) {
        let fds = task.fds();
        // Threads share a table.
        if !tables.insert(Arc::as_ptr(&fds)) {
            continue;
        }
        for (_, description) in fds.list() {
            let Ok(socket) = socket_of(&description) else { continue };
            let common = socket.common();
            if common.domain() != domain || kind.is_some_and(|kind| common.kind() != kind) {
                continue;
            }
            let Ok(attributes) = description.attributes() else { continue };
            if seen.insert(attributes.inode) {
                let (inode, uid) = (attributes.inode, attributes.uid);
                found.push(Open { description, inode, uid });
            }
        }
    }
    found.sort_by_key(|open| open.inode);
    found
}

/// Lines of `tcp` or `tcp6`: all but those that were never connected and do not listen.
pub(super) fn tcp(kernel: &Kernel, domain: i32) -> String {
    let mut text = String::new();
    let mut number = 0;
    for open in open_sockets(kernel, domain, Some(SOCK_STREAM)) {
        let Some(socket) = open.socket() else { continue };
        let summary = socket.summary();
        if summary.state == TCP_CLOSE {
            continue;
        }
        let line = format!(
            "{number:4}: {} 1 0000000000000000 100 0 0 10 0",
            inet_columns(&**socket, &summary, &open)
        );
        push_line(&mut text, &line, if domain == AF_INET { TCP_WIDTH } else { 0 });
        number += 1;
    }
    text
}

/// Lines of `udp` or `udp6`: those that are bound.
pub(super) fn udp(kernel: &Kernel, domain: i32) -> String {
    let mut text = String::new();
    for open in open_sockets(kernel, domain, Some(SOCK_DGRAM)) {
        let Some(socket) = open.socket() else { continue };
        let port = socket.local_address().ok().and_then(|address| port(&address));
        let Some(port) = port.filter(|port| *port != 0) else { continue };
        let summary = socket.summary();
        // Linux: the number of the slot in its hash table.
        let line =
            format!("{port:5}: {} 2 0000000000000000 0", inet_columns(&**socket, &summary, &open));
        push_line(&mut text, &line, if domain == AF_INET { UDP_WIDTH } else { 0 });
    }
    text
}

/// Lines of `unix`.
pub(super) fn unix(kernel: &Kernel) -> String {
    /// `SS_UNCONNECTED`, `SS_CONNECTED` and `__SO_ACCEPTCON` of Linux.
    const UNCONNECTED: u8 = 1;
    const CONNECTED: u8 = 3;
    const ACCEPTS: u32 = 1 << 16;
    let mut text = String::new();
    for open in open_sockets(kernel, AF_UNIX, None) {
        let Some(socket) = open.socket() else { continue };
        let is_connected = socket.peer_address().is_ok();
        let accepts = socket.option(SOL_SOCKET, SO_ACCEPTCONN);
        let flags = if matches!(accepts, Ok(OptionValue::Int(1))) { ACCEPTS } else { 0 };
        let (users, state) = if is_connected { (3, CONNECTED) } else { (2, UNCONNECTED) };
        let kind = socket.common().kind();
        let name = socket.local_address().unwrap_or_default();
        let name = unix_name(name.get(2..).unwrap_or_default());
        let _ = writeln!(
            text,
            "0000000000000000: {users:08X} 00000000 {flags:08X} {kind:04X} {state:02X} {:5}{name}",
            open.inode
        );
    }
    text
}

/// What a name looks like: abstract ones begin with `@`, and so do zeros inside of them.
fn unix_name(name: &[u8]) -> String {
    let path = match name {
        [] => return String::new(),
        [0, ..] => name,
        path => path.strip_suffix(b"\0").unwrap_or(path),
    };
    let shown: Vec<u8> = path.iter().map(|&byte| if byte == 0 { b'@' } else { byte }).collect();
    format!(" {}", String::from_utf8_lossy(&shown))
}

fn push_line(text: &mut String, line: &str, width: usize) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line:width$}");
}

/// The columns that TCP and UDP share: addresses, state, queues, owner, inode.
fn inet_columns(socket: &dyn Socket, summary: &Summary, open: &Open) -> String {
    let is_v6 = socket.common().domain() == AF_INET6;
    let local = inet_name(&socket.local_address().unwrap_or_default(), is_v6);
    let remote = inet_name(&socket.peer_address().unwrap_or_default(), is_v6);
    let Summary { state, unsent, unread } = summary;
    format!(
        "{local} {remote} {state:02X} {unsent:08X}:{unread:08X} 00:00000000 00000000 {:5} {:8} {}",
        open.uid, 0, open.inode
    )
}

/// The port of a `struct sockaddr_in` or `sockaddr_in6`.
fn port(address: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*address.get(2..)?.first_chunk()?))
}

/// Address and port as Linux shows them: words in the machine's byte order.
fn inet_name(address: &[u8], is_v6: bool) -> String {
    let (start, words) = if is_v6 { (8, 4) } else { (4, 1) };
    let bytes = address.get(start..).unwrap_or_default();
    let mut text = String::new();
    for index in 0..words {
        let word = bytes.get(index * 4..).and_then(|rest| rest.first_chunk().copied());
        let _ = write!(text, "{:08X}", word.map_or(0, u32::from_ne_bytes));
    }
    let _ = write!(text, ":{:04X}", port(address).unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_look_as_on_linux() {
        let v4 = [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(inet_name(&v4, false), "0100007F:1F90");
        assert_eq!(inet_name(&[], false), "00000000:0000");
        let mut v6 = [0; 28];
        (v6[3], v6[23]) = (80, 1);
        assert_eq!(inet_name(&v6, true), "00000000000000000000000001000000:0050");
        assert_eq!(unix_name(b"\0bus\0x"), " @bus@x");
        assert_eq!(unix_name(b"/run/s\0"), " /run/s");
        assert_eq!(unix_name(b""), "");
    }
}
