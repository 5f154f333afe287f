//! The sentry's side of a connection.
//!
//! [`Client`] sends one request at a time and waits for its response, so a call may block for as
//! long as the host's file system does. It is `Send` and `Sync`; callers queue on a lock. Lock
//! order: `channel`, then `released` (held for moments only).
//!
//! A *quiet* request is not waited for: its sender goes on as if it had been successful, which is for
//! changes that nothing should prevent. The gofer serves it before any later request, and tells of a
//! failure with the next response ([`Client::take_quiet_error`]). They are gathered for a fifth of a
//! second (`gather`), and only requests that have to do with them are sent behind them at once.
//!
//! Any method returns EIO if the gofer is gone or has answered nonsense, ESTALE for a node that it
//! does not know, EINVAL for a name that is not one path component, and the host's own error.

pub mod reply;
pub mod request;

mod ahead;
mod attributes;
mod change;
mod entries;
mod gather;
mod pending;
mod survey;
mod walk;
mod watch;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use linux_abi::Errno;
use parking_lot::{Condvar, Mutex};

pub use ahead::Unnamed;
pub use pending::Unlinked;

use crate::client::ahead::Ahead;
use crate::client::gather::Gathered;
use crate::client::pending::Scope;
use crate::client::reply::RootInfo;
use crate::client::request::Target;
use crate::client::watch::Watch;
use crate::message::{
    HelloReply, HelloRequest, NodesRequest, Op, RequestHeader, ResponseHeader, TargetRequest,
};
use crate::name::NodeId;
use crate::wire::{Reader, Writer};
use crate::{MAX_MESSAGE_BYTES, VERSION, transport};

/// Nodes that wait for release before a message goes out.
const RELEASE_BATCH: usize = 64;

/// Most quiet requests that may be under way, or waiting, without an answer to another.
const QUIET_MAX: u64 = 8192;

/// A connection to a gofer: one tree of host files.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    released: Mutex<Vec<Released>>,
    root: RootInfo,
    /// How many quiet requests were told, and how many of them are known to be served.
    quiet_told: AtomicU64,
    quiet_served: AtomicU64,
    /// How many nodes were named by us.
    chosen_nodes: AtomicU64,
    /// Number of the error of one that failed, or zero.
    quiet_error: AtomicU32,
}

/// A node that is to be given back.
#[derive(Clone, Copy, Debug)]
struct Released {
    node: NodeId,
    /// Whether nobody will meet its file again: it has no name any more.
    is_gone: bool,
}

/// What the thread that sends gathered requests needs.
#[derive(Debug)]
struct Shared {
    socket: OwnedFd,
    channel: Mutex<Channel>,
    /// Notified when requests begin to be gathered, or the client is gone.
    begins: Condvar,
    at_rest: OnceLock<AtRest>,
}

/// What is done when no quiet request has waited for a while.
struct AtRest(Box<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for AtRest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AtRest")
    }
}

#[derive(Debug)]
struct Channel {
    request: Writer,
    response: Box<[u8]>,
    gathered: Gathered,
    watch: Watch,
    ahead: Ahead,
}

impl Client {
    /// Starts to use a connection.
    ///
    /// # Errors
    /// ENOTSOCK or EPROTOTYPE for a descriptor that is no such socket, EPROTO for a gofer of
    /// another version, EIO if there is none.
    pub fn new(socket: OwnedFd) -> Result<Client, Errno> {
        transport::check_socket(&socket)?;
        let channel = Channel {
            request: Writer::default(),
            response: vec![0; MAX_MESSAGE_BYTES].into(),
            gathered: Gathered::default(),
            watch: Watch::default(),
            ahead: Ahead::default(),
        };
        let (channel, begins) = (Mutex::new(channel), Condvar::new());
        let shared = Shared { socket, channel, begins, at_rest: OnceLock::new() };
        let unknown = RootInfo { attr: Default::default(), is_readonly: true, max_nodes: 0 };
        let mut client = Client {
            shared: Arc::new(shared),
            released: Mutex::new(Vec::with_capacity(RELEASE_BATCH)),
            root: unknown,
            quiet_told: AtomicU64::new(0),
            quiet_served: AtomicU64::new(0),
            chosen_nodes: AtomicU64::new(1),
            quiet_error: AtomicU32::new(0),
        };
        let hello: HelloReply = client.call(
            Op::Hello,
            |request| {
                request.fixed(&HelloRequest { version: VERSION, reserved: 0 });
                Ok(())
            },
            |response, _| response.fixed(),
        )?;
        if hello.version != VERSION {
            return Err(Errno::EPROTO);
        }
        client.root = RootInfo {
            attr: hello.attr,
            is_readonly: hello.is_readonly != 0,
            max_nodes: hello.max_nodes,
        };
        Ok(client)
    }

