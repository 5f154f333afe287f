//! User and group ids, supplementary groups, capabilities.

use crate::support::prelude::*;

fn uids() -> [u32; 3] {
    let mut ids = [0u32; 3];
    let [r, e, s] = &mut ids;
    sys!(getresuid, r, e, s).must();
    ids
}

fn gids() -> [u32; 3] {
    let mut ids = [0u32; 3];
    let [r, e, s] = &mut ids;
    sys!(getresgid, r, e, s).must();
    ids
}

/// The fourth id: a call with an invalid id changes nothing and returns the current one.
fn fsuid() -> i64 {
    sys!(setfsuid, -1).must()
}

fn caps() -> [CapData; 2] {
    let mut data = [CapData::default(); 2];
    sys!(capget, &CapHeader { version: CAP_VERSION, pid: 0 }, &mut data).must();
    data
}

case!(the_calls_agree, [getuid, geteuid, getgid, getegid, getresuid, getresgid], {
    let [r, e, _] = uids();
    check_eq!((sys!(getuid), sys!(geteuid)), (Ok(i64::from(r)), Ok(i64::from(e))));
    let [r, e, _] = gids();
    check_eq!((sys!(getgid), sys!(getegid)), (Ok(i64::from(r)), Ok(i64::from(e))));
    check_eq!(sys!(getresuid, BAD, &mut 0u32, &mut 0u32), Err(EFAULT));
    check_eq!(sys!(getresgid, &mut 0u32, BAD, &mut 0u32), Err(EFAULT));
});

case!(setuid_of_root_sets_all_and_for_good, [setuid], {
    need_root();
    check_eq!(sys!(setuid, 1000), Ok(0));
    check_eq!((uids(), fsuid()), ([1000; 3], 1000));
    check_eq!(sys!(setuid, 0), Err(EPERM));
    check_eq!(sys!(setuid, 1000), Ok(0));
    check_eq!(sys!(setuid, -1), Err(EINVAL));
});

case!(setuid_of_others_switches_between_real_and_saved, [setuid], {
    need_root();
    sys!(setresuid, 1000, 1001, 1002).must();
    check_eq!(sys!(setuid, 1002), Ok(0));
    check_eq!(uids(), [1000, 1002, 1002]);
    check_eq!(sys!(setuid, 1000), Ok(0));
    check_eq!(uids(), [1000, 1000, 1002]);
    check_eq!(sys!(setuid, 1001), Err(EPERM));
});

case!(setreuid_rules, [setreuid], {
    need_root();
    check_eq!(sys!(setreuid, 1000, 1001), Ok(0));
    check_eq!(uids(), [1000, 1001, 1001], "a changed real id saves the effective one");
    check_eq!(sys!(setreuid, -1, 1000), Ok(0));
    check_eq!(sys!(setreuid, 1002, -1), Err(EPERM));
    check_eq!(sys!(setreuid, -1, 1002), Err(EPERM));
    check_eq!(sys!(setreuid, -1, -1), Ok(0));
});

case!(setresuid_rules, [setresuid], {
    need_root();
    check_eq!(sys!(setresuid, 1, 2, 3), Ok(0));
    check_eq!((uids(), fsuid()), ([1, 2, 3], 2));
    check_eq!(sys!(setresuid, 3, 1, -1), Ok(0));
    check_eq!(uids(), [3, 1, 3]);
    check_eq!(sys!(setresuid, 2, -1, -1), Err(EPERM), "an id that is none of the three");
    check_eq!(sys!(setresuid, -1, -1, -1), Ok(0));
});

case!(group_ids_follow_the_same_rules, [setgid, setregid, setresgid], {
    need_root();
    check_eq!(sys!(setgid, 500), Ok(0));
    check_eq!(gids(), [500; 3]);
    check_eq!(sys!(setresgid, 1, 2, 3), Ok(0));
    check_eq!(sys!(setregid, 7, 8), Ok(0));
    check_eq!(gids(), [7, 8, 8]);
    sys!(setresuid, 1000, 1000, 1000).must();
    check_eq!(sys!(setgid, 9), Err(EPERM));
    check_eq!(sys!(setgid, 7), Ok(0));
    check_eq!(sys!(setregid, 9, -1), Err(EPERM));
    check_eq!(sys!(setresgid, 9, -1, -1), Err(EPERM));
    check_eq!(sys!(setgid, -1), Err(EINVAL));
});

