use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::poll::PollEvents;
use platform::host;

use super::*;
use crate::memory::{IoDest, IoSource};
use crate::time::Timers;
use crate::vfs::{File, IoContext, SeekFrom};

const PLAIN: IoContext<'static> = IoContext { task: None, flags: OpenFlags::empty() };

fn write(file: &dyn File, data: &[u8], offset: u64) -> Result<(usize, u64), Errno> {
    file.write(&mut IoSource::kernel(data), offset, &PLAIN)
}

fn read(file: &dyn File, offset: u64) -> Result<Vec<u8>, Errno> {
    let mut data = Vec::new();
    file.read(&mut IoDest::collect(&mut data, 100), offset, &PLAIN)?;
    Ok(data)
}

#[test]
fn a_pipe_of_the_host_passes_bytes_and_readiness() {
    let (reader, writer) = host::fs::pipe().unwrap();
    let timers = Timers::start().unwrap();
    let file = |fd| HostStreamFile(Arc::new(HostStream::new(fd, &timers)));
    let (reader, writer) = (file(reader), file(writer));
    assert!(!reader.readiness().contains(PollEvents::IN));
    assert_eq!(read(&reader, 0), Err(Errno::EAGAIN));
    assert_eq!(write(&writer, b"hello", 0), Ok((5, 0)));
    assert!(reader.readiness().contains(PollEvents::IN));
    assert_eq!(read(&reader, 0), Ok(b"hello".to_vec()));
    drop(writer);
    assert!(reader.readiness().contains(PollEvents::HUP));
}

#[test]
fn two_descriptors_of_one_file_write_one_after_the_other() {
    let fd = host::fs::memfd_create("out").unwrap();
    let other = HostRegular::new(host::fs::dup(&fd).unwrap()).unwrap();
    let file = HostRegular::new(fd).unwrap();
    assert_eq!(write(&file, b"one ", 0), Ok((4, 4)));
    assert_eq!(write(&other, b"two ", 0), Ok((4, 4)));
    assert_eq!(write(&file, b"three", 4), Ok((5, 9)));
    assert_eq!(read(&file, 2), Ok(b"e two three".to_vec()));
    assert_eq!(file.offset(), Ok(13));
}

#[test]
fn a_seek_moves_the_shared_offset() {
    let file = HostRegular::new(host::fs::memfd_create("in").unwrap()).unwrap();
    write(&file, b"abcdef", 0).unwrap();
    assert_eq!(file.seek(6, SeekFrom::Start(2), 6), Ok(2));
    assert_eq!(read(&file, 2), Ok(b"cdef".to_vec()));
    assert_eq!(file.seek(6, SeekFrom::Current(-1), 6), Ok(5));
    assert_eq!(file.seek(6, SeekFrom::Start(-1), 6), Err(Errno::EINVAL));
}