    /// What the connection serves.
    pub fn root(&self) -> &RootInfo {
        &self.root
    }

    /// Has `act` called by a thread of the client's when no quiet request has waited for a second, but
    /// some did before. Only the first call of this does anything.
    pub fn when_at_rest(&self, act: impl Fn() + Send + Sync + 'static) {
        let _ = self.shared.at_rest.set(AtRest(Box::new(act)));
    }

    /// Gives a node back. The gofer learns of it with others, later; see
    /// [`Client::flush_releases`].
    pub fn release(&self, node: NodeId) {
        self.give_back(node, false);
    }

    /// The same of a file that has no name any more: all were removed, quietly perhaps.
    pub fn release_gone(&self, node: NodeId) {
        self.give_back(node, true);
    }

    fn give_back(&self, node: NodeId, is_gone: bool) {
        if node == NodeId::ROOT {
            return;
        }
        let mut released = self.released.lock();
        released.push(Released { node, is_gone });
        if released.len() >= RELEASE_BATCH {
            let nodes = std::mem::take(&mut *released);
            drop(released);
            self.send_releases(&nodes);
        }
    }

    /// Tells the gofer of all released nodes now: worth it after ENFILE.
    pub fn flush_releases(&self) {
        let nodes = std::mem::take(&mut *self.released.lock());
        self.send_releases(&nodes);
    }

    /// Tells the gofer that the sandbox has started.
    pub fn settle(&self) {
        let mut message = Writer::default();
        message.fixed(&RequestHeader { op: Op::Settle as u32, ..RequestHeader::default() });
        // An error means that the gofer is gone.
        let _ = transport::send(self.shared.socket.as_fd(), message.as_bytes(), &[]);
    }

    /// Sends release messages, behind the quiet requests that may name the nodes. An error means
    /// that the gofer is gone, and its nodes with it.
    fn send_releases(&self, nodes: &[Released]) {
        let channel = &mut *self.shared.channel.lock();
        let pending = &channel.gathered.pending;
        // The same files may be met under other numbers from now on.
        if nodes.iter().any(|released| !released.is_gone && pending.needs(released.node)) {
            let _ = self.shared.send_pending(&mut channel.gathered, u64::MAX);
        }
        let told = self.quiet_told.load(Ordering::Relaxed);
        for nodes in nodes.chunks(crate::MAX_RELEASE_NODES) {
            let request = &mut channel.request;
            request.clear();
            request.fixed(&RequestHeader { op: Op::Release as u32, ..RequestHeader::default() });
            write_nodes(request, nodes.iter().map(|released| released.node));
            let _ = match channel.gathered.pending.is_empty() {
                true => self.shared.send(channel, Scope::Nothing),
                false => Shared::gather(&self.shared, channel, told),
            };
        }
    }

    /// A number that tells which quiet requests were sent by now.
    pub fn quiet_mark(&self) -> u64 {
        self.quiet_told.load(Ordering::Acquire)
    }

    /// Whether those that were sent at this mark are known to be served.
    pub fn is_served(&self, quiet_mark: u64) -> bool {
        self.quiet_served.load(Ordering::Acquire) >= quiet_mark
    }

    /// Waits until all quiet requests are served.
    pub fn await_quiet(&self) {
        if !self.is_served(self.quiet_mark()) {
            self.await_all();
        }
    }

    /// Waits until all requests are served, those too that have no answer.
    pub fn await_all(&self) {
        // An error means that the gofer is gone.
        let _ = self.call_target(Op::GetAttr, NodeId::ROOT.into(), |_, _| Ok(()));
    }

    /// Ends the connection; requests fail from now on. The gofer closes all its nodes, and ends with its
    /// last connection.
    pub fn end(&self) {
        self.shared.close();
        let _ = rustix::net::shutdown(&self.shared.socket, rustix::net::Shutdown::Both);
    }

    /// The error of a quiet request that failed, told once.
    pub fn take_quiet_error(&self) -> Option<Errno> {
        match self.quiet_error.load(Ordering::Relaxed) {
            0 => None,
            _ => optional_error(self.quiet_error.swap(0, Ordering::Relaxed)),
        }
    }

    /// Sends a quiet request that `write` completes; waits for it like [`Client::call`] if there are
    /// too many under way.
    fn tell(
        &self,
        op: Op,
        write: impl FnOnce(&mut Writer) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        self.on_channel(|channel| self.tell_on(channel, op, write))
    }

    fn tell_on(
        &self,
        channel: &mut Channel,
        op: Op,
        write: impl FnOnce(&mut Writer) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let told = self.quiet_told.load(Ordering::Relaxed);
        if told - self.quiet_served.load(Ordering::Relaxed) >= QUIET_MAX {
            return self.call_on(channel, Scope::All, op, write, |_, _| Ok(()));
        }
        channel.request.clear();
        let header = RequestHeader { op: op as u32, is_quiet: 1, ..RequestHeader::default() };
        channel.request.fixed(&header);
        write(&mut channel.request)?;
        // Before it is sent, so that nobody takes it for served who sees what it has done.
        self.quiet_told.store(told + 1, Ordering::Release);
        Shared::gather(&self.shared, channel, told + 1)
    }

