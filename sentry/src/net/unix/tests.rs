use linux_abi::net::MsgFlags;
use linux_abi::poll::PollEvents;

use super::name::Target;
use super::*;
use crate::memory::{IoDest, IoSource};
use crate::net::{InFlight, READABLE, Received, Rights, SendMessage, Shutdown, WRITABLE};
use crate::vfs::testing::open_nothing;

const ALICE: Ucred = Ucred { pid: 1, uid: 1000, gid: 1000 };
const BOB: Ucred = Ucred { pid: 2, uid: 1001, gid: 1001 };

fn send(socket: &StreamSocket, data: &[u8]) -> Result<usize, Errno> {
    socket.send_as(&mut IoSource::kernel(data), &mut SendMessage::default(), ALICE)
}

fn receive_with(
    socket: &dyn Socket,
    max: usize,
    flags: MsgFlags,
) -> Result<(Vec<u8>, Received), Errno> {
    let mut data = Vec::new();
    let received = socket.receive(&mut IoDest::collect(&mut data, max), flags)?;
    Ok((data, received))
}

fn receive(socket: &dyn Socket, max: usize) -> Result<Vec<u8>, Errno> {
    receive_with(socket, max, MsgFlags::empty()).map(|(data, _)| data)
}

fn with_rights(accounting: &Arc<InFlight>) -> SendMessage<'static> {
    let rights = Rights::new(vec![open_nothing()], accounting, 0, 10).unwrap();
    SendMessage { rights: Some(rights), ..SendMessage::default() }
}

fn listener(kind: i32, backlog: i32) -> (Arc<StreamSocket>, Arc<name::Endpoint>) {
    let socket = StreamSocket::new(kind);
    let names = AbstractNames::default();
    let endpoint = names.bind(b"x".to_vec(), Target::Stream(socket.this.clone())).unwrap();
    *socket.shared.name.lock() = UnixAddress::Abstract(b"x".to_vec());
    socket.listen_as(backlog, BOB).unwrap();
    (socket, endpoint)
}

#[test]
fn stream_bytes_pass_both_ways_and_end() {
    let (one, other) = StreamSocket::pair(SOCK_STREAM, ALICE);
    assert_eq!(receive(&*one, 10), Err(Errno::EAGAIN));
    assert_eq!(send(&one, b"ab"), Ok(2));
    assert_eq!(send(&one, b"cd"), Ok(2));
    assert_eq!(receive(&*other, 3), Ok(b"abc".to_vec()));
    assert_eq!(send(&other, b"x"), Ok(1));
    one.shutdown(Shutdown { read: false, write: true }).unwrap();
    assert_eq!(receive(&*other, 10), Ok(b"d".to_vec()));
    assert_eq!(receive(&*other, 10), Ok(Vec::new()));
    assert_eq!(send(&one, b"x"), Err(Errno::EPIPE));
    assert_eq!(receive(&*one, 10), Ok(b"x".to_vec()));
    let ready = other.readiness();
    assert!(ready.contains(READABLE | WRITABLE | PollEvents::RDHUP), "{ready:?}");
    assert!(!ready.contains(PollEvents::HUP));
}

#[test]
fn close_with_unread_bytes_is_a_reset() {
    let (one, other) = StreamSocket::pair(SOCK_STREAM, ALICE);
    send(&one, b"lost").unwrap();
    send(&other, b"kept").unwrap();
    other.close();
    assert!(one.readiness().contains(PollEvents::HUP | PollEvents::ERR));
    assert_eq!(receive(&*one, 10), Ok(b"kept".to_vec()));
    assert_eq!(receive(&*one, 10), Err(Errno::ECONNRESET));
    assert_eq!(receive(&*one, 10), Ok(Vec::new()));
    assert_eq!(send(&one, b"x"), Err(Errno::EPIPE));
}

