//! State that every socket has, and the options of the level `SOL_SOCKET`, socket(7).

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::net::*;
use linux_abi::task::{CAP_NET_ADMIN, CAP_NET_RAW};
use linux_abi::time::Timeval;

use super::HUNG_UP;
use super::option::{OptionValue, int, structure};
use crate::sync::{Mutex, Rank, WaitQueue};
use crate::task::Credentials;

/// Default of `net.core.wmem_default` and `rmem_default`.
pub const DEFAULT_BUFFER: usize = 212_992;
/// Largest request for a buffer (`net.core.wmem_max`, `rmem_max`).
const MAX_BUFFER: i32 = 212_992;
/// Smallest send and receive buffers (`SOCK_MIN_SNDBUF`, `SOCK_MIN_RCVBUF`).
const MIN_SEND_BUFFER: usize = 4608;
const MIN_RECEIVE_BUFFER: usize = 2304;

bitflags::bitflags! {
    /// Options that are on or off.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Flags: u32 {
        const DEBUG = 1;
        const REUSE_ADDRESS = 1 << 1;
        const DONT_ROUTE = 1 << 2;
        const BROADCAST = 1 << 3;
        const KEEP_ALIVE = 1 << 4;
        const OOB_INLINE = 1 << 5;
        const REUSE_PORT = 1 << 6;
        const PASS_CREDENTIALS = 1 << 7;
        const TIMESTAMP = 1 << 8;
        const TIMESTAMP_NS = 1 << 9;
        const NO_CHECK = 1 << 10;
        const PASS_SECURITY = 1 << 11;
        const RXQ_OVERFLOW = 1 << 12;
        const ZEROCOPY = 1 << 13;
    }
}

/// Sizes of the buffers in bytes, as `getsockopt` tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffers {
    pub send: usize,
    pub receive: usize,
}

/// `SO_RCVTIMEO` and `SO_SNDTIMEO` in nanoseconds; none waits for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    pub receive_ns: Option<i64>,
    pub send_ns: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Options {
    flags: Flags,
    buffers: Buffers,
    /// `SO_SNDBUF` was set: the buffer does not grow by itself.
    has_fixed_send_buffer: bool,
    timeouts: Timeouts,
    /// Seconds that a close waits.
    linger: Option<i32>,
    receive_low_water: i32,
    priority: i32,
    mark: u32,
}

/// What all sockets have in common.
pub struct SocketCommon {
    domain: i32,
    kind: i32,
    protocol: i32,
    queue: Arc<WaitQueue>,
    options: Mutex<Options>,
    /// What the next operation, or `SO_ERROR`, reports.
    error: Mutex<Option<Errno>>,
}

impl SocketCommon {
    pub fn new(domain: i32, kind: i32, protocol: i32) -> SocketCommon {
        let buffers = Buffers { send: DEFAULT_BUFFER, receive: DEFAULT_BUFFER };
        SocketCommon::with_buffers(domain, kind, protocol, buffers)
    }

    pub fn with_buffers(domain: i32, kind: i32, protocol: i32, buffers: Buffers) -> SocketCommon {
        let options = Options {
            flags: Flags::empty(),
            buffers,
            has_fixed_send_buffer: false,
            timeouts: Timeouts::default(),
            linger: None,
            receive_low_water: 1,
            priority: 0,
            mark: 0,
        };
        SocketCommon {
            domain,
            kind,
            protocol,
            queue: Arc::new(WaitQueue::new()),
            options: Mutex::new(Rank::Leaf, options),
            error: Mutex::new(Rank::Leaf, None),
        }
    }

    /// The state of a socket that `accept` makes: the listener's options.
    pub fn inherit(&self) -> SocketCommon {
        let copy = SocketCommon::new(self.domain, self.kind, self.protocol);
        let options = *self.options.lock();
        *copy.options.lock() = options;
        copy
    }

    /// `AF_*`.
    pub fn domain(&self) -> i32 {
        self.domain
    }

    /// `SOCK_*`.
    pub fn kind(&self) -> i32 {
        self.kind
    }

