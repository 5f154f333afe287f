//! Resource limits.

use control_protocol::Rlimit;
use oci_spec::runtime::{PosixRlimit, PosixRlimitType};

use super::ConfigError;

fn number(kind: PosixRlimitType) -> i32 {
    let resource = match kind {
        PosixRlimitType::RlimitCpu => libc::RLIMIT_CPU,
        PosixRlimitType::RlimitFsize => libc::RLIMIT_FSIZE,
        PosixRlimitType::RlimitData => libc::RLIMIT_DATA,
        PosixRlimitType::RlimitStack => libc::RLIMIT_STACK,
        PosixRlimitType::RlimitCore => libc::RLIMIT_CORE,
        PosixRlimitType::RlimitRss => libc::RLIMIT_RSS,
        PosixRlimitType::RlimitNproc => libc::RLIMIT_NPROC,
        PosixRlimitType::RlimitNofile => libc::RLIMIT_NOFILE,
        PosixRlimitType::RlimitMemlock => libc::RLIMIT_MEMLOCK,
        PosixRlimitType::RlimitAs => libc::RLIMIT_AS,
        PosixRlimitType::RlimitLocks => libc::RLIMIT_LOCKS,
        PosixRlimitType::RlimitSigpending => libc::RLIMIT_SIGPENDING,
        PosixRlimitType::RlimitMsgqueue => libc::RLIMIT_MSGQUEUE,
        PosixRlimitType::RlimitNice => libc::RLIMIT_NICE,
        PosixRlimitType::RlimitRtprio => libc::RLIMIT_RTPRIO,
        PosixRlimitType::RlimitRttime => libc::RLIMIT_RTTIME,
    };
    resource as i32
}

/// Converts `process.rlimits`. Refuses a type that comes twice and a soft limit above the hard one.
pub fn convert(limits: &[PosixRlimit], field: &str) -> Result<Vec<Rlimit>, ConfigError> {
    let mut converted: Vec<Rlimit> = Vec::with_capacity(limits.len());
    for (index, limit) in limits.iter().enumerate() {
        let resource = number(limit.typ());
        let field = format!("{field}[{index}]");
        if converted.iter().any(|earlier| earlier.resource == resource) {
            return Err(ConfigError::new(field, format!("{} is given twice", limit.typ())));
        }
        if limit.soft() > limit.hard() {
            let problem =
                format!("soft limit {} is above the hard limit {}", limit.soft(), limit.hard());
            return Err(ConfigError::new(field, problem));
        }
        converted.push(Rlimit { resource, soft: limit.soft(), hard: limit.hard() });
    }
    Ok(converted)
}
