//! `/sys/class/net` and the interfaces it leads to.

use std::sync::Arc;

use super::link;
use super::tree::{dir, text};
use crate::fs::synthetic::{FixedChildren, NodeSource};
use crate::vfs::Inode;

/// `/sys/class/net`.
pub(super) fn class(source: &Arc<NodeSource>) -> Arc<dyn Inode> {
    dir(source, FixedChildren::new().with("lo", link(source, "../../devices/virtual/net/lo")))
}

/// `/sys/devices/virtual/net`: the loopback interface.
pub(super) fn devices(source: &Arc<NodeSource>) -> Arc<dyn Inode> {
    dir(source, FixedChildren::new().with("lo", loopback(source)))
}

fn loopback(source: &Arc<NodeSource>) -> Arc<dyn Inode> {
    let facts = [
        ("addr_len", "6"),
        ("address", "00:00:00:00:00:00"),
        ("broadcast", "00:00:00:00:00:00"),
        ("carrier", "1"),
        ("dev_id", "0x0"),
        ("dormant", "0"),
        ("flags", "0x9"),
        ("ifindex", "1"),
        ("iflink", "1"),
        ("link_mode", "0"),
        ("mtu", "65536"),
        ("operstate", "unknown"),
        ("tx_queue_len", "1000"),
        ("type", "772"),
        ("uevent", "INTERFACE=lo\nIFINDEX=1"),
    ];
    let counters = [
        "collisions",
        "multicast",
        "rx_bytes",
        "rx_dropped",
        "rx_errors",
        "rx_packets",
        "tx_bytes",
        "tx_dropped",
        "tx_errors",
        "tx_packets",
    ];
    let statistics = counters
        .iter()
        .fold(FixedChildren::new(), |children, name| children.with(*name, text(source, "0")));
    let files = facts.iter().fold(FixedChildren::new(), |children, (name, line)| {
        children.with(*name, text(source, *line))
    });
    dir(source, files.with("statistics", dir(source, statistics)))
}
