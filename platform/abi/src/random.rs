//! Flags of `getrandom(2)`.

bitflags::bitflags! {
    /// Flags of `getrandom(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct GetrandomFlags: u32 {
        const NONBLOCK = 0x1;
        const RANDOM = 0x2;
        const INSECURE = 0x4;
    }
}
