use std::net::IpAddr;

use linux_abi::net::{AF_INET, MsgFlags};
use linux_abi::poll::PollEvents;

use super::*;
use crate::memory::{IoDest, IoSource};
use crate::net::{READABLE, Shutdown, Socket};
use crate::task::Credentials;

struct Net(Arc<Ports<TcpSocket>>);

impl Net {
    fn new() -> Net {
        Net(Ports::new(false))
    }

    fn socket(&self) -> Arc<TcpSocket> {
        TcpSocket::new(AF_INET, self.0.clone())
    }

    fn listener(&self, backlog: i32) -> (Arc<TcpSocket>, Endpoint) {
        let socket = self.socket();
        let any = Endpoint::new(localhost(), 0);
        socket.bind_to(any, &Credentials::root()).unwrap();
        socket.listen_as(backlog, 0).unwrap();
        let address = socket.local();
        (socket, address)
    }

    fn connected(&self) -> (Arc<TcpSocket>, Arc<TcpSocket>) {
        let (server, address) = self.listener(1);
        let client = self.socket();
        connect(&client, address).unwrap();
        let accepted = server.accept_pending().unwrap();
        (client, accepted)
    }
}

fn localhost() -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)
}

/// As a blocking connect that would not have to wait for long.
fn connect(client: &Arc<TcpSocket>, address: Endpoint) -> Result<(), Errno> {
    match client.connect_to(address, 0) {
        Err(Errno::EAGAIN) => client.connect_to(address, 0),
        result => result,
    }
}

fn send(socket: &TcpSocket, data: &[u8]) -> Result<usize, Errno> {
    socket.send_bytes(&mut IoSource::kernel(data), MsgFlags::empty())
}

fn receive_with(socket: &TcpSocket, max: usize, flags: MsgFlags) -> Result<String, Errno> {
    let mut data = Vec::new();
    socket.receive_bytes(&mut IoDest::collect(&mut data, max), flags)?;
    Ok(String::from_utf8(data).unwrap())
}

fn receive(socket: &TcpSocket, max: usize) -> Result<String, Errno> {
    receive_with(socket, max, MsgFlags::empty())
}

#[test]
fn bytes_pass_and_names_match() {
    let net = Net::new();
    let (client, server) = net.connected();
    assert_eq!(client.local_address(), server.peer_address());
    assert_eq!(client.peer_address(), server.local_address());
    assert_eq!(send(&client, b"hello"), Ok(5));
    assert_eq!(receive_with(&server, 3, MsgFlags::PEEK), Ok("hel".to_owned()));
    assert_eq!(receive(&server, 10), Ok("hello".to_owned()));
    assert_eq!(receive(&server, 10), Err(Errno::EAGAIN));
}

#[test]
fn nobody_listening_refuses() {
    let net = Net::new();
    let client = net.socket();
    let nowhere = Endpoint::new(localhost(), 9);
    assert_eq!(client.connect_to(nowhere, 0), Err(Errno::EAGAIN));
    assert!(client.readiness().contains(PollEvents::ERR | PollEvents::HUP));
    assert_eq!(client.connect_to(nowhere, 0), Err(Errno::ECONNREFUSED));
    assert_eq!(client.readiness(), PollEvents::OUT | PollEvents::WRNORM | PollEvents::HUP);
}

#[test]
fn a_full_backlog_makes_clients_wait() {
    let net = Net::new();
    let (server, address) = net.listener(0);
    let clients: Vec<_> = (0..2).map(|_| net.socket()).collect();
    assert_eq!(connect(&clients[0], address), Ok(()));
    assert_eq!(connect(&clients[1], address), Err(Errno::EAGAIN));
    assert_eq!(clients[1].connect_in_progress(), Errno::EINPROGRESS);
    assert_eq!(clients[1].connect_in_progress(), Errno::EALREADY);
    assert_eq!(clients[1].readiness(), PollEvents::empty());
    server.accept_pending().unwrap();
    assert!(clients[1].readiness().contains(PollEvents::OUT));
    assert_eq!(connect(&clients[1], address), Ok(()));
    assert_eq!(connect(&clients[1], address), Err(Errno::EISCONN));
}

