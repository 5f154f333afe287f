//! The settings.

use linux_abi::ipc::{MSGMAX, MSGMNB, MSGMNI, SEMMNI, SEMMNS, SEMMSL, SEMOPM};

use super::Knob::{self, BootId, Dir, Fixed, Fresh, Name, Shown};
use super::random;
use crate::fs::mqueue::{MSG_MAX, MSGSIZE_MAX, QUEUES_MAX};
use crate::ipc::{SHMALL, SHMMAX, SHMMNI};
use crate::kernel::{KERNEL_RELEASE, KERNEL_VERSION};
use crate::task::PID_MAX;
use crate::vfs::NR_OPEN;

type Table = &'static [(&'static str, Knob)];

pub(super) const ROOT: Table =
    &[("fs", Dir(FS)), ("kernel", Dir(KERNEL)), ("net", Dir(NET)), ("vm", Dir(VM))];

const KERNEL: Table = &[
    ("arch", Fixed("x86_64")),
    ("cap_last_cap", Shown(|_| linux_abi::task::CAP_LAST_CAP.to_string())),
    ("core_pattern", Fixed("core")),
    ("core_pipe_limit", Fixed("0")),
    ("core_uses_pid", Fixed("0")),
    ("dmesg_restrict", Fixed("1")),
    ("domainname", Name(|uts| &mut uts.domainname)),
    ("hostname", Name(|uts| &mut uts.hostname)),
    ("kptr_restrict", Fixed("1")),
    ("msgmax", Shown(|_| MSGMAX.to_string())),
    ("msgmnb", Shown(|_| MSGMNB.to_string())),
    ("msgmni", Shown(|_| MSGMNI.to_string())),
    ("ngroups_max", Fixed("65536")),
    ("osrelease", Shown(|_| KERNEL_RELEASE.to_owned())),
    ("ostype", Fixed("Linux")),
    ("overflowgid", Fixed("65534")),
    ("overflowuid", Fixed("65534")),
    ("panic", Fixed("0")),
    ("perf_event_paranoid", Fixed("3")),
    ("pid_max", Shown(|_| PID_MAX.to_string())),
    ("printk", Fixed("4\t4\t1\t7")),
    ("random", Dir(RANDOM)),
    ("randomize_va_space", Fixed("2")),
    ("seccomp", Dir(SECCOMP)),
    ("sem", Shown(|_| format!("{SEMMSL}\t{SEMMNS}\t{SEMOPM}\t{SEMMNI}"))),
    ("shm_rmid_forced", Fixed("0")),
    ("shmall", Shown(|_| SHMALL.to_string())),
    ("shmmax", Shown(|_| SHMMAX.to_string())),
    ("shmmni", Shown(|_| SHMMNI.to_string())),
    ("sysrq", Fixed("0")),
    ("tainted", Fixed("0")),
    ("threads-max", Shown(|_| (PID_MAX - 1).to_string())),
    ("version", Shown(|_| KERNEL_VERSION.to_owned())),
    ("yama", Dir(&[("ptrace_scope", Fixed("0"))])),
];

/// The names of actions, seccomp(2).
const SECCOMP: Table = &[
    ("actions_avail", Fixed("kill_process kill_thread trap errno user_notif trace log allow")),
    ("actions_logged", Fixed("kill_process kill_thread trap errno user_notif trace log")),
];

const RANDOM: Table = &[
    ("boot_id", BootId),
    ("entropy_avail", Fixed("256")),
    ("poolsize", Fixed("256")),
    ("urandom_min_reseed_secs", Fixed("60")),
    ("uuid", Fresh(random::uuid)),
    ("write_wakeup_threshold", Fixed("256")),
];

const VM: Table = &[
    ("dirty_background_ratio", Fixed("10")),
    ("dirty_ratio", Fixed("20")),
    ("max_map_count", Fixed("65530")),
    ("min_free_kbytes", Fixed("67584")),
    ("mmap_min_addr", Fixed("65536")),
    ("nr_hugepages", Fixed("0")),
    ("nr_overcommit_hugepages", Fixed("0")),
    ("overcommit_kbytes", Fixed("0")),
    ("overcommit_memory", Fixed("0")),
    ("overcommit_ratio", Fixed("50")),
    ("page-cluster", Fixed("3")),
    ("panic_on_oom", Fixed("0")),
    ("swappiness", Fixed("60")),
    ("vfs_cache_pressure", Fixed("100")),
];

