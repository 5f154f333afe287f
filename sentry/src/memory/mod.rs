//! Access to guest memory from the kernel: addresses, typed values, strings and I/O buffers.
//!
//! Everything read from the guest is copied once and then checked. A failing access is EFAULT and
//! is reported at the copy, never before, as Linux does.

mod io;
mod pages;
mod pointer;
mod ring;
mod shared;
mod user;

pub use io::{IoDest, IoMark, IoSource, UserIoVec};
pub use pages::UserPages;
pub use pointer::{UserAddr, UserPtr};
pub use ring::ByteRing;
pub use shared::{
    MakeConduit, Shared, discard_conduit, is_conduit_ready, peek_conduit, read_conduit,
    write_conduit,
};
pub use user::{MAX_RW_COUNT, UserMemory, UserPath};
