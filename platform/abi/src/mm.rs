//! Memory mappings: `mmap(2)`, `mremap(2)`, `madvise(2)`, `mlock(2)`, `msync(2)`, NUMA policy.

/// The size of a page.
pub const PAGE_SIZE: u64 = 4096;
/// The number of bits of an offset within a page.
pub const PAGE_SHIFT: u32 = 12;
/// One past the highest address a program can use (47 bits, less the guard page): `TASK_SIZE_MAX`.
pub const TASK_SIZE: u64 = (1 << 47) - PAGE_SIZE;

bitflags::bitflags! {
    /// Protection of a mapping, `mmap(2)`, `mprotect(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ProtFlags: u32 {
        const READ = 0x1;
        const WRITE = 0x2;
        const EXEC = 0x4;
        const SEM = 0x8;
        const GROWSDOWN = 0x1000000;
        const GROWSUP = 0x2000000;
    }
}

bitflags::bitflags! {
    /// Flags of `mmap(2)`; `MAP_SHARED_VALIDATE` is `SHARED | PRIVATE`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MapFlags: u32 {
        const SHARED = 0x1;
        const PRIVATE = 0x2;
        const DROPPABLE = 0x8;
        const FIXED = 0x10;
        const ANONYMOUS = 0x20;
        const ABOVE4G = 0x80;
        const BITS32 = 0x40;
        const GROWSDOWN = 0x100;
        const DENYWRITE = 0x800;
        const EXECUTABLE = 0x1000;
        const LOCKED = 0x2000;
        const NORESERVE = 0x4000;
        const POPULATE = 0x8000;
        const NONBLOCK = 0x10000;
        const STACK = 0x20000;
        const HUGETLB = 0x40000;
        const SYNC = 0x80000;
        const FIXED_NOREPLACE = 0x100000;
        const UNINITIALIZED = 0x4000000;
    }
}

/// The bits of [`MapFlags`] that hold the kind of sharing: `SHARED`, `PRIVATE` or both.
pub const MAP_TYPE: u32 = 15;
pub const MAP_SHARED: u32 = 1;
pub const MAP_PRIVATE: u32 = 2;
pub const MAP_SHARED_VALIDATE: u32 = 3;
/// The position and mask of the huge page size in the flags.
pub const MAP_HUGE_SHIFT: u32 = 26;
pub const MAP_HUGE_MASK: u32 = 63;

bitflags::bitflags! {
    /// Flags of `mremap(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MremapFlags: u32 {
        const MAYMOVE = 0x1;
        const FIXED = 0x2;
        const DONTUNMAP = 0x4;
    }
}

bitflags::bitflags! {
    /// Flags of `msync(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MsyncFlags: u32 {
        const ASYNC = 0x1;
        const INVALIDATE = 0x2;
        const SYNC = 0x4;
    }
}

bitflags::bitflags! {
    /// Flags of `mlockall(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MlockallFlags: u32 {
        const CURRENT = 0x1;
        const FUTURE = 0x2;
        const ONFAULT = 0x4;
    }
}

/// The flag of `mlock2(2)`.
pub const MLOCK_ONFAULT: u32 = 1;

// Advice of `madvise(2)`.
pub const MADV_NORMAL: i32 = 0;
pub const MADV_RANDOM: i32 = 1;
pub const MADV_SEQUENTIAL: i32 = 2;
pub const MADV_WILLNEED: i32 = 3;
pub const MADV_DONTNEED: i32 = 4;
pub const MADV_FREE: i32 = 8;
pub const MADV_REMOVE: i32 = 9;
pub const MADV_DONTFORK: i32 = 10;
pub const MADV_DOFORK: i32 = 11;
pub const MADV_MERGEABLE: i32 = 12;
pub const MADV_UNMERGEABLE: i32 = 13;
pub const MADV_HUGEPAGE: i32 = 14;
pub const MADV_NOHUGEPAGE: i32 = 15;
pub const MADV_DONTDUMP: i32 = 16;
pub const MADV_DODUMP: i32 = 17;
pub const MADV_WIPEONFORK: i32 = 18;
pub const MADV_KEEPONFORK: i32 = 19;
pub const MADV_COLD: i32 = 20;
pub const MADV_PAGEOUT: i32 = 21;
pub const MADV_POPULATE_READ: i32 = 22;
pub const MADV_POPULATE_WRITE: i32 = 23;
pub const MADV_DONTNEED_LOCKED: i32 = 24;
pub const MADV_COLLAPSE: i32 = 25;
pub const MADV_HWPOISON: i32 = 100;
pub const MADV_SOFT_OFFLINE: i32 = 101;
pub const MADV_GUARD_INSTALL: i32 = 102;
pub const MADV_GUARD_REMOVE: i32 = 103;

// Memory policy modes and flags, `mbind(2)`, `set_mempolicy(2)`, `get_mempolicy(2)`.
pub const MPOL_DEFAULT: i32 = 0;
pub const MPOL_PREFERRED: i32 = 1;
pub const MPOL_BIND: i32 = 2;
pub const MPOL_INTERLEAVE: i32 = 3;
pub const MPOL_LOCAL: i32 = 4;
pub const MPOL_PREFERRED_MANY: i32 = 5;
pub const MPOL_WEIGHTED_INTERLEAVE: i32 = 6;
pub const MPOL_F_STATIC_NODES: u32 = 32768;
pub const MPOL_F_RELATIVE_NODES: u32 = 16384;
pub const MPOL_F_NUMA_BALANCING: u32 = 8192;
pub const MPOL_F_NODE: u32 = 1;
pub const MPOL_F_ADDR: u32 = 2;
pub const MPOL_F_MEMS_ALLOWED: u32 = 4;
pub const MPOL_MF_STRICT: u32 = 1;
pub const MPOL_MF_MOVE: u32 = 2;
pub const MPOL_MF_MOVE_ALL: u32 = 4;

// Rights of `pkey_alloc(2)`.
pub const PKEY_DISABLE_ACCESS: u32 = 1;
pub const PKEY_DISABLE_WRITE: u32 = 2;

// Flags of `process_madvise(2)` and `mseal(2)` are reserved and must be 0.
