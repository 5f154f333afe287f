use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use linux_abi::Errno;
use linux_abi::net::{AF_INET, AF_INET6, MsgFlags, SO_REUSEADDR};
use linux_abi::poll::PollEvents;

use super::send::PacketOptions;
use super::*;
use crate::memory::{IoDest, IoSource};
use crate::net::{Socket, inet::address::parse};
use crate::task::Credentials;

fn bound(ports: &Arc<Ports<UdpSocket>>) -> (Arc<UdpSocket>, Endpoint) {
    let socket = UdpSocket::new(AF_INET, ports.clone());
    let any = Endpoint::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    socket.bind_to(any, &Credentials::root()).unwrap();
    let address = socket.state.lock().local;
    (socket, address)
}

fn send(socket: &UdpSocket, to: Option<Endpoint>, data: &[u8]) -> Result<usize, Errno> {
    socket.send_to(to, &mut IoSource::kernel(data), PacketOptions::default(), 0)
}

fn receive(socket: &UdpSocket, flags: MsgFlags) -> Result<(String, Endpoint), Errno> {
    let mut data = Vec::new();
    let received = socket.receive(&mut IoDest::collect(&mut data, 100), flags)?;
    let source = parse(socket.domain(), &received.source)?;
    Ok((String::from_utf8(data).unwrap(), source))
}

#[test]
fn datagrams_carry_their_sender() {
    let ports = Ports::new(true);
    let ((one, address), (other, target)) = (bound(&ports), bound(&ports));
    assert_eq!(send(&one, Some(target), b"hi"), Ok(2));
    assert!(other.readiness().contains(PollEvents::IN));
    let expected = ("hi".to_owned(), address);
    assert_eq!(receive(&other, MsgFlags::PEEK), Ok(expected.clone()));
    assert_eq!(receive(&other, MsgFlags::empty()), Ok(expected));
    assert_eq!(receive(&other, MsgFlags::empty()), Err(Errno::EAGAIN));
    assert_eq!(send(&one, None, b"hi"), Err(Errno::EDESTADDRREQ));
    assert_eq!(send(&one, Some(target), &[0; 65508]), Err(Errno::EMSGSIZE));
}

#[test]
fn connected_sockets_filter_and_hear_refusals() {
    let ports = Ports::new(true);
    let ((one, address), (other, target)) = (bound(&ports), bound(&ports));
    other.connect_to(address, 0).unwrap();
    let (stranger, _) = bound(&ports);
    send(&stranger, Some(target), b"x").unwrap();
    assert_eq!(receive(&other, MsgFlags::empty()), Err(Errno::EAGAIN));
    send(&one, Some(target), b"y").unwrap();
    assert_eq!(receive(&other, MsgFlags::empty()).map(|(data, _)| data), Ok("y".to_owned()));
    one.close();
    assert_eq!(send(&other, None, b"z"), Ok(1));
    assert_eq!(receive(&other, MsgFlags::empty()), Err(Errno::ECONNREFUSED));
    assert_eq!(send(&stranger, Some(address), b"z"), Ok(1));
    assert_eq!(receive(&stranger, MsgFlags::empty()), Err(Errno::EAGAIN));
}

#[test]
fn a_full_inbox_loses_datagrams() {
    let ports = Ports::new(true);
    let ((one, _), (other, target)) = (bound(&ports), bound(&ports));
    for _ in 0..1000 {
        assert_eq!(send(&one, Some(target), &[b'x'; 1000]), Ok(1000));
    }
    let mut count = 0;
    while receive(&other, MsgFlags::empty()).is_ok() {
        count += 1;
    }
    assert_eq!(count, 212_992 / (1000 + OVERHEAD));
}

#[test]
fn dual_stack_sockets_see_mapped_senders() {
    let ports = Ports::new(true);
    let six = UdpSocket::new(AF_INET6, ports.clone());
    let any = Endpoint::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
    six.bind_to(any, &Credentials::root()).unwrap();
    let port = six.state.lock().local.port;
    let (four, address) = bound(&ports);
    let target = Endpoint::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    send(&four, Some(target), b"mapped").unwrap();
    assert_eq!(receive(&six, MsgFlags::empty()), Ok(("mapped".to_owned(), address)));
}

#[test]
fn the_socket_bound_last_gets_what_a_shared_port_is_sent() {
    let ports = Ports::new(true);
    let (first, address) = {
        let socket = UdpSocket::new(AF_INET, ports.clone());
        reuse(&socket);
        let any = Endpoint::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        socket.bind_to(any, &Credentials::root()).unwrap();
        let address = socket.state.lock().local;
        (socket, address)
    };
    let second = UdpSocket::new(AF_INET, ports.clone());
    assert_eq!(second.bind_to(address, &Credentials::root()), Err(Errno::EADDRINUSE));
    reuse(&second);
    second.bind_to(address, &Credentials::root()).unwrap();
    let (sender, _) = bound(&ports);
    send(&sender, Some(address), b"x").unwrap();
    assert!(receive(&second, MsgFlags::empty()).is_ok());
    assert_eq!(receive(&first, MsgFlags::empty()), Err(Errno::EAGAIN));
}

fn reuse(socket: &UdpSocket) {
    let on = 1_i32.to_ne_bytes();
    socket.common.set_option(SO_REUSEADDR, &on, &Credentials::root()).unwrap().unwrap();
}