case!(fsuid_alone_decides_about_files, [setfsuid, setfsgid], {
    need_root();
    create(c"f", b"");
    sys!(chmod, c"f", 0o600).must();
    check_eq!(sys!(setfsuid, 1000), Ok(0), "returns the old one");
    check_eq!(fsuid(), 1000);
    check_eq!(sys!(open, c"f", O_RDONLY, 0), Err(EACCES));
    check_eq!(uids(), [0; 3]);
    check_eq!(sys!(setfsuid, 0), Ok(1000));
    check!(sys!(open, c"f", O_RDONLY, 0).is_ok());
    check_eq!(sys!(setfsgid, 77), Ok(0));
    check_eq!(sys!(setfsgid, 0), Ok(77));
});

case!(new_files_belong_to_the_effective_ids, [open, setresuid], {
    need_root();
    sys!(chmod, c".", 0o777).must();
    sys!(setresgid, 0, 2000, 0).must();
    sys!(setresuid, 0, 1000, 0).must();
    create(c"f", b"");
    check_eq!((stat(c"f").st_uid, stat(c"f").st_gid), (1000, 2000));
});

case!(supplementary_groups, [getgroups, setgroups], {
    need_root();
    check_eq!(sys!(setgroups, 3, &[10u32, 30, 20]), Ok(0));
    let mut list = [0u32; 8];
    check_eq!(sys!(getgroups, 8, &mut list), Ok(3));
    list[..3].sort_unstable();
    check_eq!(list[..3], [10, 20, 30]);
    check_eq!(sys!(getgroups, 0, NULL), Ok(3));
    check_eq!(sys!(getgroups, 2, &mut list), Err(EINVAL));
    check_eq!(sys!(getgroups, -1, &mut list), Err(EINVAL));
    check_eq!(sys!(getgroups, 8, BAD), Err(EFAULT));
    check_eq!(sys!(setgroups, 65537, &list), Err(EINVAL));
    check_eq!(sys!(setgroups, 1, BAD), Err(EFAULT));
    fork(|| check_eq!(sys!(getgroups, 0, NULL), Ok(3), "inherited")).ok();
    check_eq!(sys!(setgroups, 0, NULL), Ok(0));
    check_eq!(sys!(getgroups, 0, NULL), Ok(0));
    as_nobody(|| check_eq!(sys!(setgroups, 1, &[1u32]), Err(EPERM)));
});

case!(ids_are_of_each_thread, [setresuid], {
    // The C library makes them those of the process; the kernel does not.
    need_root();
    spawn(|| sys!(setresuid, 1000, 1000, 1000).must()).join().ok().must();
    check_eq!(uids(), [0; 3]);
});

case!(capget_versions, [capget], {
    let mut data = [CapData::default(); 2];
    let mut header = CapHeader { version: 0, pid: 0 };
    check_eq!(sys!(capget, &mut header, NULL), Ok(0), "asks for the version");
    check_eq!(header.version, CAP_VERSION);
    header.version = 0x1111;
    check_eq!(sys!(capget, &mut header, &mut data), Err(EINVAL));
    check_eq!(header.version, CAP_VERSION);
    header.pid = i32::MAX;
    check_eq!(sys!(capget, &header, &mut data), Err(ESRCH));
    header.pid = -1;
    check_eq!(sys!(capget, &header, &mut data), Err(EINVAL));
    check_eq!(sys!(capget, BAD, &mut data), Err(EFAULT));
    check_eq!(sys!(capget, &CapHeader { version: CAP_VERSION, pid: 0 }, BAD), Err(EFAULT));
});

case!(capabilities_can_be_dropped_but_not_raised, [capset, capget], {
    need_root();
    let full = caps();
    let mut less = full;
    less[0].effective &= !1;
    let header = CapHeader { version: CAP_VERSION, pid: 0 };
    check_eq!(sys!(capset, &header, &less), Ok(0));
    check_eq!(caps(), less);
    check_eq!(sys!(capset, &header, &full), Ok(0), "still permitted");
    less[0].permitted &= !1;
    check_eq!(sys!(capset, &header, &less), Ok(0));
    check_eq!(sys!(capset, &header, &full), Err(EPERM));
    let mut bad = less;
    bad[0].effective |= 1;
    check_eq!(sys!(capset, &header, &bad), Err(EPERM), "effective beyond permitted");
    check_eq!(sys!(capset, &header, BAD), Err(EFAULT));
    check_eq!(sys!(capset, &CapHeader { version: CAP_VERSION, pid: 1 }, &less), Err(EPERM));
});

