//! Hash tables of what guests name: files, inodes, addresses.
//!
//! The hash function is seeded for each process. A guest that makes its keys collide all the same slows
//! down only its own sandbox, which serves nobody else.

/// A hash map with a fast hash function.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
