//! `/proc/net`: the sockets that are open, as netstat(8) reads them.

use crate::support::prelude::*;
use std::ffi::CStr;

/// The lines of a file, split into columns; none where it has the heading only.
fn rows(path: &CStr) -> Vec<Vec<String>> {
    let text = String::from_utf8(content(path)).unwrap_or_default();
    let columns = |line: &str| line.split_whitespace().map(String::from).collect();
    text.lines().skip(1).map(columns).collect()
}

/// How an address and port of the IPv4 loopback look.
fn shown(port: u16) -> String {
    format!("0100007F:{port:04X}")
}

fn row_of(path: &CStr, fd: i32) -> Option<Vec<String>> {
    let inode = fstat(fd).st_ino.to_string();
    rows(path).into_iter().find(|row| row.contains(&inode))
}

case!(tcp_shows_listeners_and_connections, [socket, listen, connect], {
    let server = socket(AF_INET, SOCK_STREAM);
    check!(row_of(c"/proc/net/tcp", server).is_none(), "not bound");
    if let Err(errno) = sys!(bind, server, &inet(0), 16) {
        skip!("no loopback interface: {errno:?}");
    }
    sys!(listen, server, 5).must();
    let port = port_of(server);
    let row = row_of(c"/proc/net/tcp", server).unwrap_or_default();
    check_eq!(row.len(), 17);
    check_eq!(row[1..4], [shown(port), "00000000:0000".to_owned(), "0A".to_owned()]);
    let client = socket(AF_INET, SOCK_STREAM);
    sys!(connect, client, &inet(port), 16).must();
    let row = row_of(c"/proc/net/tcp", server).unwrap_or_default();
    check_eq!(row[4], "00000000:00000001", "one connection waits");
    let peer = sys!(accept, server, NULL, NULL).must() as i32;
    sys!(write, client, b"12345", 5).must();
    let row = row_of(c"/proc/net/tcp", peer).unwrap_or_default();
    check_eq!(row[1..4], [shown(port), shown(port_of(client)), "01".to_owned()]);
    check_eq!(row[4], "00000000:00000005");
    sys!(shutdown, client, SHUT_WR).must();
    let row = row_of(c"/proc/net/tcp", peer).unwrap_or_default();
    check_eq!(row[3], "08", "CLOSE_WAIT");
    let lines = content(c"/proc/net/tcp");
    check!(lines.split(|&byte| byte == b'\n').all(|line| matches!(line.len(), 0 | 149)));
});

case!(udp_shows_bound_sockets, [socket, bind], {
    let fd = socket(AF_INET, SOCK_DGRAM);
    check!(row_of(c"/proc/net/udp", fd).is_none(), "not bound");
    if let Err(errno) = sys!(bind, fd, &inet(0), 16) {
        skip!("no loopback interface: {errno:?}");
    }
    let row = row_of(c"/proc/net/udp", fd).unwrap_or_default();
    check_eq!(row.len(), 13);
    check_eq!(row[1..4], [shown(port_of(fd)), "00000000:0000".to_owned(), "07".to_owned()]);
    sys!(connect, fd, &inet(9), 16).must();
    let row = row_of(c"/proc/net/udp", fd).unwrap_or_default();
    check_eq!(row[2..4], [shown(9), "01".to_owned()]);
});

case!(unix_shows_names_types_and_states, [socket, bind, listen], {
    let fd = socket(AF_UNIX, SOCK_STREAM);
    let row = row_of(c"/proc/net/unix", fd).unwrap_or_default();
    check_eq!(row[3..6], ["00000000", "0001", "01"].map(String::from));
    let name = unix(b"\0proc-net-case");
    sys!(bind, fd, &name.bytes, name.len).must();
    sys!(listen, fd, 1).must();
    let row = row_of(c"/proc/net/unix", fd).unwrap_or_default();
    check_eq!(row[3..6], ["00010000", "0001", "01"].map(String::from));
    check_eq!(row[7], "@proc-net-case");
    let (one, _other) = socketpair(SOCK_DGRAM);
    let row = row_of(c"/proc/net/unix", one).unwrap_or_default();
    check_eq!(row[4..6], ["0002", "03"].map(String::from));
});