#[test]
fn descriptors_end_a_stream_read() {
    let accounting = Arc::new(InFlight::default());
    let (one, other) = StreamSocket::pair(SOCK_STREAM, ALICE);
    send(&one, b"ab").unwrap();
    one.send_as(&mut IoSource::kernel(b"cd"), &mut with_rights(&accounting), ALICE).unwrap();
    send(&one, b"ef").unwrap();
    let (data, peeked) = receive_with(&*other, 10, MsgFlags::PEEK).unwrap();
    assert_eq!((data.as_slice(), peeked.control.files.len()), (&b"abcd"[..], 1));
    let (data, received) = receive_with(&*other, 3, MsgFlags::empty()).unwrap();
    assert_eq!((data.as_slice(), received.control.files.len()), (&b"abc"[..], 1));
    let (data, received) = receive_with(&*other, 10, MsgFlags::empty()).unwrap();
    assert_eq!((data.as_slice(), received.control.files.len()), (&b"def"[..], 0));
}

#[test]
fn a_full_stream_waits_and_keeps_its_descriptors() {
    let accounting = Arc::new(InFlight::default());
    let (one, other) = StreamSocket::pair(SOCK_STREAM, ALICE);
    let big = vec![1; 300_000];
    assert_eq!(send(&one, &big), Ok(212_992));
    assert!(!one.readiness().contains(WRITABLE));
    let mut message = with_rights(&accounting);
    let again = one.send_as(&mut IoSource::kernel(b"x"), &mut message, ALICE);
    assert_eq!(again, Err(Errno::EAGAIN));
    assert!(message.rights.is_some());
    assert_eq!(receive(&*other, 160_000).unwrap().len(), 160_000);
    assert!(one.readiness().contains(WRITABLE));
}

#[test]
fn seqpacket_keeps_messages() {
    let (one, other) = StreamSocket::pair(SOCK_SEQPACKET, ALICE);
    send(&one, b"hello").unwrap();
    send(&one, b"").unwrap();
    send(&one, b"world").unwrap();
    let (data, received) = receive_with(&*other, 3, MsgFlags::empty()).unwrap();
    assert_eq!(data, b"hel");
    assert_eq!((received.full_len, received.flags), (5, MsgFlags::TRUNC));
    assert_eq!(receive(&*other, 10), Ok(Vec::new()));
    assert_eq!(receive(&*other, 10), Ok(b"world".to_vec()));
    assert_eq!(send(&one, &vec![0; 212_992]), Err(Errno::EMSGSIZE));
}

#[test]
fn connections_wait_in_the_backlog() {
    let (server, _endpoint) = listener(SOCK_STREAM, 0);
    let client = StreamSocket::new(SOCK_STREAM);
    assert_eq!(send(&client, b"x"), Err(Errno::ENOTCONN));
    client.connect_to(&server, ALICE).unwrap();
    assert_eq!(client.connect_to(&server, ALICE), Err(Errno::EISCONN));
    assert_eq!(send(&client, b"early"), Ok(5));
    let second = StreamSocket::new(SOCK_STREAM);
    assert_eq!(second.connect_to(&server, ALICE), Err(Errno::EAGAIN));
    assert!(server.readiness().contains(READABLE));
    let accepted = server.accept_pending().unwrap();
    assert_eq!(server.accept_pending().err(), Some(Errno::EAGAIN));
    assert_eq!(receive(&*accepted, 10), Ok(b"early".to_vec()));
    assert_eq!(second.connect_to(&server, ALICE), Ok(()));
    let peer = |socket: &StreamSocket| socket.option(SOL_SOCKET, SO_PEERCRED).unwrap();
    assert_eq!(peer(&accepted), OptionValue::of(&ALICE));
    assert_eq!(peer(&client), OptionValue::of(&BOB));
    assert_eq!(accepted.local_address(), server.local_address());
    assert_eq!(client.peer_address(), server.local_address());
}

#[test]
fn a_closed_listener_resets_and_refuses() {
    let (server, endpoint) = listener(SOCK_STREAM, 5);
    let client = StreamSocket::new(SOCK_STREAM);
    client.connect_to(&server, ALICE).unwrap();
    server.close();
    assert_eq!(receive(&*client, 10), Err(Errno::ECONNRESET));
    let late = StreamSocket::new(SOCK_STREAM);
    assert_eq!(late.connect_to(&server, ALICE), Err(Errno::ECONNREFUSED));
    drop(server);
    assert!(endpoint.stream().is_none());
}

