//! What the cases are written with. Each case file starts with `use crate::support::prelude::*`.

#![allow(dead_code, reason = "a tool kit: not every tool is in use at every moment")]

pub mod asleep;
pub mod check;
pub mod clone;
pub mod errno;
pub mod exec;
pub mod files;
pub mod mem;
pub mod net;
pub mod numbers;
pub mod process;
pub mod pthread;
pub mod registers;
pub mod registry;
pub mod runner;
pub mod signal;
pub mod stream;
pub mod sync;
pub mod sys;
pub mod time;
pub mod trace;
pub mod trace_code;
pub mod tty;

/// Everything a case file needs: the checks, `sys!`, the helpers and the constants of `libc`.
///
/// The helpers are named one by one, so that they win over functions of the C library of the same
/// name.
pub mod prelude {
    #![allow(unused_imports, reason = "see above")]

    pub use super::asleep::{await_sleep, fork_asleep, spawn_asleep};
    pub use super::check::Must;
    pub(crate) use super::check::{check, check_eq, fail, skip};
    pub use super::clone::{CloneArgs, clone_on_stack, clone3_fork, clone3_on_stack, vfork_store};
    pub use super::errno::{
        E2BIG, EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EALREADY, EBADF, EBADMSG,
        EBUSY, ECANCELED, ECHILD, ECONNABORTED, ECONNREFUSED, ECONNRESET, EDEADLK, EDESTADDRREQ,
        EDOM, EEXIST, EFAULT, EFBIG, EHOSTDOWN, EHOSTUNREACH, EIDRM, EILSEQ, EINPROGRESS, EINTR,
        EINVAL, EIO, EISCONN, EISDIR, ELOOP, EMFILE, EMLINK, EMSGSIZE, ENAMETOOLONG, ENETDOWN,
        ENETRESET, ENETUNREACH, ENFILE, ENOBUFS, ENODATA, ENODEV, ENOENT, ENOEXEC, ENOLCK, ENOMEM,
        ENOMSG, ENOPROTOOPT, ENOSPC, ENOSYS, ENOTBLK, ENOTCONN, ENOTDIR, ENOTEMPTY,
        ENOTRECOVERABLE, ENOTSOCK, ENOTTY, ENXIO, EOPNOTSUPP, EOVERFLOW, EOWNERDEAD, EPERM,
        EPFNOSUPPORT, EPIPE, EPROTO, EPROTONOSUPPORT, EPROTOTYPE, ERANGE, ERFKILL, EROFS,
        ESHUTDOWN, ESOCKTNOSUPPORT, ESPIPE, ESRCH, ESTALE, ETIME, ETIMEDOUT, ETXTBSY, EUSERS,
        EXDEV, Errno,
    };
    pub use super::exec::{Strings, exec, run_helper, start_helper, state_after_exec};
    pub use super::files::{content, create, cstr, fstat, open, path, pipe, read_all, stat};
    pub use super::mem::{Fault, PAGE, anon, fault_of, map, read_fault, shared, write_fault};
    pub use super::net::{
        Message, Unix, inet, inet6, option, port_of, recv_message, send_message, set_option,
        socket, socketpair, unix,
    };
    pub use super::process::{
        CAP_VERSION, CapData, CapHeader, Child, Status, as_nobody, can, drop_to_nobody, fork,
        getpid, gettid, need_cap, need_root, self_exe, wait_pid,
    };
    pub(crate) use super::registry::case;
    pub use super::signal::{
        KSigaction, SigInfo, block, calm, count_signal, counted, default_action, ignore, mask_of,
        on, pending, raise, set_mask, storm,
    };
    pub(crate) use super::stream::each_stream;
    pub use super::stream::{
        Kind, Stream, byte_at, bytes_at, read_byte, read_exactly, set_nonblocking, write_all,
    };
    pub use super::sync::{Gate, word_at, words};
    pub(crate) use super::sys::sys;
    pub use super::sys::{BAD, NULL, exit, peek, peek_bytes, poke, poke_bytes, zeroed};
    pub use super::time::{
        Alarms, elapsed, millis, now, settle, sleep_ms, wait_for, wait_for_signals,
    };
    pub use libc::*;
    pub use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};
    pub use std::thread::spawn;
    pub use std::time::Duration;
}
