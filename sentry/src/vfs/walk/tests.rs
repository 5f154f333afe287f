use super::*;
use crate::fs::tmpfs::{Tmpfs, TmpfsOptions};
use crate::vfs::testing::TestTree;
use crate::vfs::{
    BindRequest, DeviceId, MountOptions, NewNodeKind, RenameEnd, create_entry, getcwd_path,
    open_path, path_of, remove_directory, rename_entry,
};
use linux_abi::fs::{FileKind, OpenFlags, RenameFlags};

fn tree() -> TestTree {
    let tree = TestTree::new();
    tree.make("dir", NewNodeKind::Directory);
    tree.make("dir/file", NewNodeKind::Regular);
    tree.make("dir/sub", NewNodeKind::Directory);
    tree.make("link", NewNodeKind::Symlink(b"dir"));
    tree.make("abs", NewNodeKind::Symlink(b"/dir/file"));
    tree.make("dangling", NewNodeKind::Symlink(b"nowhere"));
    tree.make("loop", NewNodeKind::Symlink(b"loop"));
    tree
}

fn shown(tree: &TestTree, path: &str) -> Result<String, Errno> {
    let place = tree.lookup(path, true)?;
    Ok(String::from_utf8(path_of(&place, &tree.root())).unwrap())
}

#[test]
fn dots_links_and_slashes_resolve_as_on_linux() {
    let tree = tree();
    assert_eq!(shown(&tree, "/dir/./sub/../file"), Ok("/dir/file".into()));
    assert_eq!(shown(&tree, "link/sub//"), Ok("/dir/sub".into()));
    assert_eq!(shown(&tree, "abs"), Ok("/dir/file".into()));
    assert_eq!(shown(&tree, "/../../dir"), Ok("/dir".into()));
    assert_eq!(tree.lookup("link", false).unwrap().kind(), FileKind::Symlink);
    assert_eq!(tree.lookup("link/", false).unwrap().kind(), FileKind::Directory);
    for (path, errno) in [
        ("", Errno::ENOENT),
        ("dir/none", Errno::ENOENT),
        ("none/x", Errno::ENOENT),
        ("dir/file/", Errno::ENOTDIR),
        ("dir/file/x", Errno::ENOTDIR),
        ("dir/file/..", Errno::ENOTDIR),
        ("dangling", Errno::ENOENT),
        ("loop", Errno::ELOOP),
    ] {
        assert_eq!(shown(&tree, path), Err(errno), "{path}");
    }
    let long = format!("dir/{}", "n".repeat(256));
    assert_eq!(shown(&tree, &long), Err(Errno::ENAMETOOLONG));
    assert_eq!(shown(&tree, &long[..259]), Err(Errno::ENOENT));
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let tree = TestTree::new();
    tree.make("l0", NewNodeKind::Regular);
    for index in 1..=41 {
        let target = format!("l{}", index - 1);
        tree.make(&format!("l{index}"), NewNodeKind::Symlink(target.as_bytes()));
    }
    assert!(tree.lookup("l40", true).is_ok());
    assert_eq!(tree.lookup("l41", true).err(), Some(Errno::ELOOP));
}

#[test]
fn dot_dot_leaves_mounts_and_bind_mounts_show_their_part() {
    let tree = tree();
    let fs = Tmpfs::with_device(DeviceId { major: 0, minor: 99 }, &TmpfsOptions::default());
    let at = tree.lookup("dir/sub", true).unwrap();
    tree.namespace.mount(&at, fs, MountOptions::empty(), b"x".to_vec()).unwrap();
    tree.make("dir/sub/inner", NewNodeKind::Directory);
    assert_eq!(shown(&tree, "dir/sub/inner/../.."), Ok("/dir".into()));
    assert_eq!(shown(&tree, "dir/sub/inner"), Ok("/dir/sub/inner".into()));
    tree.make("copy", NewNodeKind::Directory);
    let (from, to) = (tree.lookup("dir", true).unwrap(), tree.lookup("copy", true).unwrap());
    tree.namespace.bind(&from, &to, BindRequest::default()).unwrap();
    assert_eq!(shown(&tree, "copy/sub/inner"), Err(Errno::ENOENT));
    assert_eq!(shown(&tree, "copy/sub/.."), Ok("/copy".into()));
    assert_eq!(shown(&tree, "copy/.."), Ok("/".into()));
    let root = tree.lookup("dir/sub", true).unwrap();
    assert_eq!(tree.namespace.unmount(&root, false), Ok(()));
    assert_eq!(shown(&tree, "dir/sub/inner"), Err(Errno::ENOENT));
}

