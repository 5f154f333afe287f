//! unshare and setns.

use crate::support::prelude::*;

fn namespace(name: &str) -> String {
    let link = std::fs::read_link(format!("/proc/self/ns/{name}")).must();
    link.to_string_lossy().into_owned()
}

case!(setns_checks_what_it_gets, [setns], {
    let file = open(c"f", O_RDWR | O_CREAT);
    check_eq!(sys!(setns, file, 0), Err(EINVAL), "no namespace");
    check_eq!(sys!(setns, 999, 0), Err(EBADF));
    let uts = open(c"/proc/self/ns/uts", O_RDONLY);
    check_eq!(sys!(setns, uts, CLONE_NEWNET), Err(EINVAL), "another kind");
    as_nobody(|| check_eq!(sys!(setns, uts, CLONE_NEWUTS), Err(EPERM)));
    let user = open(c"/proc/self/ns/user", O_RDONLY);
    check_eq!(sys!(setns, user, CLONE_NEWUSER), Err(EINVAL), "one's own user namespace");
    need_cap("CAP_SYS_ADMIN", 21);
    check_eq!(sys!(setns, uts, 0), Ok(0));
    check_eq!(sys!(setns, uts, CLONE_NEWUTS), Ok(0));
});

case!(mount_namespaces_are_copies, [unshare, setns], {
    need_cap("CAP_SYS_ADMIN", 21);
    let before = namespace("mnt");
    let old = open(c"/proc/self/ns/mnt", O_RDONLY);
    if let Err(errno) = sys!(unshare, CLONE_NEWNS) {
        skip!("no mount namespace: {errno:?}");
    }
    check!(namespace("mnt") != before);
    sys!(mount, c"none", c"/", NULL, MS_REC | MS_PRIVATE, NULL).must();
    let place = std::env::current_dir().must().join("m");
    sys!(mkdir, c"m", 0o755).must();
    sys!(mount, c"none", c"m", c"tmpfs", 0, NULL).must();
    create(c"m/f", b"");
    check_eq!(sys!(setns, old, CLONE_NEWNS), Ok(0));
    check_eq!(namespace("mnt"), before);
    check!(place.exists() && !place.join("f").exists(), "mounted in the copy only");
});

case!(unshare_errors, [unshare], {
    as_nobody(|| {
        check_eq!(sys!(unshare, CLONE_NEWNS), Err(EPERM));
        check_eq!(sys!(unshare, CLONE_NEWUTS), Err(EPERM));
    });
    let other = spawn(|| sleep_ms(500));
    check_eq!(sys!(unshare, CLONE_THREAD), Err(EINVAL), "there are other threads");
    check_eq!(sys!(unshare, CLONE_VM), Err(EINVAL));
    other.join().ok().must();
    check_eq!(sys!(unshare, CLONE_FILES), Ok(0));
});