case!(dropped_capability_is_felt, [capset, chown], {
    need_root();
    create(c"f", b"");
    let mut less = caps();
    less[0].effective &= !1;
    sys!(capset, &CapHeader { version: CAP_VERSION, pid: 0 }, &less).must();
    check_eq!(sys!(chown, c"f", 5, 5), Err(EPERM), "root without CAP_CHOWN");
});

case!(changing_the_user_drops_capabilities, [setresuid, capget], {
    need_root();
    let full = caps();
    sys!(setresuid, 0, 1000, 0).must();
    check_eq!((caps()[0].effective, caps()[0].permitted), (0, full[0].permitted));
    sys!(setresuid, 0, 0, 0).must();
    check_eq!(caps()[0].effective, full[0].permitted, "back as effective root");
    sys!(setresuid, 1000, 1000, 1000).must();
    check_eq!((caps()[0].effective, caps()[0].permitted), (0, 0));
});

case!(keepcaps_keeps_the_permitted_set, [prctl, setresuid, capset], {
    need_root();
    let full = caps();
    sys!(prctl, PR_SET_KEEPCAPS, 1).must();
    sys!(setresuid, 1000, 1000, 1000).must();
    check_eq!((caps()[0].effective, caps()[0].permitted), (0, full[0].permitted));
    let mut raised = caps();
    raised[0].effective = raised[0].permitted;
    check_eq!(sys!(capset, &CapHeader { version: CAP_VERSION, pid: 0 }, &raised), Ok(0));
    create_owned_check();
});

/// With its capabilities raised again, the process may do what root may.
fn create_owned_check() {
    check_eq!(sys!(chown, c".", 1000, 1000), Ok(0));
}

case!(bounding_set_can_only_shrink, [prctl], {
    need_root();
    check_eq!(sys!(prctl, PR_CAPBSET_READ, 0), Ok(1));
    check_eq!(sys!(prctl, PR_CAPBSET_READ, 99), Err(EINVAL));
    if !can(8) {
        skip!("needs CAP_SETPCAP");
    }
    check_eq!(sys!(prctl, PR_CAPBSET_DROP, 0), Ok(0));
    check_eq!(sys!(prctl, PR_CAPBSET_READ, 0), Ok(0));
    check_eq!(sys!(prctl, PR_CAPBSET_DROP, 99), Err(EINVAL));
    as_nobody(|| check_eq!(sys!(prctl, PR_CAPBSET_DROP, 1), Err(EPERM)));
});

case!(ambient_set_needs_permitted_and_inheritable, [prctl], {
    need_root();
    let ambient = |op: i32, cap: i32| sys!(prctl, PR_CAP_AMBIENT, op, cap, 0, 0);
    check_eq!(ambient(PR_CAP_AMBIENT_IS_SET, 0), Ok(0));
    check_eq!(ambient(PR_CAP_AMBIENT_RAISE, 0), Err(EPERM), "not inheritable");
    let mut data = caps();
    data[0].inheritable = data[0].permitted;
    sys!(capset, &CapHeader { version: CAP_VERSION, pid: 0 }, &data).must();
    check_eq!(ambient(PR_CAP_AMBIENT_RAISE, 0), Ok(0));
    check_eq!(ambient(PR_CAP_AMBIENT_IS_SET, 0), Ok(1));
    check_eq!(ambient(PR_CAP_AMBIENT_CLEAR_ALL, 0), Ok(0));
    check_eq!(ambient(PR_CAP_AMBIENT_IS_SET, 0), Ok(0));
    check_eq!(ambient(PR_CAP_AMBIENT_RAISE, 99), Err(EINVAL));
    check_eq!(ambient(9, 0), Err(EINVAL));
});

case!(exec_of_root_and_of_others_computes_capabilities, [execve, capget], {
    need_root();
    let caps_of = |text: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix("caps=")).must();
        u64::from_str_radix(line, 16).ok().must()
    };
    let (_, as_root) = run_helper(&["caps"], || {});
    check!(caps_of(&as_root) & 1 == 1);
    let (_, as_other) = run_helper(&["caps"], || {
        sys!(prctl, PR_SET_KEEPCAPS, 1).must();
        sys!(setresuid, 1000, 1000, 1000).must();
    });
    check_eq!(caps_of(&as_other), 0, "kept capabilities end at exec");
});
