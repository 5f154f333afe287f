//! Compares sizes and offsets of the structures with `linux-raw-sys` and `libc`.

/// Checks that two structures have the same size and the named fields the same offsets.
macro_rules! same_layout {
    ($ours:ty, $theirs:ty $(, $field:ident = $their_field:ident)* $(,)?) => {
        assert_eq!(size_of::<$ours>(), size_of::<$theirs>(), stringify!($ours));
        $(assert_eq!(
            std::mem::offset_of!($ours, $field),
            std::mem::offset_of!($theirs, $their_field),
            concat!(stringify!($ours), "::", stringify!($field))
        );)*
    };
}

mod fs;
mod misc;
mod net;
mod signal;
mod task;