    /// `IPPROTO_*`, or the netlink family.
    pub fn protocol(&self) -> i32 {
        self.protocol
    }

    pub fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// The queue, for whoever must notify it without the socket.
    pub fn shared_queue(&self) -> Arc<WaitQueue> {
        self.queue.clone()
    }

    pub fn buffers(&self) -> Buffers {
        self.options.lock().buffers
    }

    pub fn has_fixed_send_buffer(&self) -> bool {
        self.options.lock().has_fixed_send_buffer
    }

    pub fn timeouts(&self) -> Timeouts {
        self.options.lock().timeouts
    }

    /// `SO_LINGER` in seconds, if on.
    pub fn linger(&self) -> Option<i32> {
        self.options.lock().linger
    }

    /// Bytes that a blocking receive waits for.
    pub fn receive_low_water(&self) -> usize {
        self.options.lock().receive_low_water.max(1) as usize
    }

    pub fn reuses_address(&self) -> bool {
        self.options.lock().flags.contains(Flags::REUSE_ADDRESS)
    }

    pub fn reuses_port(&self) -> bool {
        self.options.lock().flags.contains(Flags::REUSE_PORT)
    }

    pub fn may_broadcast(&self) -> bool {
        self.options.lock().flags.contains(Flags::BROADCAST)
    }

    pub fn passes_credentials(&self) -> bool {
        self.options.lock().flags.contains(Flags::PASS_CREDENTIALS)
    }

    /// Whether reading and writing is all there is to the socket's streams: nobody has said how long
    /// to wait, how much to send or receive, or what to tell with it.
    pub fn is_plain(&self) -> bool {
        let options = self.options.lock();
        !options.flags.intersects(Flags::PASS_CREDENTIALS | Flags::TIMESTAMP | Flags::TIMESTAMP_NS)
            && options.timeouts.send_ns.is_none()
            && options.timeouts.receive_ns.is_none()
            && !options.has_fixed_send_buffer
            && options.receive_low_water <= 1
    }

    pub fn set_passes_credentials(&self, passes: bool) {
        self.options.lock().flags.set(Flags::PASS_CREDENTIALS, passes);
    }

    pub fn oob_inline(&self) -> bool {
        self.options.lock().flags.contains(Flags::OOB_INLINE)
    }

    /// Whether received messages carry their time: as `timeval`, as `timespec`.
    pub fn timestamps(&self) -> (bool, bool) {
        let flags = self.options.lock().flags;
        (flags.contains(Flags::TIMESTAMP), flags.contains(Flags::TIMESTAMP_NS))
    }

    /// Whether an error waits to be reported.
    pub fn has_error(&self) -> bool {
        self.error.lock().is_some()
    }

    /// Takes the waiting error.
    pub fn take_error(&self) -> Option<Errno> {
        self.error.lock().take()
    }

    /// Fails with the waiting error, once.
    pub fn check_error(&self) -> Result<(), Errno> {
        self.take_error().map_or(Ok(()), Err)
    }

    /// Leaves an error for the next operation and wakes who waits.
    pub fn set_error(&self, errno: Errno) {
        *self.error.lock() = Some(errno);
        self.queue.notify(HUNG_UP);
    }

    /// Reads an option of `SOL_SOCKET`; `None` where the family must answer.
    pub fn option(&self, name: i32) -> Option<OptionValue> {
        if let Some(flag) = flag_of(name) {
            return Some(OptionValue::bool(self.options.lock().flags.contains(flag)));
        }
        let options = *self.options.lock();
        Some(match name {
            SO_TYPE => OptionValue::Int(self.kind),
            SO_DOMAIN => OptionValue::Int(self.domain),
            SO_PROTOCOL => OptionValue::Int(self.protocol),
            SO_ERROR => OptionValue::Int(self.take_error().map_or(0, Errno::raw)),
            SO_SNDBUF => OptionValue::Int(options.buffers.send as i32),
            SO_RCVBUF => OptionValue::Int(options.buffers.receive as i32),
            SO_RCVTIMEO_OLD | SO_RCVTIMEO_NEW => timeout_value(options.timeouts.receive_ns),
            SO_SNDTIMEO_OLD | SO_SNDTIMEO_NEW => timeout_value(options.timeouts.send_ns),
            SO_LINGER => OptionValue::of(&Linger {
                onoff: i32::from(options.linger.is_some()),
                linger: options.linger.unwrap_or(0),
            }),
            SO_RCVLOWAT => OptionValue::Int(options.receive_low_water),
            SO_SNDLOWAT => OptionValue::Int(1),
            SO_PRIORITY => OptionValue::Int(options.priority),
            SO_MARK => OptionValue::Int(options.mark as i32),
            SO_BINDTODEVICE => OptionValue::Bytes(Vec::new()),
            SO_BSDCOMPAT => OptionValue::Int(0),
            _ => return None,
        })
    }

