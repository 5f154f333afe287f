//! The two directions of a connection, whose bytes go into conduits together or not at all.

use std::sync::Arc;

use platform::Conduit;

use crate::memory::MakeConduit;
use crate::vfs::Conduits;

/// One direction of a connection.
pub(super) trait Way {
    /// The conduit with the bytes from now on, if that can be.
    fn share(self: &Arc<Self>, make: MakeConduit<'_>) -> Option<Arc<Conduit>>;

    /// Where the bytes are, if not here.
    fn conduit(&self) -> Option<Arc<Conduit>>;

    /// Takes the bytes back, if they are in a conduit.
    fn take_back(&self);
}

/// [`Socket::share`](super::Socket::share) of a connection.
pub(super) fn share<W: Way>(
    incoming: &Arc<W>,
    outgoing: &Arc<W>,
    make: MakeConduit<'_>,
) -> Option<()> {
    incoming.share(make)?;
    let shared = outgoing.share(make);
    if shared.is_none() {
        incoming.take_back();
    }
    shared.map(|_| ())
}

/// [`Socket::conduits`](super::Socket::conduits) of a connection.
pub(super) fn conduits<W: Way>(incoming: &W, outgoing: &W) -> Option<Conduits> {
    let (input, output) = (incoming.conduit(), outgoing.conduit());
    (input.is_some() && output.is_some()).then_some(Conduits { input, output })
}
