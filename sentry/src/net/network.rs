//! What the sockets of a sandbox share.

use std::sync::Arc;

use super::InFlight;
use super::inet::ports::Ports;
use super::inet::tcp::TcpSocket;
use super::inet::udp::UdpSocket;
use super::netlink::PortIds;
use super::unix::AbstractNames;

/// A network: name spaces and accounting.
pub struct Network {
    pub abstract_names: AbstractNames,
    pub in_flight: Arc<InFlight>,
    pub tcp: Arc<Ports<TcpSocket>>,
    pub udp: Arc<Ports<UdpSocket>>,
    pub netlink: Arc<PortIds>,
}

impl Default for Network {
    fn default() -> Network {
        Network {
            abstract_names: AbstractNames::default(),
            in_flight: Arc::default(),
            tcp: Ports::new(false),
            udp: Ports::new(true),
            netlink: Arc::default(),
        }
    }
}
