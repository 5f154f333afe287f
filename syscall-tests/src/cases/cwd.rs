//! chdir, fchdir, getcwd, chroot, umask.

use crate::support::prelude::*;

fn cwd() -> String {
    let mut buf = [0u8; 4096];
    let len = sys!(getcwd, &mut buf, buf.len()).must() as usize;
    check_eq!(buf[len - 1], 0, "the length counts the final zero");
    String::from_utf8_lossy(&buf[..len - 1]).into_owned()
}

case!(chdir_changes_where_paths_start, [chdir, getcwd], {
    let start = cwd();
    sys!(mkdir, c"d", 0o755).must();
    create(c"d/f", b"abc");
    check_eq!(sys!(chdir, c"d"), Ok(0));
    check_eq!(cwd(), format!("{start}/d"));
    check_eq!(content(c"f"), b"abc");
    check_eq!(sys!(chdir, c".."), Ok(0));
    check_eq!(cwd(), start);
    check_eq!(sys!(chdir, c"/"), Ok(0));
    check_eq!(cwd(), "/");
});

case!(chdir_errors, [chdir, fchdir], {
    create(c"f", b"");
    check_eq!(sys!(chdir, c"missing"), Err(ENOENT));
    check_eq!(sys!(chdir, c"f"), Err(ENOTDIR));
    check_eq!(sys!(chdir, c""), Err(ENOENT));
    check_eq!(sys!(chdir, BAD), Err(EFAULT));
    check_eq!(sys!(fchdir, 99), Err(EBADF));
    check_eq!(sys!(fchdir, open(c"f", O_RDONLY)), Err(ENOTDIR));
});

case!(chdir_needs_search_permission, [chdir, fchdir], {
    need_root();
    sys!(mkdir, c"d", 0o700).must();
    let fd = open(c"d", O_RDONLY);
    as_nobody(|| {
        check_eq!(sys!(chdir, c"d"), Err(EACCES));
        check_eq!(sys!(fchdir, fd), Err(EACCES));
    });
});

case!(fchdir_to_an_open_directory, [fchdir], {
    let start = cwd();
    sys!(mkdir, c"d", 0o755).must();
    let fd = open(c"d", O_PATH);
    check_eq!(sys!(fchdir, fd), Ok(0));
    check_eq!(cwd(), format!("{start}/d"));
});

case!(getcwd_resolves_symlinks_and_renames, [getcwd], {
    let start = cwd();
    sys!(mkdir, c"d", 0o755).must();
    sys!(symlink, c"d", c"s").must();
    sys!(chdir, c"s").must();
    check_eq!(cwd(), format!("{start}/d"));
    sys!(rename, c"../d", c"../e").must();
    check_eq!(cwd(), format!("{start}/e"));
});

case!(getcwd_errors, [getcwd], {
    let mut buf = [0u8; 4096];
    check_eq!(sys!(getcwd, &mut buf, 1), Err(ERANGE));
    check_eq!(sys!(getcwd, &mut buf, 0), Err(ERANGE));
    check_eq!(sys!(getcwd, BAD, 4096), Err(EFAULT));
    let len = cwd().len();
    check_eq!(sys!(getcwd, &mut buf, len), Err(ERANGE));
    check_eq!(sys!(getcwd, &mut buf, len + 1), Ok(len as i64 + 1));
});

case!(removed_cwd_is_enoent, [getcwd], {
    sys!(mkdir, c"d", 0o755).must();
    sys!(chdir, c"d").must();
    sys!(rmdir, c"../d").must();
    check_eq!(sys!(getcwd, &mut [0u8; 4096], 4096), Err(ENOENT));
    check_eq!(sys!(open, c"f", O_RDWR | O_CREAT, 0o644), Err(ENOENT));
});

case!(child_has_its_own_cwd_but_threads_share, [chdir, fork, clone], {
    let start = cwd();
    sys!(mkdir, c"d", 0o755).must();
    fork(|| {
        sys!(chdir, c"d").must();
    })
    .ok();
    check_eq!(cwd(), start);
    spawn(|| sys!(chdir, c"d").must()).join().ok().must();
    check_eq!(cwd(), format!("{start}/d"));
});

case!(umask_returns_the_old_mask, [umask], {
    sys!(umask, 0o022).must();
    check_eq!(sys!(umask, 0o7777), Ok(0o022));
    check_eq!(sys!(umask, 0), Ok(0o777), "only permission bits count");
    create(c"f", b"");
    let fd = sys!(open, c"g", O_CREAT | O_RDWR, 0o666).must() as i32;
    check_eq!(fstat(fd).st_mode & 0o777, 0o666);
    sys!(umask, 0o077).must();
    fork(|| check_eq!(sys!(umask, 0), Ok(0o077))).ok();
    check_eq!(sys!(umask, 0), Ok(0o077), "a child changes its own");
});

case!(chroot_moves_the_root, [chroot], {
    need_cap("CAP_SYS_CHROOT", 18);
    sys!(mkdir, c"new", 0o755).must();
    sys!(mkdir, c"new/in", 0o755).must();
    create(c"new/f", b"abc");
    create(c"outside", b"");
    check_eq!(sys!(chroot, c"new"), Ok(0));
    check_eq!(content(c"/f"), b"abc");
    check_eq!(content(c"outside"), b"", "the working directory stays");
    sys!(chdir, c"/in").must();
    check_eq!(cwd(), "/in");
    check_eq!(sys!(open, c"../../outside", O_RDONLY, 0), Err(ENOENT), "`..` ends at the root");
    sys!(symlink, c"/f", c"/s").must();
    check_eq!(content(c"/s"), b"abc", "absolute symlinks start at the new root");
});

case!(cwd_outside_the_root_is_unreachable, [chroot, getcwd], {
    need_cap("CAP_SYS_CHROOT", 18);
    sys!(mkdir, c"new", 0o755).must();
    sys!(chroot, c"new").must();
    check!(cwd().starts_with("(unreachable)/"), "{}", cwd());
});

case!(chroot_errors, [chroot], {
    create(c"f", b"");
    check_eq!(sys!(chroot, c"missing"), Err(ENOENT));
    check_eq!(sys!(chroot, c"f"), Err(ENOTDIR));
    check_eq!(sys!(chroot, BAD), Err(EFAULT));
    as_nobody(|| check_eq!(sys!(chroot, c"/"), Err(EPERM)));
});
