//! Bytes of a pipe or a connection that lie in a conduit, where guest code reads and writes them by
//! itself ([`File::self_served`](crate::vfs::File::self_served)).
//!
//! The owner keeps its bytes, or else has a [`Shared`] with a conduit and goes there. Whatever goes
//! beyond reading, writing and waiting takes them back first.

use std::sync::Arc;

use linux_abi::Errno;
use platform::{Conduit, End, Listener};

use super::{IoDest, IoSource};

/// How often bytes may be given away: that takes longer than some calls.
const TIMES_MAX: u32 = 8;

/// Bytes that may lie in a conduit.
#[derive(Default)]
pub struct Shared {
    conduit: Option<Arc<Conduit>>,
    times: u32,
}

/// Makes a conduit.
pub type MakeConduit<'a> = &'a dyn Fn() -> Result<Arc<Conduit>, Errno>;

impl Shared {
    /// Most bytes that [`Shared::begin`] takes, and as many as there can be in a conduit.
    pub const CAPACITY: usize = 64 << 10;

    /// Where the bytes are, if not with the owner.
    pub fn conduit(&self) -> Option<&Arc<Conduit>> {
        self.conduit.as_ref()
    }

    /// Whether the owner may still give its bytes away.
    pub fn may_begin(&self) -> bool {
        self.times < TIMES_MAX
    }

    /// Gives `bytes`, all that the owner has, away. The listener hears of what somebody waits for
    /// ([`is_conduit_ready`]); `is_awaited`: somebody does already.
    ///
    /// Errors: those of making a conduit.
    pub fn begin(
        &mut self,
        make: MakeConduit<'_>,
        bytes: &[u8],
        listener: Arc<dyn Listener>,
        is_awaited: bool,
    ) -> Result<Arc<Conduit>, Errno> {
        let conduit = make()?;
        self.times += 1;
        let filled = conduit.write_with(bytes.len(), false, |to| {
            to.copy_from_slice(&bytes[..to.len()]);
            Ok(to.len())
        });
        debug_assert_eq!(filled, Ok(bytes.len()));
        conduit.set_listener(Arc::downgrade(&listener));
        if is_awaited {
            conduit.watch(End::Reading);
            conduit.watch(End::Writing);
        }
        self.conduit = Some(conduit.clone());
        Ok(conduit)
    }

    /// Takes the bytes back, if they are away: in pieces as reads would get them, and whether each is
    /// a packet. They belong before all that the owner has.
    pub fn end(&mut self) -> Option<Vec<(Vec<u8>, bool)>> {
        self.conduit.take().map(|conduit| conduit.revoke())
    }
}

/// Moves bytes out of a conduit. Errors: EAGAIN, and the listener will hear; EFAULT.
pub fn read_conduit(conduit: &Conduit, dest: &mut IoDest<'_>) -> Result<usize, Errno> {
    when_readable(conduit, || conduit.read_with(dest.remaining(), |bytes| dest.put(bytes)))
}

/// The same, but the bytes stay there.
pub fn peek_conduit(conduit: &Conduit, dest: &mut IoDest<'_>) -> Result<usize, Errno> {
    when_readable(conduit, || match conduit.peek(dest.remaining()) {
        bytes if bytes.is_empty() => Ok(0),
        bytes => dest.put(&bytes),
    })
}

/// Takes up to `max` bytes away. Errors: EAGAIN, and the listener will hear.
pub fn discard_conduit(conduit: &Conduit, max: usize) -> Result<usize, Errno> {
    when_readable(conduit, || Ok(conduit.read(max).len()))
}

/// Repeats `attempt`, which answers with 0 if there is nothing to read, as long as there is.
fn when_readable(
    conduit: &Conduit,
    mut attempt: impl FnMut() -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    loop {
        match attempt()? {
            0 if conduit.watch(End::Reading).is_readable => {}
            0 => return Err(Errno::EAGAIN),
            count => return Ok(count),
        }
    }
}

/// Moves as much into a conduit as there is room for. Errors: EAGAIN, and the listener will hear;
/// EFAULT.
pub fn write_conduit(
    conduit: &Conduit,
    source: &mut IoSource<'_>,
    are_packets: bool,
) -> Result<usize, Errno> {
    loop {
        let len = source.remaining();
        match conduit.write_with(len, are_packets, |bytes| source.take(bytes))? {
            0 if conduit.watch(End::Writing).is_writable => {}
            0 => return Err(Errno::EAGAIN),
            count => return Ok(count),
        }
    }
}

/// Whether an end is ready; if somebody waits for that, the listener hears when it becomes so.
pub fn is_conduit_ready(conduit: &Conduit, end: End, is_awaited: bool) -> bool {
    let ready = if is_awaited { conduit.watch(end) } else { conduit.readiness() };
    match end {
        End::Reading => ready.is_readable,
        End::Writing => ready.is_writable,
    }
}