#[test]
fn credentials_are_shown_to_who_asks() {
    let (one, other) = StreamSocket::pair(SOCK_STREAM, ALICE);
    send(&one, b"a").unwrap();
    other.common().set_passes_credentials(true);
    send(&one, b"b").unwrap();
    let nobody = Ucred { pid: 0, uid: NOBODY, gid: NOBODY };
    let (data, received) = receive_with(&*other, 10, MsgFlags::empty()).unwrap();
    assert_eq!((data.as_slice(), received.control.credentials), (&b"a"[..], Some(nobody)));
    let (data, received) = receive_with(&*other, 10, MsgFlags::empty()).unwrap();
    assert_eq!((data.as_slice(), received.control.credentials), (&b"b"[..], Some(ALICE)));
}

fn send_datagram(
    from: &DatagramSocket,
    to: &Arc<DatagramSocket>,
    data: &[u8],
) -> Result<usize, Errno> {
    from.send_to(to, &mut IoSource::kernel(data), &mut SendMessage::default(), ALICE)
}

#[test]
fn datagrams_keep_their_bounds_and_fill_the_inbox() {
    let (from, to) = (DatagramSocket::new(), DatagramSocket::new());
    for _ in 0..=10 {
        assert_eq!(send_datagram(&from, &to, b"hello"), Ok(5));
    }
    assert_eq!(send_datagram(&from, &to, b"x"), Err(Errno::EAGAIN));
    let (data, received) = receive_with(&*to, 2, MsgFlags::PEEK).unwrap();
    assert_eq!((data.as_slice(), received.full_len), (&b"he"[..], 5));
    assert_eq!(receive(&*to, 10), Ok(b"hello".to_vec()));
    assert_eq!(send_datagram(&from, &to, b"x"), Ok(1));
    assert_eq!(send_datagram(&from, &to, &vec![0; 212_961]), Err(Errno::EMSGSIZE));
}

#[test]
fn a_connected_datagram_socket_hears_its_peer_only() {
    let (one, other) = DatagramSocket::pair(ALICE);
    let stranger = DatagramSocket::new();
    assert_eq!(send_datagram(&stranger, &one, b"x"), Err(Errno::EPERM));
    assert_eq!(send_datagram(&other, &one, b"x"), Ok(1));
    one.close();
    assert_eq!(send_datagram(&other, &one, b"x"), Err(Errno::ECONNREFUSED));
    let third = DatagramSocket::new();
    assert_eq!(stranger.set_peer(Some(&third)), Ok(()));
    third.set_peer(Some(&stranger)).unwrap();
    send_datagram(&stranger, &third, b"lost").unwrap();
    third.set_peer(None).unwrap();
    assert_eq!(receive(&*third, 10), Err(Errno::EAGAIN));
    assert_eq!(receive(&*stranger, 10), Err(Errno::ECONNRESET));
}

#[test]
fn abstract_names_are_free_again_when_their_socket_is_gone() {
    let names = AbstractNames::default();
    let socket = DatagramSocket::new();
    let target = || Target::Datagram(Arc::downgrade(&socket));
    let endpoint = names.bind(b"n".to_vec(), target()).unwrap();
    assert_eq!(names.bind(b"n".to_vec(), target()).err(), Some(Errno::EADDRINUSE));
    assert!(names.find(b"n").unwrap().datagram().is_some());
    drop(endpoint);
    assert_eq!(names.find(b"n").err(), Some(Errno::ECONNREFUSED));
    assert!(names.bind(b"n".to_vec(), target()).is_ok());
    let (_first, name) = names.bind_automatic(target()).unwrap();
    assert_eq!(name, b"00000");
}

#[test]
fn long_chains_of_sockets_in_flight_close_without_recursion() {
    let accounting = Arc::new(InFlight::default());
    let mut carried = open_nothing();
    for _ in 0..20_000 {
        let (one, other) = StreamSocket::pair(SOCK_STREAM, ALICE);
        let rights = Rights::new(vec![carried], &accounting, 0, u64::MAX).unwrap();
        let mut message = SendMessage { rights: Some(rights), ..SendMessage::default() };
        one.send_as(&mut IoSource::kernel(b"x"), &mut message, ALICE).unwrap();
        let file = crate::net::SocketFile::new(other);
        carried = crate::vfs::testing::open(Box::new(file));
    }
    drop(carried);
    assert!(Rights::new(Vec::new(), &accounting, 0, 0).is_ok());
}
