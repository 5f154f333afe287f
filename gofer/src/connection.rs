//! A connection: receives a request, has it served by [`crate::ops`], sends the response.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use gofer_protocol::message::{Op, RequestHeader, ResponseHeader};
use gofer_protocol::wire::{Reader, Writer};
use gofer_protocol::{MAX_MESSAGE_BYTES, Name, transport};
use linux_abi::Errno;

use crate::error::Error;
use crate::handle::{Handle, Resolution};
use crate::host::ProcDir;
use crate::nodes::Nodes;
use crate::ops::Streams;
use crate::placement::{Placement, current_processor};
use crate::serve::Export;

/// The state of a connection, used by its thread only.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    pub(crate) is_readonly: bool,
    pub(crate) resolution: Resolution,
    pub(crate) proc_dir: ProcDir,
    pub(crate) nodes: Nodes,
    pub(crate) streams: Streams,
    /// The response under construction; its header is filled in last.
    pub(crate) response: Writer,
    placement: Placement,
    /// Whether the host may link what a descriptor refers to by an empty path, as far as known.
    pub(crate) links_empty_paths: bool,
    /// Of the first quiet request to fail since the last response.
    quiet_error: Option<Errno>,
    on_settled: fn(),
}

/// Descriptors to send along with a response.
#[derive(Debug)]
pub enum Donation {
    Opened(Vec<OwnedFd>),
    /// Those of new files, which may be nodes as well.
    Created(Vec<Rc<Handle>>),
}

impl Donation {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Donation::Opened(fds) => fds.iter().map(AsFd::as_fd).collect(),
            Donation::Created(handles) => handles.iter().map(|handle| handle.donated()).collect(),
        }
    }
}

/// What an operation leaves besides the response's bytes.
pub type Outcome = Result<Option<Donation>, Errno>;

impl Connection {
    /// Makes the connection of an export.
    ///
    /// # Errors
    /// When the root is neither a directory nor a regular file.
    pub fn new(export: Export, proc_dir: ProcDir, max_nodes: usize) -> Result<Connection, Error> {
        let root = Handle::of_root(export.root).map_err(Error::Root)?;
        if !matches!(root.file_type(), libc::S_IFDIR | libc::S_IFREG) {
            return Err(Error::RootKind { mode: root.file_type() });
        }
        // Whoever exports a procfs lets the sentry see the gofer's own files in it, `mem` for one;
        // it must not write there.
        let is_procfs = root.is_on_procfs().map_err(Error::Root)?;
        Ok(Connection {
            socket: export.socket,
            is_readonly: export.is_readonly || is_procfs,
            resolution: Resolution::new(export.crosses_mounts),
            proc_dir,
            nodes: Nodes::new(root, max_nodes),
            streams: Streams::default(),
            response: Writer::default(),
            placement: Placement::of_this_thread(),
            links_empty_paths: true,
            quiet_error: None,
            on_settled: export.on_settled,
        })
    }

    /// Serves until the peer is gone.
    ///
    /// # Errors
    /// When the socket fails otherwise.
    pub fn run(&mut self) -> Result<(), Error> {
        let mut buffer = vec![0; MAX_MESSAGE_BYTES].into_boxed_slice();
        loop {
            let sent = match transport::receive_plain(self.socket.as_fd(), &mut buffer) {
                Ok(0) => return Ok(()),
                Ok(len) => self.answer(buffer.get(..len).unwrap_or_default()),
                Err(Errno::EMSGSIZE) => self.send(Err(Errno::EMSGSIZE)),
                Err(error) => Err(error),
            };
            match sent {
                Ok(()) => {}
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Ok(()),
                Err(error) => return Err(Error::Connection(error)),
            }
        }
    }

    /// Serves a message: a request, or a batch of them.
    fn answer(&mut self, message: &[u8]) -> Result<(), Errno> {
        let mut rest = Reader::new(message);
        if !matches!(parse_header(&mut rest), Ok((_, Op::Batch))) {
            return self.answer_one(message);
        }
        while let Ok(len) = rest.fixed::<u32>() {
            match rest.bytes(len as usize) {
                Ok(request) => self.answer_one(request)?,
                Err(error) => return self.send(Err(error)),
            }
        }
        Ok(())
    }

