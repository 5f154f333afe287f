//! Messages with their addresses and control data, between system call and socket.

use std::sync::Arc;

use linux_abi::net::{MsgFlags, Ucred};

use super::Rights;
use crate::vfs::FileDescription;

/// What goes along with the bytes that are sent.
#[derive(Default)]
pub struct SendMessage<'a> {
    /// Where to, if not to the connected peer.
    pub to: Option<&'a [u8]>,
    pub flags: MsgFlags,
    /// Descriptors to pass; taken out when they are sent.
    pub rights: Option<Rights>,
    /// Checked credentials from `SCM_CREDENTIALS`.
    pub credentials: Option<Ucred>,
    /// Other control messages (`IP_TOS`, …): level, kind, data.
    pub others: Vec<(i32, i32, Vec<u8>)>,
}

/// What was received.
#[derive(Default)]
pub struct Received {
    /// Bytes put into the destination.
    pub count: usize,
    /// Length of the whole message; larger than `count` if it was cut.
    pub full_len: usize,
    /// `MSG_TRUNC`, `MSG_EOR`, `MSG_OOB`, …
    pub flags: MsgFlags,
    /// Sender's address; empty if it has none.
    pub source: Vec<u8>,
    pub control: Control,
}

/// Control data that came with a message.
#[derive(Default)]
pub struct Control {
    pub credentials: Option<Ucred>,
    pub files: Vec<Arc<FileDescription>>,
    /// Level, kind, data.
    pub others: Vec<(i32, i32, Vec<u8>)>,
}

impl Received {
    /// So many bytes and nothing else.
    pub fn bytes(count: usize) -> Received {
        Received { count, full_len: count, ..Received::default() }
    }
}

impl Control {
    pub fn is_empty(&self) -> bool {
        self.credentials.is_none() && self.files.is_empty() && self.others.is_empty()
    }
}
