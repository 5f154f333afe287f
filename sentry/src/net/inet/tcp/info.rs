//! `TCP_INFO`: the state of a connection without packets.

use linux_abi::net::*;

use super::{Connection, Phase, TcpSocket};

/// Bytes of a segment over loopback.
const SEGMENT: u32 = 65483;
const LOOPBACK_MTU: u32 = 65536;

impl TcpSocket {
    pub(super) fn info(&self) -> TcpInfo {
        let state = self.state.lock();
        let connection = match &state.phase {
            Phase::Connected(connection) => Some(connection.clone()),
            _ => None,
        };
        let (number, queued) = match &state.phase {
            Phase::Fresh | Phase::Failed | Phase::Closed => (TCP_CLOSE, None),
            Phase::Waiting => (TCP_SYN_SENT, None),
            Phase::Listening(listener) => {
                (TCP_LISTEN, Some((listener.pending.len() as u32, listener.backlog as u32)))
            }
            Phase::Connected(_) => (TCP_ESTABLISHED, None),
        };
        drop(state);
        let mut info = TcpInfo {
            state: number,
            snd_mss: SEGMENT,
            rcv_mss: 536,
            pmtu: LOOPBACK_MTU,
            advmss: SEGMENT,
            rto: 201_000,
            ato: 40_000,
            rtt: 20,
            rttvar: 10,
            min_rtt: 10,
            snd_cwnd: 10,
            snd_ssthresh: i32::MAX as u32,
            reordering: 3,
            options: TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE,
            rcv_space: LOOPBACK_MTU,
            ..TcpInfo::default()
        };
        // Linux: of a listener, the backlog and how much of it is used.
        if let Some((used, backlog)) = queued {
            (info.unacked, info.sacked) = (used, backlog);
        }
        if let Some(connection) = connection {
            info.state = connection.state_number();
            let sent = connection.outgoing.condition().total;
            let received = connection.incoming.condition().total;
            (info.bytes_acked, info.bytes_sent, info.bytes_received) = (sent, sent, received);
        }
        info
    }
}

impl Connection {
    /// `TCP_*` state number.
    pub(super) fn state_number(&self) -> u8 {
        let (incoming, outgoing) = (self.incoming.condition(), self.outgoing.condition());
        if incoming.is_reset || outgoing.is_reset {
            return TCP_CLOSE;
        }
        match (outgoing.is_finished, incoming.is_finished) {
            (false, false) => TCP_ESTABLISHED,
            (false, true) => TCP_CLOSE_WAIT,
            (true, false) => TCP_FIN_WAIT2,
            (true, true) => TCP_TIME_WAIT,
        }
    }
}
