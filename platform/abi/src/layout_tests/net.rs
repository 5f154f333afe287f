//! Sockets.

use crate::net::*;

#[test]
fn layout_matches_headers_part_1() {
    same_layout!(SockaddrUn, linux_raw_sys::net::sockaddr_un, family = sun_family, path = sun_path);
    same_layout!(
        SockaddrIn,
        linux_raw_sys::net::sockaddr_in,
        family = sin_family,
        port = sin_port,
        addr = sin_addr
    );
    same_layout!(
        SockaddrIn6,
        linux_raw_sys::net::sockaddr_in6,
        family = sin6_family,
        port = sin6_port,
        flowinfo = sin6_flowinfo,
        addr = sin6_addr,
        scope_id = sin6_scope_id
    );
    same_layout!(
        SockaddrLl,
        libc::sockaddr_ll,
        family = sll_family,
        protocol = sll_protocol,
        ifindex = sll_ifindex,
        hatype = sll_hatype,
        pkttype = sll_pkttype,
        halen = sll_halen,
        addr = sll_addr
    );
    same_layout!(
        SockaddrNl,
        linux_raw_sys::netlink::sockaddr_nl,
        family = nl_family,
        pid = nl_pid,
        groups = nl_groups
    );
    same_layout!(
        SockaddrVm,
        libc::sockaddr_vm,
        family = svm_family,
        port = svm_port,
        cid = svm_cid
    );
    same_layout!(SockaddrStorage, libc::sockaddr_storage, family = ss_family);
    same_layout!(
        MsgHdr,
        linux_raw_sys::net::msghdr,
        name = msg_name,
        namelen = msg_namelen,
        iov = msg_iov,
        iovlen = msg_iovlen,
        control = msg_control,
        controllen = msg_controllen,
        flags = msg_flags
    );
    same_layout!(MMsgHdr, linux_raw_sys::net::mmsghdr, hdr = msg_hdr, len = msg_len);
    same_layout!(
        CmsgHdr,
        linux_raw_sys::net::cmsghdr,
        len = cmsg_len,
        level = cmsg_level,
        kind = cmsg_type
    );
}

#[test]
fn layout_matches_headers_part_2() {
    same_layout!(
        SockExtendedErr,
        libc::sock_extended_err,
        errno = ee_errno,
        origin = ee_origin,
        kind = ee_type,
        code = ee_code,
        info = ee_info,
        data = ee_data
    );
    same_layout!(Linger, linux_raw_sys::net::linger, onoff = l_onoff, linger = l_linger);
    same_layout!(Ucred, linux_raw_sys::net::ucred, pid = pid, uid = uid, gid = gid);
    same_layout!(
        IpMreq,
        linux_raw_sys::net::ip_mreq,
        multiaddr = imr_multiaddr,
        interface = imr_interface
    );
    same_layout!(
        IpMreqn,
        linux_raw_sys::net::ip_mreqn,
        multiaddr = imr_multiaddr,
        address = imr_address,
        ifindex = imr_ifindex
    );
    same_layout!(
        Ipv6Mreq,
        linux_raw_sys::net::ipv6_mreq,
        multiaddr = ipv6mr_multiaddr,
        interface = ipv6mr_ifindex
    );
    same_layout!(
        InPktInfo,
        linux_raw_sys::net::in_pktinfo,
        ifindex = ipi_ifindex,
        spec_dst = ipi_spec_dst,
        addr = ipi_addr
    );
    same_layout!(
        In6PktInfo,
        linux_raw_sys::net::in6_pktinfo,
        addr = ipi6_addr,
        ifindex = ipi6_ifindex
    );
    same_layout!(
        TcpInfo,
        linux_raw_sys::net::tcp_info,
        state = tcpi_state,
        ca_state = tcpi_ca_state,
        retransmits = tcpi_retransmits,
        probes = tcpi_probes,
        backoff = tcpi_backoff,
        options = tcpi_options,
        rto = tcpi_rto,
        ato = tcpi_ato,
        snd_mss = tcpi_snd_mss,
        rcv_mss = tcpi_rcv_mss,
        unacked = tcpi_unacked,
        sacked = tcpi_sacked,
        lost = tcpi_lost,
        retrans = tcpi_retrans,
        fackets = tcpi_fackets,
        last_data_sent = tcpi_last_data_sent,
        last_ack_sent = tcpi_last_ack_sent,
        last_data_recv = tcpi_last_data_recv,
        last_ack_recv = tcpi_last_ack_recv,
        pmtu = tcpi_pmtu,
        rcv_ssthresh = tcpi_rcv_ssthresh,
        rtt = tcpi_rtt,
        rttvar = tcpi_rttvar,
        snd_ssthresh = tcpi_snd_ssthresh,
        snd_cwnd = tcpi_snd_cwnd,
        advmss = tcpi_advmss,
        reordering = tcpi_reordering,
        rcv_rtt = tcpi_rcv_rtt,
        rcv_space = tcpi_rcv_space,
        total_retrans = tcpi_total_retrans,
        pacing_rate = tcpi_pacing_rate,
        max_pacing_rate = tcpi_max_pacing_rate,
        bytes_acked = tcpi_bytes_acked,
        bytes_received = tcpi_bytes_received,
        segs_out = tcpi_segs_out,
        segs_in = tcpi_segs_in,
        notsent_bytes = tcpi_notsent_bytes,
        min_rtt = tcpi_min_rtt,
        data_segs_in = tcpi_data_segs_in,
        data_segs_out = tcpi_data_segs_out,
        delivery_rate = tcpi_delivery_rate,
        busy_time = tcpi_busy_time,
        rwnd_limited = tcpi_rwnd_limited,
        sndbuf_limited = tcpi_sndbuf_limited,
        delivered = tcpi_delivered,
        delivered_ce = tcpi_delivered_ce,
        bytes_sent = tcpi_bytes_sent,
        bytes_retrans = tcpi_bytes_retrans,
        dsack_dups = tcpi_dsack_dups,
        reord_seen = tcpi_reord_seen,
        rcv_ooopack = tcpi_rcv_ooopack,
        snd_wnd = tcpi_snd_wnd,
        rcv_wnd = tcpi_rcv_wnd,
        rehash = tcpi_rehash,
        total_rto = tcpi_total_rto,
        total_rto_recoveries = tcpi_total_rto_recoveries,
        total_rto_time = tcpi_total_rto_time
    );
    same_layout!(Ifconf, linux_raw_sys::net::ifconf);
}

