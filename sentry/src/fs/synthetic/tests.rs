use super::*;
use crate::memory::{IoDest, IoSource};
use crate::vfs::{DirEntry, File, IoContext};
use linux_abi::fs::OpenFlags;
use std::sync::atomic::AtomicU32;

const IO: IoContext<'static> = IoContext { task: None, flags: OpenFlags::empty() };

fn read_all(file: &dyn File, offset: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.read(&mut IoDest::collect(&mut bytes, 4096), offset, &IO).unwrap();
    bytes
}

fn names(file: &dyn File, position: u64, max: usize) -> (Vec<String>, u64) {
    let mut names = Vec::new();
    let mut sink = |entry: DirEntry| {
        let fits = names.len() < max;
        if fits {
            names.push(String::from_utf8(entry.name.to_vec()).unwrap());
        }
        fits
    };
    let next = file.read_dir(position, 1, &IO, &mut sink).unwrap();
    (names, next)
}

#[test]
fn content_is_generated_at_the_start_only() {
    let source = NodeSource::new(DeviceId::default());
    let counter = AtomicU32::new(0);
    let file = SyntheticFile::with_mode(&source, 0o444, move |_: &IoContext<'_>| {
        Ok(format!("run {}", counter.fetch_add(1, Ordering::Relaxed)).into_bytes())
    });
    let open = file.open(OpenFlags::empty(), &IO).unwrap();
    assert_eq!(read_all(&*open, 0), b"run 0");
    assert_eq!(read_all(&*open, 4), b"0");
    assert_eq!(read_all(&*open, 9), b"");
    assert_eq!(read_all(&*open, 0), b"run 1");
    let refused = open.write(&mut IoSource::kernel(b"x"), 0, &IO);
    assert_eq!(refused, Err(Errno::EIO));
}

#[test]
fn directory_lists_in_pieces_and_finds() {
    let source = NodeSource::new(DeviceId::default());
    let lazy_source = source.clone();
    let children = FixedChildren::new()
        .with("version", SyntheticFile::fixed(&source, "1\n"))
        .with_lazy("self", move || SyntheticLink::fixed(&lazy_source, "7"));
    let dir = SyntheticDir::fixed(&source, children);
    assert_eq!(dir.lookup(b"self").unwrap().readlink(&IO), Ok(b"7".to_vec()));
    assert!(matches!(dir.lookup(b"other"), Err(Errno::ENOENT)));
    let open = dir.open(OpenFlags::empty(), &IO).unwrap();
    let (first, next) = names(&*open, 0, 3);
    assert_eq!(first, [".", "..", "version"]);
    assert_eq!(names(&*open, next, 9).0, ["self"]);
}
