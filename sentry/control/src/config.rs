//! The configuration of a sandbox and its containers, made by the command line from the OCI
//! bundle. File descriptors are named by their number in the sentry process at start
//! ([`FdSlot`]) or by their position in the message that carries them.

use serde::{Deserialize, Serialize};

/// A file descriptor by number (configuration inherited at start) or index (sent with a message).
pub type FdSlot = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlatformKind {
    Ptrace,
    Systrap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    None,
    Host,
    Sandbox,
}

/// Everything a sentry needs at start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SandboxConfig {
    pub platform: PlatformKind,
    pub network: NetworkMode,
    pub strace: bool,
    /// Whether the platform may change the guest's system call instructions for speed.
    pub patching: bool,
    /// Debug log, opened for append.
    pub debug_log: Option<FdSlot>,
    /// A listening `SOCK_STREAM` Unix socket for control connections; none for a sandbox that only
    /// its launcher may address (`do`).
    pub control: Option<FdSlot>,
    /// A connected `SOCK_STREAM` Unix socket to the launching process; see [`crate::startup`].
    pub launcher: FdSlot,
    /// A pidfd of the gofer, without which the sandbox cannot go on.
    pub gofer_process: FdSlot,
    /// A directory descriptor of a procfs of the sentry's own pid namespace.
    pub proc_dir: FdSlot,
    /// Whether the first process runs at once (`run`, `do`) or on [`crate::Request::Start`] (`create`).
    ///
    /// With `start_now` the launcher stays for the sandbox' whole life: when it closes its socket
    /// the sandbox ends.
    pub start_now: bool,
    /// Whether the sentry process is leader of a host session with the container's terminal as its
    /// controlling terminal. The host then sends the terminal's SIGINT, SIGQUIT, SIGTSTP, SIGWINCH
    /// and SIGHUP to the sentry, which passes them to the terminal's foreground process group.
    /// (Else the launcher owns the terminal and sends [`crate::Request::Signal`] with `group`.)
    pub owns_terminal: bool,
    /// Whether signals from outside act on the first process though it has no handler for them,
    /// unlike on the first of a pid namespace (`pid_namespaces(7)`): for `do`, whose user ends any
    /// command by Ctrl-C. Signals from inside never do.
    pub init_obeys_outside: bool,
    /// Memory in bytes that the sandbox shows as its total; none means the host's.
    pub memory_limit: Option<u64>,
    /// Number of processors that the sandbox shows; none means those of the host affinity mask.
    pub cpus: Option<u32>,
    pub container: ContainerConfig,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContainerConfig {
    pub id: String,
    pub hostname: String,
    pub domainname: Option<String>,
    pub root: RootConfig,
    /// In the order of the OCI configuration; later ones cover earlier ones.
    pub mounts: Vec<MountConfig>,
    pub process: ProcessConfig,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RootConfig {
    /// Connected gofer socket for the root directory.
    pub gofer: FdSlot,
    pub readonly: bool,
    /// Whether changes go to an in-memory layer (true) or through to the host directory.
    pub overlay: bool,
    /// Whether nobody else changes the directory (caches may be trusted).
    pub exclusive: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MountConfig {
    /// Absolute path inside the container; missing parts are created in the root's upper layer.
    pub destination: String,
    pub source: MountSource,
    pub readonly: bool,
    pub nosuid: bool,
    pub nodev: bool,
    pub noexec: bool,
    pub noatime: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountSource {
    Proc,
    Sysfs,
    Tmpfs {
        /// Bytes; none means half the memory the sandbox sees.
        size: Option<u64>,
        nr_inodes: Option<u64>,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
    },
    /// A tmpfs with the standard device nodes and links.
    Dev,
    Devpts {
        mode: Option<u32>,
        gid: Option<u32>,
        ptmxmode: Option<u32>,
    },
    Mqueue,
    /// A host file or directory, served on its own gofer connection.
    Bind {
        gofer: FdSlot,
        is_directory: bool,
        /// Whether nobody else changes it (caches may be trusted).
        exclusive: bool,
    },
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProcessConfig {
    pub args: Vec<String>,
    /// `NAME=value` strings.
    pub env: Vec<String>,
    pub cwd: String,
    pub uid: u32,
    pub gid: u32,
    pub additional_gids: Vec<u32>,
    pub umask: Option<u32>,
    pub capabilities: CapabilitySets,
    pub rlimits: Vec<Rlimit>,
    pub no_new_privileges: bool,
    /// Whether stdio is a terminal that becomes the controlling terminal of the new session.
    pub terminal: bool,
    /// Descriptors that become 0, 1 and 2; `None` leaves that one closed.
    pub stdio: [Option<FdSlot>; 3],
}

/// Capability sets as Linux bit masks (bit n = capability number n).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct CapabilitySets {
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    pub bounding: u64,
    pub ambient: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Rlimit {
    /// `RLIMIT_*` number.
    pub resource: i32,
    pub soft: u64,
    pub hard: u64,
}
