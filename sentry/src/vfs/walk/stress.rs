//! Many threads change one small tree: nothing deadlocks, breaks the lock order or gets lost.

use std::sync::atomic::{AtomicU64, Ordering};

use linux_abi::Errno;
use linux_abi::fs::RenameFlags;

use crate::task::Credentials;
use crate::vfs::testing::TestTree;
use crate::vfs::walk::Last;
use crate::vfs::{
    NewNodeKind, RenameEnd, create_entry, path_of, remove_directory, remove_file, rename_entry,
};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const STEPS: u64 = 3000;

/// A small generator of numbers: repeatable, and good enough to pick names.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn path(&mut self) -> String {
        let depth = 1 + self.below(3);
        let names: Vec<&str> = (0..depth).map(|_| NAMES[self.below(4) as usize]).collect();
        names.join("/")
    }
}

fn step(tree: &TestTree, numbers: &mut Numbers) -> Result<(), Errno> {
    let credentials = Credentials::root();
    let context = tree.context();
    let path = numbers.path();
    let parent = context.parent(path.as_bytes())?;
    let Last::Name(name) = parent.last else { return Ok(()) };
    match numbers.below(8) {
        0 => create_entry(&credentials, &parent.at, &name, NewNodeKind::Regular, 0o644).map(drop),
        1 | 2 => {
            create_entry(&credentials, &parent.at, &name, NewNodeKind::Directory, 0o755).map(drop)
        }
        3 => {
            let victim = parent.at.dentry().lookup(&name)?;
            remove_file(&credentials, &parent.at, &victim)
        }
        4 => {
            let victim = parent.at.dentry().lookup(&name)?;
            remove_directory(&credentials, &parent.at, &victim)
        }
        5 | 6 => {
            let other = context.parent(numbers.path().as_bytes())?;
            let Last::Name(new_name) = other.last else { return Ok(()) };
            let from = RenameEnd { directory: &parent.at, name: &name, has_slash: false };
            let to = RenameEnd { directory: &other.at, name: &new_name, has_slash: false };
            let exchange = numbers.below(4) == 0;
            let flags = if exchange { RenameFlags::EXCHANGE } else { RenameFlags::empty() };
            rename_entry(&credentials, &from, &to, flags, 1)
        }
        _ => {
            let place = context.lookup(path.as_bytes(), true, false)?;
            assert!(path_of(&place, &tree.root()).starts_with(b"/"));
            Ok(())
        }
    }
}

#[test]
fn concurrent_changes_keep_the_tree_whole() {
    let tree = TestTree::new();
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for seed in 1..=4 {
            let (tree, done) = (&tree, &done);
            scope.spawn(move || {
                let mut numbers = Numbers(seed * 7919);
                for _ in 0..STEPS {
                    if step(tree, &mut numbers).is_ok() {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(done.load(Ordering::Relaxed) > STEPS / 4);
    // What the cache says is what the file system says, in both directions.
    check(&tree, "", 0);
}

fn check(tree: &TestTree, path: &str, depth: usize) {
    if depth > 8 {
        return;
    }
    for name in NAMES {
        let child = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let parent = tree.context().parent(child.as_bytes()).expect("a test tree");
        let cached = parent.at.dentry().lookup(name.as_bytes());
        let real = parent.at.inode().lookup(name.as_bytes());
        match (cached, real) {
            (Ok(cached), Ok(real)) => {
                assert!(crate::vfs::is_same_inode(cached.inode(), &real), "{child}");
                assert!(!cached.is_deleted(), "{child}");
                let place = parent.at.with_dentry(cached);
                assert_eq!(path_of(&place, &tree.root()), format!("/{child}").into_bytes());
                if place.is_directory() {
                    check(tree, &child, depth + 1);
                }
            }
            (Err(cached), Err(real)) => assert_eq!(cached, real, "{child}"),
            (cached, real) => panic!("{child}: {:?} {:?}", cached.err(), real.err()),
        }
    }
}
