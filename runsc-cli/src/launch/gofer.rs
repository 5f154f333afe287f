//! The gofer process: sees the exported host trees, on descriptors, and nothing else.
//!
//! Its namespaces: mount (an empty root), pid (its `/proc/self/fd` shows no other process), IPC,
//! UTS, network (empty), and a user namespace if ids are mapped or the caller is unprivileged.
//!
//! It executes nothing: it goes on in its copy of the launcher's memory, which saves a millisecond or
//! two. The sentry does not know where anything lies in there, as that executes an image of its own.

use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;

use gofer::confine::KEPT_CAPABILITIES;
use gofer::{Confinement, Export as ServedExport, Gofer, Serving};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::descriptors::Descriptors;
use super::identity;
use super::process::{Channel, SetupError, exit_child};
use super::{mounts, network, slots, title};
use crate::oci::Export;

/// Exit status of a gofer that has panicked, as of any Rust program.
const PANIC_STATUS: u8 = 101;

/// Descriptor of `/proc/self/fd`.
const PROC_FD: usize = 4;

/// Descriptors of an export: its tree and its socket.
const fn export_slots(index: usize) -> (usize, usize) {
    (5 + 2 * index, 6 + 2 * index)
}

/// What the gofer reads on [`slots::CONFIG`].
#[derive(Debug, Serialize, Deserialize)]
struct GoferConfig {
    exports: Vec<ExportConfig>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ExportConfig {
    is_readonly: bool,
    crosses_mounts: bool,
}

/// Writes the configuration of a gofer.
pub fn config(exports: &[Export]) -> serde_json::Result<Vec<u8>> {
    let exports = exports.iter().map(|export| ExportConfig {
        is_readonly: export.readonly,
        crosses_mounts: export.recursive,
    });
    serde_json::to_vec(&GoferConfig { exports: exports.collect() })
}

/// What the child needs of its parent.
pub struct Plan<'a> {
    pub exports: &'a [Export],
    /// The trees, if the parent has cloned them: an unprivileged parent cannot.
    pub trees: Option<Vec<OwnedFd>>,
    /// Our end of each export's connection.
    pub sockets: Vec<OwnedFd>,
    /// Standard streams and configuration.
    pub descriptors: Descriptors,
    pub has_user_namespace: bool,
    /// Whether it is in a network namespace of the sandbox already.
    pub has_network: bool,
    pub dies_with_parent: bool,
}

/// Turns a cloned child into a gofer. Does not return.
pub fn set_up(plan: Plan, mut channel: Channel) -> ! {
    match try_set_up(plan, &mut channel) {
        Err(error) => channel.fail(error),
        Ok(()) => {
            channel.forget();
            // What is above on this stack is the launcher's.
            let status = std::panic::catch_unwind(main).unwrap_or(PANIC_STATUS);
            exit_child(status.into())
        }
    }
}

fn try_set_up(plan: Plan, channel: &mut Channel) -> Result<(), SetupError> {
    let mut descriptors = plan.descriptors;
    let _ = rustix::process::setsid();
    if plan.has_user_namespace {
        identity::become_user(0)?;
    }
    network::see_to(plan.has_network)?;
    title::set(&["runsc-rs", "gofer"]);
    let trees = match plan.trees {
        Some(trees) => trees,
        None => clone_trees(plan.exports, true).map_err(SetupError)?,
    };
    for (index, (tree, socket)) in trees.into_iter().zip(plan.sockets).enumerate() {
        let (tree_slot, socket_slot) = export_slots(index);
        descriptors.put(tree_slot, tree);
        descriptors.put(socket_slot, socket);
    }
    let proc = mounts::own_proc(true)?;
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc_fd = rustix::fs::openat(proc, "self/fd", flags, Mode::empty())
        .map_err(SetupError::at("open /proc/self/fd"))?;
    descriptors.put(PROC_FD, proc_fd);
    mounts::enter_empty_root()?;
    identity::drop_privileges(KEPT_CAPABILITIES)?;
    if plan.dies_with_parent {
        channel.die_with_parent()?;
    }
    use_one_arena();
    descriptors.keep_only(channel)
}

/// An arena of the allocator for each thread costs memory and time to make, and what threads allocate
/// at the same time is little.
fn use_one_arena() {
    // SAFETY: sets a parameter of the allocator; this process has one thread.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Clones the trees of all exports; an error names the path.
///
/// Below a user namespace mounts that cover others cannot be left out, so all are cloned, and the
/// gofer does not cross into them.
pub fn clone_trees(exports: &[Export], all_recursive: bool) -> Result<Vec<OwnedFd>, String> {
    let clone = |export: &Export| {
        let recursive = export.recursive || all_recursive;
        mounts::clone_tree(&export.path, recursive, export.readonly)
            .map_err(|error| format!("{}: {error}", Path::display(&export.path)))
    };
    exports.iter().map(clone).collect()
}

/// Serves until every connection is closed. Gives the exit status.
fn main() -> u8 {
    match serve() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("gofer: {error}");
            1
        }
    }
}

fn serve() -> Result<(), String> {
    let mut text = Vec::new();
    std::fs::File::from(take(slots::CONFIG))
        .read_to_end(&mut text)
        .map_err(|error| format!("cannot read the configuration: {error}"))?;
    let config: GoferConfig = serde_json::from_slice(&text)
        .map_err(|error| format!("cannot read the configuration: {error}"))?;
    let exports = config.exports.iter().enumerate().map(|(index, export)| {
        let (tree, socket) = export_slots(index);
        ServedExport {
            root: take(tree),
            is_readonly: export.is_readonly,
            crosses_mounts: export.crosses_mounts,
            socket: take(socket),
            on_settled: platform::host::code::let_go,
        }
    });
    let exports = exports.collect();
    Gofer::with_proc_fd(take(PROC_FD))
        .start(exports, Confinement::On)
        .and_then(Serving::run)
        .map_err(|error| error.to_string())
}

/// Takes over a descriptor that the launcher has put at a fixed number.
fn take(slot: usize) -> OwnedFd {
    // SAFETY: the launcher opened this number for us, and each is taken once.
    unsafe { OwnedFd::from_raw_fd(slot as i32) }
}
