//! Memory policy: get_mempolicy, set_mempolicy, mbind, migrate_pages, move_pages.

use crate::support::prelude::*;

const MPOL_DEFAULT: i32 = 0;
const MPOL_PREFERRED: i32 = 1;
const MPOL_BIND: i32 = 2;
const MPOL_INTERLEAVE: i32 = 3;
const MPOL_LOCAL: i32 = 4;
const F_NODE: i32 = 1;
const F_ADDR: i32 = 2;
const F_MEMS_ALLOWED: i32 = 4;
/// Room for as many nodes as any kernel has.
const NODES: usize = 1024;

fn need_numa() {
    if let Err(ENOSYS) = sys!(get_mempolicy, NULL, NULL, 0, 0, 0) {
        skip!("no memory policies");
    }
}

case!(policy_is_kept, [set_mempolicy, get_mempolicy], {
    need_numa();
    let (mut mode, mut nodes) = (9i32, [9u64; 16]);
    check_eq!(sys!(get_mempolicy, &mut mode, &mut nodes, NODES + 1, 0, 0), Ok(0));
    check_eq!((mode, nodes[0]), (MPOL_DEFAULT, 0));
    check_eq!(sys!(set_mempolicy, MPOL_BIND, &1u64, 64), Ok(0));
    check_eq!(sys!(get_mempolicy, &mut mode, &mut nodes, NODES + 1, 0, 0), Ok(0));
    check_eq!((mode, nodes[0], nodes[15]), (MPOL_BIND, 1, 0));
    fork(|| {
        let mut mode = 9i32;
        sys!(get_mempolicy, &mut mode, NULL, 0, 0, 0).must();
        check_eq!(mode, MPOL_BIND, "inherited");
    })
    .ok();
    check_eq!(sys!(set_mempolicy, MPOL_PREFERRED, NULL, 0), Ok(0));
    sys!(get_mempolicy, &mut mode, NULL, 0, 0, 0).must();
    check_eq!(mode, MPOL_LOCAL, "no preference is the local node");
    check_eq!(sys!(set_mempolicy, MPOL_DEFAULT, NULL, 0), Ok(0));
});

case!(allowed_nodes_include_the_first, [get_mempolicy], {
    need_numa();
    let (mut mode, mut nodes) = (9i32, [0u64; 16]);
    check_eq!(sys!(get_mempolicy, &mut mode, &mut nodes, NODES + 1, 0, F_MEMS_ALLOWED), Ok(0));
    check_eq!(nodes[0] & 1, 1);
    check_eq!(sys!(get_mempolicy, NULL, NULL, 0, 0, F_MEMS_ALLOWED | F_NODE), Err(EINVAL));
});

case!(node_of_an_address, [get_mempolicy], {
    need_numa();
    let area = anon(PAGE);
    poke(area, 1u8);
    let mut node = 9i32;
    check_eq!(sys!(get_mempolicy, &mut node, NULL, 0, area, F_NODE | F_ADDR), Ok(0));
    check!(node >= 0 && node < NODES as i32);
    sys!(munmap, area, PAGE).must();
    check_eq!(sys!(get_mempolicy, &mut node, NULL, 0, area, F_NODE | F_ADDR), Err(EFAULT));
    check_eq!(sys!(get_mempolicy, &mut node, NULL, 0, area, 0), Err(EINVAL), "address unasked");
    check_eq!(sys!(get_mempolicy, &mut node, NULL, 0, 0, F_NODE), Err(EINVAL), "not interleaved");
});

case!(policy_errors, [set_mempolicy, get_mempolicy], {
    need_numa();
    check_eq!(sys!(set_mempolicy, 99, &1u64, 64), Err(EINVAL));
    check_eq!(sys!(set_mempolicy, MPOL_DEFAULT, &1u64, 64), Err(EINVAL));
    check_eq!(sys!(set_mempolicy, MPOL_BIND, NULL, 0), Err(EINVAL));
    check_eq!(sys!(set_mempolicy, MPOL_LOCAL, &1u64, 64), Err(EINVAL));
    check_eq!(sys!(set_mempolicy, MPOL_BIND | 3 << 14, &1u64, 64), Err(EINVAL));
    check_eq!(sys!(set_mempolicy, MPOL_BIND, BAD, 64), Err(EFAULT));
    check_eq!(sys!(set_mempolicy, MPOL_BIND, &1u64, 1 << 20), Err(EINVAL));
    check_eq!(sys!(get_mempolicy, NULL, NULL, 0, 0, 0x80), Err(EINVAL));
    check_eq!(sys!(get_mempolicy, BAD, NULL, 0, 0, 0), Err(EFAULT));
});

case!(binding_a_range, [mbind], {
    need_numa();
    let area = anon(2 * PAGE);
    check_eq!(sys!(mbind, area, 2 * PAGE, MPOL_BIND, &1u64, 64, 0), Ok(0));
    check_eq!(sys!(mbind, area, 2 * PAGE, MPOL_DEFAULT, NULL, 0, 0), Ok(0));
    check_eq!(sys!(mbind, area, 0, MPOL_BIND, &1u64, 64, 0), Ok(0));
    check_eq!(sys!(mbind, area + 1, PAGE, MPOL_BIND, &1u64, 64, 0), Err(EINVAL));
    check_eq!(sys!(mbind, area, PAGE, 99, &1u64, 64, 0), Err(EINVAL));
    check_eq!(sys!(mbind, area, PAGE, MPOL_INTERLEAVE, NULL, 0, 0), Err(EINVAL));
    check_eq!(sys!(mbind, area, PAGE, MPOL_BIND, &1u64, 64, 0x80), Err(EINVAL));
    sys!(munmap, area, PAGE).must();
    check_eq!(sys!(mbind, area, 2 * PAGE, MPOL_BIND, &1u64, 64, 0), Err(EFAULT));
});

case!(pages_are_where_they_can_be, [move_pages, migrate_pages], {
    need_numa();
    let area = anon(PAGE);
    poke(area, 1u8);
    let mut status = [99i32; 2];
    let pages = [area, 8];
    match sys!(move_pages, 0, 2, &pages, NULL, &mut status, 0) {
        Err(ENOSYS) => skip!("no page migration"),
        other => check_eq!(other, Ok(0)),
    }
    check!(status[0] >= 0, "{status:?}");
    check!(status[1] < 0, "nothing is mapped at 8: {status:?}");
    check_eq!(sys!(move_pages, 0, 1, &pages, NULL, &mut status, 0x80), Err(EINVAL));
    check_eq!(sys!(move_pages, i32::MAX, 1, &pages, NULL, &mut status, 0), Err(ESRCH));
    check_eq!(sys!(migrate_pages, 0, 64, &1u64, &1u64), Ok(0));
    check_eq!(sys!(migrate_pages, i32::MAX, 64, &1u64, &1u64), Err(ESRCH));
});