    /// Sets an option of `SOL_SOCKET`; `None` where the family must answer.
    ///
    /// Errors: EINVAL (too short a value), EDOM (a timeout that is no time), EPERM, ENOPROTOOPT
    /// (read-only options).
    pub fn set_option(
        &self,
        name: i32,
        value: &[u8],
        credentials: &Credentials,
    ) -> Option<Result<(), Errno>> {
        let number = match int(value) {
            Ok(number) => number,
            Err(errno) if name != SO_BINDTODEVICE => return Some(Err(errno)),
            Err(_) => 0,
        };
        if let Some(flag) = flag_of(name) {
            self.options.lock().flags.set(flag, number != 0);
            return Some(Ok(()));
        }
        Some(match name {
            SO_SNDBUF | SO_RCVBUF => {
                self.set_buffer(name == SO_SNDBUF, number.min(MAX_BUFFER));
                Ok(())
            }
            SO_SNDBUFFORCE | SO_RCVBUFFORCE if !credentials.has(CAP_NET_ADMIN) => Err(Errno::EPERM),
            SO_SNDBUFFORCE | SO_RCVBUFFORCE => {
                self.set_buffer(name == SO_SNDBUFFORCE, number.max(0));
                Ok(())
            }
            SO_RCVTIMEO_OLD | SO_RCVTIMEO_NEW | SO_SNDTIMEO_OLD | SO_SNDTIMEO_NEW => {
                self.set_timeout(matches!(name, SO_SNDTIMEO_OLD | SO_SNDTIMEO_NEW), value)
            }
            SO_LINGER => structure::<Linger>(value).map(|linger| {
                self.options.lock().linger = (linger.onoff != 0).then_some(linger.linger);
            }),
            SO_RCVLOWAT => {
                let low_water = if number < 0 { i32::MAX } else { number.max(1) };
                self.options.lock().receive_low_water = low_water;
                Ok(())
            }
            SO_PRIORITY if (0..=6).contains(&number) || credentials.has(CAP_NET_ADMIN) => {
                self.options.lock().priority = number;
                Ok(())
            }
            SO_PRIORITY => Err(Errno::EPERM),
            SO_MARK if credentials.has(CAP_NET_ADMIN) || credentials.has(CAP_NET_RAW) => {
                self.options.lock().mark = number as u32;
                Ok(())
            }
            SO_MARK => Err(Errno::EPERM),
            SO_BSDCOMPAT => Ok(()),
            SO_TYPE | SO_DOMAIN | SO_PROTOCOL | SO_ERROR | SO_ACCEPTCONN | SO_SNDLOWAT => {
                Err(Errno::ENOPROTOOPT)
            }
            _ => return None,
        })
    }

    /// Linux keeps twice what was asked for: the double pays for its own bookkeeping.
    fn set_buffer(&self, is_send: bool, asked: i32) {
        let doubled = (asked as u32 as usize).saturating_mul(2).min(i32::MAX as usize);
        let mut options = self.options.lock();
        if is_send {
            options.buffers.send = doubled.max(MIN_SEND_BUFFER);
            options.has_fixed_send_buffer = true;
        } else {
            options.buffers.receive = doubled.max(MIN_RECEIVE_BUFFER);
        }
        drop(options);
        self.queue.notify(super::WRITABLE);
    }