const FS: Table = &[
    ("aio-max-nr", Fixed("65536")),
    ("aio-nr", Fixed("0")),
    ("dentry-state", Fixed("0\t0\t45\t0\t0\t0")),
    ("epoll", Dir(&[("max_user_watches", Fixed("3655424"))])),
    ("file-max", Fixed("9223372036854775807")),
    ("file-nr", Fixed("0\t0\t9223372036854775807")),
    ("inode-nr", Fixed("0\t0")),
    ("inotify", Dir(INOTIFY)),
    ("lease-break-time", Fixed("45")),
    ("leases-enable", Fixed("1")),
    ("mqueue", Dir(MQUEUE)),
    ("nr_open", Shown(|_| NR_OPEN.to_string())),
    ("overflowgid", Fixed("65534")),
    ("overflowuid", Fixed("65534")),
    ("pipe-max-size", Fixed("1048576")),
    ("pipe-user-pages-hard", Fixed("0")),
    ("pipe-user-pages-soft", Fixed("16384")),
    ("protected_fifos", Fixed("0")),
    ("protected_hardlinks", Fixed("1")),
    ("protected_regular", Fixed("0")),
    ("protected_symlinks", Fixed("1")),
    ("suid_dumpable", Fixed("0")),
];

const INOTIFY: Table = &[
    ("max_queued_events", Fixed("16384")),
    ("max_user_instances", Fixed("128")),
    ("max_user_watches", Fixed("65536")),
];

const MQUEUE: Table = &[
    ("msg_default", Shown(|_| MSG_MAX.to_string())),
    ("msg_max", Shown(|_| MSG_MAX.to_string())),
    ("msgsize_default", Shown(|_| MSGSIZE_MAX.to_string())),
    ("msgsize_max", Shown(|_| MSGSIZE_MAX.to_string())),
    ("queues_max", Shown(|_| QUEUES_MAX.to_string())),
];

const NET: Table = &[
    ("core", Dir(CORE)),
    ("ipv4", Dir(IPV4)),
    ("ipv6", Dir(IPV6)),
    ("unix", Dir(&[("max_dgram_qlen", Fixed("10"))])),
];

const CORE: Table = &[
    ("default_qdisc", Fixed("pfifo_fast")),
    ("netdev_max_backlog", Fixed("1000")),
    ("optmem_max", Fixed("131072")),
    ("rmem_default", Fixed("212992")),
    ("rmem_max", Fixed("212992")),
    ("somaxconn", Fixed("4096")),
    ("wmem_default", Fixed("212992")),
    ("wmem_max", Fixed("212992")),
];

const IPV4: Table = &[
    ("ip_default_ttl", Fixed("64")),
    ("ip_forward", Fixed("0")),
    ("ip_local_port_range", Fixed("32768\t60999")),
    ("ip_local_reserved_ports", Fixed("")),
    ("ip_nonlocal_bind", Fixed("0")),
    ("ip_unprivileged_port_start", Fixed("1024")),
    ("ping_group_range", Fixed("1\t0")),
    ("tcp_allowed_congestion_control", Fixed("reno cubic")),
    ("tcp_available_congestion_control", Fixed("reno cubic")),
    ("tcp_congestion_control", Fixed("cubic")),
    ("tcp_fin_timeout", Fixed("60")),
    ("tcp_keepalive_intvl", Fixed("75")),
    ("tcp_keepalive_probes", Fixed("9")),
    ("tcp_keepalive_time", Fixed("7200")),
    ("tcp_max_syn_backlog", Fixed("4096")),
    ("tcp_retries2", Fixed("15")),
    ("tcp_rmem", Fixed("4096\t131072\t6291456")),
    ("tcp_sack", Fixed("1")),
    ("tcp_syn_retries", Fixed("6")),
    ("tcp_timestamps", Fixed("1")),
    ("tcp_window_scaling", Fixed("1")),
    ("tcp_wmem", Fixed("4096\t16384\t4194304")),
];

const IPV6: Table = &[
    ("bindv6only", Fixed("0")),
    (
        "conf",
        Dir(&[
            ("all", Dir(&[("disable_ipv6", Fixed("0"))])),
            ("default", Dir(&[("disable_ipv6", Fixed("0"))])),
            ("lo", Dir(&[("disable_ipv6", Fixed("0"))])),
        ]),
    ),
];