    /// Sends a request that `write` completes and has `read` take the response apart.
    fn call<T>(
        &self,
        op: Op,
        write: impl FnOnce(&mut Writer) -> Result<(), Errno>,
        read: impl FnOnce(&mut Reader<'_>, Vec<OwnedFd>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.call_apart(Scope::All, op, write, read)
    }

    /// The same for a request that has to do with no more than `scope` tells.
    fn call_apart<T>(
        &self,
        scope: Scope<'_>,
        op: Op,
        write: impl FnOnce(&mut Writer) -> Result<(), Errno>,
        read: impl FnOnce(&mut Reader<'_>, Vec<OwnedFd>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.on_channel(|channel| self.call_on(channel, scope, op, write, read))
    }

    fn call_on<T>(
        &self,
        channel: &mut Channel,
        scope: Scope<'_>,
        op: Op,
        write: impl FnOnce(&mut Writer) -> Result<(), Errno>,
        read: impl FnOnce(&mut Reader<'_>, Vec<OwnedFd>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        channel.request.clear();
        let processor = current_processor();
        let header = RequestHeader { op: op as u32, processor, ..RequestHeader::default() };
        channel.request.fixed(&header);
        write(&mut channel.request)?;
        if channel.request.len() > MAX_MESSAGE_BYTES {
            return Err(Errno::E2BIG);
        }
        self.shared.send(channel, scope)?;
        let sent = channel.gathered.pending.sent(self.quiet_told.load(Ordering::Relaxed));
        self.receive_awaited(channel, processor);
        self.receive(channel, processor, sent, read)
    }

    /// Receives a response, by which the first `sent` quiet requests are served.
    fn receive<T>(
        &self,
        channel: &mut Channel,
        processor: u32,
        sent: u64,
        read: impl FnOnce(&mut Reader<'_>, Vec<OwnedFd>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let socket = self.shared.socket.as_fd();
        let (len, fds) = match channel.watch.receive(socket, &mut channel.response, processor) {
            Ok((0, _)) => return Err(Errno::EIO),
            Ok(received) => received,
            // The descriptor limit of this process, not the gofer's fault.
            Err(Errno::EMFILE) => return Err(Errno::EMFILE),
            Err(_) => return Err(Errno::EIO),
        };
        let mut response = Reader::new(&channel.response[..len]);
        let header: ResponseHeader = response.fixed().map_err(|_| Errno::EIO)?;
        channel.watch.note_gofer(header.processor);
        self.quiet_served.store(sent, Ordering::Release);
        if header.quiet_error != 0 {
            self.quiet_error.store(header.quiet_error, Ordering::Relaxed);
        }
        if header.error != 0 {
            return Err(from_wire(header.error));
        }
        // A response that cannot be read is the gofer's fault, not the caller's.
        read(&mut response, fds).map_err(|_| Errno::EIO)
    }

    /// A call whose request is a target only.
    fn call_target<T>(
        &self,
        op: Op,
        target: Target<'_>,
        read: impl FnOnce(&mut Reader<'_>, Vec<OwnedFd>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.call(op, |request| write_target(request, target), read)
    }

    /// The same for a call that only looks at the target.
    fn ask_target<T>(
        &self,
        op: Op,
        target: Target<'_>,
        read: impl FnOnce(&mut Reader<'_>, Vec<OwnedFd>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let scope = if op == Op::StatFs { Scope::Space } else { Scope::Node(target.node) };
        self.call_apart(scope, op, |request| write_target(request, target), read)
    }
}

/// Completes a request that is a target only.
fn write_target(request: &mut Writer, target: Target<'_>) -> Result<(), Errno> {
    request.fixed(&TargetRequest { node: target.node.raw() });
    request.short_bytes(target.name)
}

fn write_nodes(request: &mut Writer, nodes: impl ExactSizeIterator<Item = NodeId>) {
    request.fixed(&NodesRequest { count: nodes.len() as u32, reserved: 0 });
    nodes.for_each(|node| request.fixed(&node.raw()));
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end();
    }
}

/// The processor of the calling thread, counted from one.
fn current_processor() -> u32 {
    rustix::thread::sched_getcpu() as u32 + 1
}

/// The error with this number on the wire.
fn from_wire(raw: u32) -> Errno {
    Errno::from_raw(i32::try_from(raw).unwrap_or(0))
}

/// The error with this number on the wire, where zero means none.
fn optional_error(raw: u32) -> Option<Errno> {
    (raw != 0).then(|| from_wire(raw))
}