#[test]
fn restrictions_of_openat2_hold() {
    let tree = tree();
    let restricted = |path: &str, resolve| {
        let mut context = tree.context();
        context.start = tree.lookup("dir", true).unwrap();
        context.resolve = resolve;
        context.lookup(path.as_bytes(), true, false).map(drop)
    };
    assert_eq!(restricted("../dir/file", ResolveFlags::BENEATH), Err(Errno::EXDEV));
    assert_eq!(restricted("/dir/file", ResolveFlags::BENEATH), Err(Errno::EXDEV));
    assert_eq!(restricted("sub/../file", ResolveFlags::BENEATH), Ok(()));
    assert_eq!(restricted("/../file", ResolveFlags::IN_ROOT), Ok(()));
    assert_eq!(restricted("../link", ResolveFlags::NO_SYMLINKS), Err(Errno::ELOOP));
    assert_eq!(restricted("../link", ResolveFlags::NO_MAGICLINKS), Ok(()));
}

#[test]
fn search_permission_is_needed_on_the_way_and_write_to_create() {
    let tree = tree();
    tree.make("private", NewNodeKind::Directory);
    tree.make("private/x", NewNodeKind::Regular);
    tree.chmod("private", 0o700);
    let mut context = tree.context();
    context.credentials = TestTree::user(1000);
    let lookup = |path: &str| context.lookup(path.as_bytes(), true, false).map(drop);
    assert_eq!(lookup("private"), Ok(()));
    assert_eq!(lookup("private/x"), Err(Errno::EACCES));
    assert_eq!(lookup("private/../dir"), Err(Errno::EACCES));
    let dir = tree.lookup("dir", true).unwrap();
    let made = create_entry(&context.credentials, &dir, b"new", NewNodeKind::Regular, 0o644);
    assert_eq!(made.err(), Some(Errno::EACCES));
}

#[test]
fn absent_names_are_forgotten_when_made() {
    let tree = tree();
    assert_eq!(shown(&tree, "dir/new"), Err(Errno::ENOENT));
    assert_eq!(shown(&tree, "dir/new"), Err(Errno::ENOENT));
    tree.make("dir/new", NewNodeKind::Regular);
    assert_eq!(shown(&tree, "dir/new"), Ok("/dir/new".into()));
}

#[test]
fn renamed_and_removed_directories_show_where_they_are() {
    let tree = tree();
    let sub = tree.lookup("dir/sub", true).unwrap();
    let root = tree.root();
    let dir = tree.lookup("dir", true).unwrap();
    let from = RenameEnd { directory: &dir, name: b"sub", has_slash: false };
    let to = RenameEnd { directory: &root, name: b"moved", has_slash: false };
    let credentials = Credentials::root();
    rename_entry(&credentials, &from, &to, RenameFlags::empty(), 1).unwrap();
    assert_eq!(path_of(&sub, &root), b"/moved");
    assert_eq!(shown(&tree, "dir/sub"), Err(Errno::ENOENT));
    remove_directory(&credentials, &root, sub.dentry()).unwrap();
    assert_eq!(path_of(&sub, &root), b"/moved (deleted)");
    assert_eq!(getcwd_path(&sub, &root), Err(Errno::ENOENT));
    let made = create_entry(&credentials, &sub, b"x", NewNodeKind::Regular, 0o644);
    assert_eq!(made.err(), Some(Errno::ENOENT));
}