    fn set_timeout(&self, is_send: bool, value: &[u8]) -> Result<(), Errno> {
        let time: Timeval = structure(value)?;
        if !(0..1_000_000).contains(&time.usec) {
            return Err(Errno::EDOM);
        }
        let timeout_ns = match time.to_nanos() {
            0 => None,
            // Linux: a negative time does not wait at all.
            nanos => Some(nanos.max(0)),
        };
        let mut options = self.options.lock();
        if is_send {
            options.timeouts.send_ns = timeout_ns;
        } else {
            options.timeouts.receive_ns = timeout_ns;
        }
        Ok(())
    }
}

fn timeout_value(timeout_ns: Option<i64>) -> OptionValue {
    OptionValue::of(&Timeval::from_nanos(timeout_ns.unwrap_or(0)))
}

fn flag_of(name: i32) -> Option<Flags> {
    Some(match name {
        SO_DEBUG => Flags::DEBUG,
        SO_REUSEADDR => Flags::REUSE_ADDRESS,
        SO_DONTROUTE => Flags::DONT_ROUTE,
        SO_BROADCAST => Flags::BROADCAST,
        SO_KEEPALIVE => Flags::KEEP_ALIVE,
        SO_OOBINLINE => Flags::OOB_INLINE,
        SO_REUSEPORT => Flags::REUSE_PORT,
        SO_PASSCRED => Flags::PASS_CREDENTIALS,
        SO_TIMESTAMP_OLD | SO_TIMESTAMP_NEW => Flags::TIMESTAMP,
        SO_TIMESTAMPNS_OLD | SO_TIMESTAMPNS_NEW => Flags::TIMESTAMP_NS,
        SO_NO_CHECK => Flags::NO_CHECK,
        SO_PASSSEC => Flags::PASS_SECURITY,
        SO_RXQ_OVFL => Flags::RXQ_OVERFLOW,
        SO_ZEROCOPY => Flags::ZEROCOPY,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use linux_abi::net::{AF_UNIX, SOCK_STREAM};

    use super::*;

    fn socket() -> SocketCommon {
        SocketCommon::new(AF_UNIX, SOCK_STREAM, 0)
    }

    fn set(socket: &SocketCommon, name: i32, value: i32) -> Result<(), Errno> {
        socket.set_option(name, &value.to_ne_bytes(), &Credentials::root()).unwrap()
    }

    #[test]
    fn buffers_are_doubled_and_bounded() {
        let socket = socket();
        assert_eq!(socket.option(SO_SNDBUF), Some(OptionValue::Int(212_992)));
        set(&socket, SO_SNDBUF, 1).unwrap();
        assert_eq!(socket.option(SO_SNDBUF), Some(OptionValue::Int(4608)));
        set(&socket, SO_RCVBUF, 10_000).unwrap();
        assert_eq!(socket.option(SO_RCVBUF), Some(OptionValue::Int(20_000)));
        set(&socket, SO_RCVBUF, i32::MAX).unwrap();
        assert_eq!(socket.option(SO_RCVBUF), Some(OptionValue::Int(425_984)));
    }

    #[test]
    fn an_error_is_reported_once() {
        let socket = socket();
        socket.set_error(Errno::ECONNRESET);
        assert_eq!(socket.option(SO_ERROR), Some(OptionValue::Int(104)));
        assert_eq!(socket.option(SO_ERROR), Some(OptionValue::Int(0)));
    }

    #[test]
    fn values_are_checked() {
        let socket = socket();
        let root = Credentials::root();
        assert_eq!(socket.set_option(SO_REUSEADDR, &[1], &root), Some(Err(Errno::EINVAL)));
        assert_eq!(set(&socket, SO_TYPE, 1), Err(Errno::ENOPROTOOPT));
        let time = [1_i64.to_ne_bytes(), 1_000_000_i64.to_ne_bytes()].concat();
        assert_eq!(socket.set_option(SO_RCVTIMEO, &time, &root), Some(Err(Errno::EDOM)));
        assert_eq!(socket.set_option(9999, &[0; 4], &root), None);
    }
}
