//! Sockets and network interfaces: `socket(7)`, `ip(7)`, `tcp(7)`, `unix(7)`, `netdevice(7)`,
//! `netlink(7)`.

mod address;
mod interface;
mod ip;
mod message;
mod netlink;
mod rtnetlink;
mod socket;
mod tcp;

pub use address::*;
pub use interface::*;
pub use ip::*;
pub use message::*;
pub use netlink::*;
pub use rtnetlink::*;
pub use socket::*;
pub use tcp::*;
