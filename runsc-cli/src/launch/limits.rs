//! Resource limits of the sentry process.

use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Descriptors a sentry may have open, if the host allows.
const MAX_FDS: u64 = 1 << 20;

/// Lifts the host's limits that would bind the sentry or its guests; the sandbox has its own.
pub fn raise_limits(pid: Pid, is_privileged: bool) {
    let unlimited = Rlimit { current: None, maximum: None };
    let raise = |resource: Resource, limit: Rlimit| prlimit(Some(pid), resource, limit).is_ok();
    let files = Rlimit { current: Some(MAX_FDS), maximum: Some(MAX_FDS) };
    if !(is_privileged && raise(Resource::Nofile, files)) {
        let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
        raise(Resource::Nofile, Rlimit { current: hard, maximum: hard });
    }
    let inherited = [
        Resource::Nproc,
        Resource::Memlock,
        Resource::Sigpending,
        Resource::As,
        Resource::Data,
        Resource::Fsize,
        Resource::Cpu,
    ];
    for resource in inherited {
        if !(is_privileged && raise(resource, unlimited)) {
            let hard = rustix::process::getrlimit(resource).maximum;
            raise(resource, Rlimit { current: hard, maximum: hard });
        }
    }
    // Only the hard limit: an unlimited stack changes how the kernel lays out address spaces.
    let soft = rustix::process::getrlimit(Resource::Stack).current;
    raise(Resource::Stack, Rlimit { current: soft, maximum: None });
    raise(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}
