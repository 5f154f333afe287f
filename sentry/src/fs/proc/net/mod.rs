//! `/proc/[pid]/net`: the network as the process sees it, proc_pid_net(5).
//!
//! Each file is a heading and one line for each object of the sandbox' network. Those of
//! [`sockets`] are made when the file is read, the others never change.

mod sockets;

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::FileKind;
use linux_abi::net::{AF_INET, AF_INET6};

use super::subject::{Area, Subject};
use crate::fs::synthetic::{
    Child, ChildCache, Children, NodeAttributes, SyntheticDir, SyntheticFile,
};
use crate::kernel::Kernel;
use crate::vfs::{Inode, IoContext};

/// Files by name with their headings.
const FILES: &[(&str, &str)] = &[
    ("arp", "IP address       HW type     Flags       HW address            Mask     Device\n"),
    (
        "dev",
        "Inter-|   Receive                                                |  Transmit\n \
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
         lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n",
    ),
    ("if_inet6", "00000000000000000000000000000001 01 80 10 80       lo\n"),
    (
        "netlink",
        "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n",
    ),
    ("packet", "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n"),
    ("raw", IPV4_HEADING_LONG),
    ("raw6", IPV6_HEADING_LONG),
    (
        "route",
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                                                       \n",
    ),
    (
        "sockstat",
        "sockets: used 0\nTCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\nUDP: inuse 0 mem 0\n\
         UDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n",
    ),
    (
        "sockstat6",
        "TCP6: inuse 0\nUDP6: inuse 0\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n",
    ),
    (
        "tcp",
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n",
    ),
    (
        "tcp6",
        "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n",
    ),
    ("udp", IPV4_HEADING_LONG),
    ("udp6", IPV6_HEADING_LONG),
    ("unix", "Num       RefCount Protocol Flags    Type St Inode Path\n"),
];

const IPV4_HEADING_LONG: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             \n";
const IPV6_HEADING_LONG: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";

/// The directory `net`.
pub(super) fn directory(subject: &Arc<Subject>, attributes: NodeAttributes) -> Arc<dyn Inode> {
    let made = ChildCache::default();
    SyntheticDir::new(attributes, NetFiles { subject: subject.clone(), made })
}

struct NetFiles {
    subject: Arc<Subject>,
    made: ChildCache<usize>,
}

impl NetFiles {
    fn make(&self, index: usize) -> Arc<dyn Inode> {
        let number = self.subject.number(Area::Net, index as u32);
        let device = self.subject.proc.source.device();
        let attributes = NodeAttributes::new(device, number, FileKind::Regular, 0o444);
        let (name, heading) = FILES[index];
        let subject = self.subject.clone();
        SyntheticFile::new(attributes, move |_: &IoContext<'_>| {
            let kernel = subject.kernel()?;
            Ok(format!("{heading}{}", lines(name, &kernel)).into_bytes())
        })
    }
}

/// What follows the heading of a file.
fn lines(name: &str, kernel: &Kernel) -> String {
    match name {
        "tcp" => sockets::tcp(kernel, AF_INET),
        "tcp6" => sockets::tcp(kernel, AF_INET6),
        "udp" => sockets::udp(kernel, AF_INET),
        "udp6" => sockets::udp(kernel, AF_INET6),
        "unix" => sockets::unix(kernel),
        _ => String::new(),
    }
}

impl Children for NetFiles {
    fn find(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let found = FILES.iter().position(|(file, _)| file.as_bytes() == name);
        let index = found.filter(|_| self.subject.exists()).ok_or(Errno::ENOENT)?;
        Ok(self.made.get_or_make(index, || self.make(index)))
    }

    fn list(&self, _: &IoContext<'_>) -> Result<Vec<Child>, Errno> {
        let child = |(index, (name, _)): (usize, &(&str, &str))| Child {
            position: index as u64,
            name: name.as_bytes().to_vec(),
            inode: self.subject.number(Area::Net, index as u32),
            kind: FileKind::Regular,
        };
        Ok(FILES.iter().enumerate().map(child).collect())
    }

    fn is_still(&self, _: &[u8], _: &Arc<dyn Inode>) -> bool {
        self.subject.exists()
    }
}