#[test]
fn layout_matches_headers_part_3() {
    same_layout!(
        Arpreq,
        libc::arpreq,
        pa = arp_pa,
        ha = arp_ha,
        flags = arp_flags,
        netmask = arp_netmask,
        dev = arp_dev
    );
    same_layout!(
        NlMsgHdr,
        linux_raw_sys::netlink::nlmsghdr,
        len = nlmsg_len,
        kind = nlmsg_type,
        flags = nlmsg_flags,
        seq = nlmsg_seq,
        pid = nlmsg_pid
    );
    same_layout!(NlMsgErr, linux_raw_sys::netlink::nlmsgerr, error = error, msg = msg);
    same_layout!(NlAttr, linux_raw_sys::netlink::nlattr, len = nla_len, kind = nla_type);
    same_layout!(RtGenMsg, linux_raw_sys::netlink::rtgenmsg, family = rtgen_family);
    same_layout!(
        IfInfoMsg,
        linux_raw_sys::netlink::ifinfomsg,
        family = ifi_family,
        kind = ifi_type,
        index = ifi_index,
        flags = ifi_flags,
        change = ifi_change
    );
    same_layout!(
        IfAddrMsg,
        linux_raw_sys::netlink::ifaddrmsg,
        family = ifa_family,
        prefixlen = ifa_prefixlen,
        flags = ifa_flags,
        scope = ifa_scope,
        index = ifa_index
    );
    same_layout!(
        RtMsg,
        linux_raw_sys::netlink::rtmsg,
        family = rtm_family,
        dst_len = rtm_dst_len,
        src_len = rtm_src_len,
        tos = rtm_tos,
        table = rtm_table,
        protocol = rtm_protocol,
        scope = rtm_scope,
        kind = rtm_type,
        flags = rtm_flags
    );
    same_layout!(
        NdMsg,
        linux_raw_sys::netlink::ndmsg,
        family = ndm_family,
        ifindex = ndm_ifindex,
        state = ndm_state,
        flags = ndm_flags,
        kind = ndm_type
    );
    same_layout!(
        RtnlLinkStats64,
        linux_raw_sys::netlink::rtnl_link_stats64,
        rx_packets = rx_packets,
        tx_packets = tx_packets,
        rx_bytes = rx_bytes,
        tx_bytes = tx_bytes,
        rx_errors = rx_errors,
        tx_errors = tx_errors,
        rx_dropped = rx_dropped,
        tx_dropped = tx_dropped,
        multicast = multicast,
        collisions = collisions,
        rx_length_errors = rx_length_errors,
        rx_over_errors = rx_over_errors,
        rx_crc_errors = rx_crc_errors,
        rx_frame_errors = rx_frame_errors,
        rx_fifo_errors = rx_fifo_errors,
        rx_missed_errors = rx_missed_errors,
        tx_aborted_errors = tx_aborted_errors,
        tx_carrier_errors = tx_carrier_errors,
        tx_fifo_errors = tx_fifo_errors,
        tx_heartbeat_errors = tx_heartbeat_errors,
        tx_window_errors = tx_window_errors,
        rx_compressed = rx_compressed,
        tx_compressed = tx_compressed,
        rx_nohandler = rx_nohandler,
        rx_otherhost_dropped = rx_otherhost_dropped
    );
}

#[test]
fn layout_matches_headers_part_4() {
    same_layout!(
        IfaCacheInfo,
        linux_raw_sys::netlink::ifa_cacheinfo,
        prefered = ifa_prefered,
        valid = ifa_valid,
        cstamp = cstamp,
        tstamp = tstamp
    );
}