#[test]
fn a_directory_cannot_move_into_itself() {
    let tree = tree();
    let (root, sub) = (tree.root(), tree.lookup("dir/sub", true).unwrap());
    let rename = |from: &Location, old: &[u8], to: &Location, new: &[u8]| {
        let from = RenameEnd { directory: from, name: old, has_slash: false };
        let to = RenameEnd { directory: to, name: new, has_slash: false };
        rename_entry(&Credentials::root(), &from, &to, RenameFlags::empty(), 1)
    };
    assert_eq!(rename(&root, b"dir", &sub, b"x"), Err(Errno::EINVAL));
    let dir = tree.lookup("dir", true).unwrap();
    assert_eq!(rename(&dir, b"sub", &root, b"dir"), Err(Errno::ENOTEMPTY));
    assert_eq!(rename(&dir, b"file", &root, b"dir"), Err(Errno::ENOTEMPTY));
    assert_eq!(rename(&dir, b"file", &dir, b"sub"), Err(Errno::EISDIR));
    assert_eq!(rename(&dir, b"sub", &dir, b"file"), Err(Errno::ENOTDIR));
    assert_eq!(rename(&dir, b"file", &dir, b"file"), Ok(()));
}

#[test]
fn open_creates_through_dangling_links_and_respects_exclusive() {
    let tree = tree();
    let open = |path: &str, flags: OpenFlags| {
        let request = crate::vfs::OpenRequest { flags, mode: 0o644, ..Default::default() };
        open_path(&tree.context(), path.as_bytes(), &request, 0o022).map(drop)
    };
    let create = OpenFlags::CREAT | OpenFlags::RDWR;
    assert_eq!(open("dangling", create | OpenFlags::EXCL), Err(Errno::EEXIST));
    assert_eq!(open("dangling", create | OpenFlags::NOFOLLOW), Err(Errno::ELOOP));
    assert_eq!(open("dangling", create), Ok(()));
    assert_eq!(shown(&tree, "nowhere"), Ok("/nowhere".into()));
    assert_eq!(open("dir", create), Err(Errno::EISDIR));
    assert_eq!(open("dir", create | OpenFlags::EXCL), Err(Errno::EEXIST));
    assert_eq!(open("new/", create), Err(Errno::EISDIR));
    assert_eq!(open("dir/..", create), Err(Errno::EISDIR));
    assert_eq!(open("dir", OpenFlags::WRONLY), Err(Errno::EISDIR));
    assert_eq!(open("link", OpenFlags::NOFOLLOW), Err(Errno::ELOOP));
    let only_dir = OpenFlags::NOFOLLOW | OpenFlags::DIRECTORY;
    assert_eq!(open("link", only_dir), Err(Errno::ENOTDIR));
    assert_eq!(open("dir/file", OpenFlags::DIRECTORY), Err(Errno::ENOTDIR));
    let unnamed = OpenFlags::TMPFILE | OpenFlags::RDWR;
    assert_eq!(open("dir", unnamed), Ok(()));
    tree.root().mount().set_options(MountOptions::RDONLY);
    assert_eq!(open("dir/file", OpenFlags::WRONLY), Err(Errno::EROFS));
    assert_eq!(open("dir/none", create), Err(Errno::EROFS));
    assert_eq!(open("dir/file", OpenFlags::CREAT), Ok(()));
}

#[test]
fn many_names_do_not_pile_up() {
    let tree = TestTree::new();
    tree.make("d", NewNodeKind::Directory);
    let dir = tree.lookup("d", true).unwrap();
    let credentials = Credentials::root();
    for index in 0..40_000 {
        let name = format!("f{index}");
        create_entry(&credentials, &dir, name.as_bytes(), NewNodeKind::Regular, 0o644).unwrap();
    }
    assert!(dir.dentry().superblock().cached_names() <= 32 << 10);
    for index in [0, 20_000, 39_999] {
        assert!(tree.lookup(&format!("d/f{index}"), true).is_ok());
    }
}
