//! Flags of `getrandom(2)` and commands of `random(4)`.

bitflags::bitflags! {
    /// Flags of `getrandom(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct GetrandomFlags: u32 {
        const NONBLOCK = 0x1;
        const RANDOM = 0x2;
        const INSECURE = 0x4;
    }
}

// Commands of the random devices, `random(4)`.
pub const RNDGETENTCNT: u32 = 0x8004_5200;
pub const RNDADDTOENTCNT: u32 = 0x4004_5201;
pub const RNDADDENTROPY: u32 = 0x4008_5203;
pub const RNDZAPENTCNT: u32 = 0x5204;
pub const RNDCLEARPOOL: u32 = 0x5206;
pub const RNDRESEEDCRNG: u32 = 0x5207;