#[test]
fn half_close_and_end() {
    let net = Net::new();
    let (client, server) = net.connected();
    send(&client, b"bye").unwrap();
    client.shutdown(Shutdown { read: false, write: true }).unwrap();
    assert_eq!(send(&client, b"x"), Err(Errno::EPIPE));
    assert_eq!(receive(&server, 10), Ok("bye".to_owned()));
    assert_eq!(receive(&server, 10), Ok(String::new()));
    assert!(server.readiness().contains(READABLE | PollEvents::RDHUP));
    assert!(!server.readiness().contains(PollEvents::HUP));
    assert_eq!(send(&server, b"late"), Ok(4));
    assert_eq!(receive(&client, 10), Ok("late".to_owned()));
    server.close();
    assert!(client.readiness().contains(PollEvents::HUP));
}

#[test]
fn unread_bytes_or_linger_reset() {
    let net = Net::new();
    let (client, server) = net.connected();
    send(&client, b"unread").unwrap();
    server.close();
    assert_eq!(receive(&client, 10), Err(Errno::ECONNRESET));
    assert_eq!(receive(&client, 10), Ok(String::new()));
    assert_eq!(send(&client, b"x"), Err(Errno::EPIPE));
}

#[test]
fn writing_to_a_closed_peer_fails_the_second_time() {
    let net = Net::new();
    let (client, server) = net.connected();
    server.close();
    assert_eq!(send(&client, b"x"), Ok(1));
    assert_eq!(send(&client, b"x"), Err(Errno::EPIPE));
    assert_eq!(receive(&client, 10), Ok(String::new()));
}

#[test]
fn buffers_fill_and_drain() {
    let net = Net::new();
    let (client, server) = net.connected();
    let big = vec![b'x'; 1 << 20];
    let sent = send(&client, &big).unwrap();
    assert_eq!(sent, GROWN_SEND_BUFFER + BUFFERS.receive);
    assert_eq!(send(&client, b"x"), Err(Errno::EAGAIN));
    assert!(!client.readiness().contains(PollEvents::OUT));
    assert_eq!(receive(&server, sent).unwrap().len(), sent);
    assert!(client.readiness().contains(PollEvents::OUT));
}

#[test]
fn urgent_data_is_out_of_band() {
    let net = Net::new();
    let (client, server) = net.connected();
    let mut source = IoSource::kernel(b"abX");
    client.send_bytes(&mut source, MsgFlags::OOB).unwrap();
    send(&client, b"cd").unwrap();
    assert!(server.readiness().contains(PollEvents::PRI));
    assert_eq!(receive(&server, 10), Ok("ab".to_owned()));
    assert_eq!(receive_with(&server, 1, MsgFlags::OOB), Ok("X".to_owned()));
    assert_eq!(receive_with(&server, 1, MsgFlags::OOB), Err(Errno::EINVAL));
    assert_eq!(receive(&server, 10), Ok("cd".to_owned()));
}

#[test]
fn closing_a_listener_resets_and_refuses() {
    let net = Net::new();
    let (server, address) = net.listener(0);
    let (pending, waiting) = (net.socket(), net.socket());
    connect(&pending, address).unwrap();
    assert_eq!(connect(&waiting, address), Err(Errno::EAGAIN));
    server.close();
    assert_eq!(receive(&pending, 10), Err(Errno::ECONNRESET));
    assert_eq!(connect(&waiting, address), Err(Errno::ECONNREFUSED));
    let (_again, _) = net.listener(0);
    let rebound = net.socket();
    assert_eq!(rebound.bind_to(address, &Credentials::root()), Ok(()));
}
