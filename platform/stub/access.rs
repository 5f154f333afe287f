//! Reading and writing what the guest can change, too.

/// Reads a word of the guest's or of the block; a fault takes the slow way.
macro_rules! load {
    ($place:expr) => {
        // SAFETY: what lies there is the guest's own business; the place is aligned.
        unsafe { (&raw const $place).read_volatile() }
    };
}

/// Writes a word of the guest's or of the block.
macro_rules! store {
    ($place:expr, $value:expr) => {{
        let value = $value;
        // SAFETY: as for `load`.
        unsafe { (&raw mut $place).write_volatile(value) }
    }};
}
