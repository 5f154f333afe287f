//! What the sockets of a sandbox share.

use std::sync::Arc;

use super::InFlight;
use super::unix::AbstractNames;

/// A network: name spaces and accounting.
#[derive(Default)]
pub struct Network {
    pub abstract_names: AbstractNames,
    pub in_flight: Arc<InFlight>,
}
