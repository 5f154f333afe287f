//! Building netlink messages: a header, a fixed structure, attributes.

use linux_abi::Errno;
use linux_abi::net::{
    NLMSG_ALIGNTO, NLMSG_DONE, NLMSG_ERROR, NlAttr, NlMsgErr, NlMsgHdr, NlmFlags,
};
use zerocopy::{Immutable, IntoBytes};

/// A message that is being built.
pub(super) struct Answer {
    bytes: Vec<u8>,
}

impl Answer {
    /// Begins an answer of `kind` to `request`.
    pub(super) fn new<T: IntoBytes + Immutable>(
        request: &NlMsgHdr,
        port_id: u32,
        kind: u16,
        flags: NlmFlags,
        body: &T,
    ) -> Answer {
        let header = NlMsgHdr { len: 0, kind, flags: flags.bits(), seq: request.seq, pid: port_id };
        let mut answer = Answer { bytes: header.as_bytes().to_vec() };
        answer.append(body.as_bytes());
        answer
    }

    /// The end of a list.
    pub(super) fn done(request: &NlMsgHdr, port_id: u32) -> Answer {
        Answer::new(request, port_id, NLMSG_DONE, NlmFlags::MULTI, &0_i32)
    }

    /// A result: an error, or success.
    pub(super) fn result(
        request: &NlMsgHdr,
        port_id: u32,
        result: Result<(), Errno>,
        message: &[u8],
    ) -> Answer {
        let error = result.err().map_or(0, |errno| -errno.raw());
        let body = NlMsgErr { error, msg: *request };
        let flags = NlmFlags::empty();
        let mut answer = Answer::new(request, port_id, NLMSG_ERROR, flags, &body);
        if result.is_err() {
            // An error brings the whole request back.
            answer.append(message.get(size_of::<NlMsgHdr>()..).unwrap_or_default());
        }
        answer
    }

    /// Adds an attribute.
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Answer {
        let len = (size_of::<NlAttr>() + value.len()) as u16;
        self.append(NlAttr { len, kind }.as_bytes());
        self.append(value);
        self
    }

    pub(super) fn with_u32(self, kind: u16, value: u32) -> Answer {
        self.with(kind, &value.to_ne_bytes())
    }

    pub(super) fn with_u8(self, kind: u16, value: u8) -> Answer {
        self.with(kind, &[value])
    }

    /// Adds a string with its terminating zero.
    pub(super) fn with_text(self, kind: u16, text: &[u8]) -> Answer {
        self.with(kind, &[text, b"\0"].concat())
    }

    fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let padded = self.bytes.len().next_multiple_of(NLMSG_ALIGNTO);
        self.bytes.resize(padded, 0);
    }

    /// The message with its length filled in.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let len = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&len.to_ne_bytes());
        self.bytes
    }
}