    /// Serves one request.
    fn answer_one(&mut self, request: &[u8]) -> Result<(), Errno> {
        let mut request = Reader::new(request);
        self.response.clear();
        self.response.fixed(&ResponseHeader::default());
        let (header, op) = match parse_header(&mut request) {
            Ok(parsed) => parsed,
            Err(error) => return self.send(Err(error)),
        };
        match op {
            Op::Release => self.release(&mut request),
            Op::Settle => (self.on_settled)(),
            op if header.is_quiet != 0 => {
                if let Err(error) = self.serve(op, &mut request) {
                    tracing::warn!(?op, ?error, "a quiet request failed");
                    self.quiet_error.get_or_insert(error);
                }
            }
            op => {
                let outcome = self.serve(op, &mut request);
                self.send(outcome)?;
                self.placement.follow(header.processor);
            }
        }
        Ok(())
    }

    fn serve(&mut self, op: Op, request: &mut Reader<'_>) -> Outcome {
        match op {
            Op::Hello => self.hello(request),
            Op::Walk => self.walk(request),
            Op::Open => self.open(request),
            Op::Create => self.create(request),
            Op::MakeDirectory => self.make_directory(request),
            Op::MakeDirectoryAs => self.make_directory_as(request),
            Op::MakeNode => self.make_node(request),
            Op::Symlink => self.symlink(request),
            Op::Link => self.link(request),
            Op::Unlink => self.unlink(request),
            Op::RemoveDirectory => self.remove_directory(request),
            Op::Rename => self.rename(request),
            Op::GetAttr => self.get_attr(request),
            Op::GetAttrs => self.get_attrs(request),
            Op::SetAttr => self.set_attr(request),
            Op::ReadLink => self.read_link(request),
            Op::ReadDir => self.read_dir(request),
            Op::StatFs => self.stat_fs(request),
            Op::GetXattr => self.get_xattr(request),
            Op::SetXattr => self.set_xattr(request),
            Op::ListXattr => self.list_xattr(request),
            Op::RemoveXattr => self.remove_xattr(request),
            Op::Sync => self.sync(request),
            Op::Survey => self.survey(request),
            Op::MakeUnnamed => self.make_unnamed(request),
            Op::Name => self.name(request),
            Op::Release | Op::Settle | Op::Batch => Err(Errno::EINVAL),
        }
    }

    /// Sends the response, or the error alone.
    fn send(&mut self, outcome: Outcome) -> Result<(), Errno> {
        let (error, donation) = match outcome {
            Ok(donation) => (None, donation),
            Err(error) => (Some(error), None),
        };
        let quiet_error = self.quiet_error.take().map_or(0, |error| error.raw() as u32);
        let fds = donation.as_ref().map(Donation::fds).unwrap_or_default();
        let fd_count = fds.len() as u32;
        let processor = current_processor();
        let header = ResponseHeader { error: 0, fd_count, quiet_error, processor };
        match error {
            Some(error) => self.write_error(error, header),
            None => self.response.replace(0, &header),
        }
        let socket = self.socket.as_fd();
        match transport::send(socket, self.response.as_bytes(), &fds) {
            // Too many descriptors in flight (unix(7)): the client does not take them.
            Err(Errno::ETOOMANYREFS) => {
                self.write_error(Errno::EMFILE, ResponseHeader { fd_count: 0, ..header });
                transport::send(self.socket.as_fd(), self.response.as_bytes(), &[])
            }
            sent => sent,
        }
    }

    fn write_error(&mut self, error: Errno, header: ResponseHeader) {
        self.response.clear();
        self.response.fixed(&ResponseHeader { error: error.raw() as u32, ..header });
    }

    /// The object of a request: a node, or an entry of it.
    pub(crate) fn target(&self, node: u64, name: Option<Name<'_>>) -> Result<Rc<Handle>, Errno> {
        let handle = self.nodes.get(node)?;
        match name {
            None => Ok(handle),
            Some(name) => Ok(Rc::new(handle.lookup(name, self.resolution)?.0)),
        }
    }

    /// EROFS if the export is read-only.
    pub(crate) fn check_writable(&self) -> Result<(), Errno> {
        if self.is_readonly { Err(Errno::EROFS) } else { Ok(()) }
    }
}

/// Takes the header off a request.
fn parse_header(request: &mut Reader<'_>) -> Result<(RequestHeader, Op), Errno> {
    let header: RequestHeader = request.fixed()?;
    match Op::from_raw(header.op) {
        Some(op) if header.is_quiet <= 1 && header.reserved == 0 => Ok((header, op)),
        _ => Err(Errno::EINVAL),
    }
}
