//! Random numbers that a seed reproduces.

use std::cell::Cell;

/// A generator (xorshift64*, seeded by splitmix64).
#[derive(Clone, Debug)]
pub struct Rng(Cell<u64>);

impl Rng {
    /// Makes the generator of a seed.
    pub fn new(seed: u64) -> Rng {
        let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Rng(Cell::new((z ^ (z >> 31)) | 1))
    }

    /// Returns 64 random bits.
    pub fn next(&self) -> u64 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Returns a number below `bound`, which must not be 0.
    pub fn below(&self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }

    /// Whether an event of probability 1/`count` happens.
    pub fn one_in(&self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// Returns one of the values.
    pub fn pick<T: Copy>(&self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}
