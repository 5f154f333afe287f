use super::*;
use crate::vfs::File;

fn write(pipe: &Pipe, data: &[u8]) -> Result<usize, Errno> {
    pipe.write(&mut IoSource::kernel(data), false)
}

fn read(pipe: &Pipe, len: usize) -> Result<Vec<u8>, Errno> {
    let mut data = vec![0; len];
    let count = pipe.read(&mut IoDest::kernel(&mut data))?;
    data.truncate(count);
    Ok(data)
}

#[test]
fn bytes_pass_and_the_end_is_seen() {
    let (reader, writer) = PipeFile::pair();
    let pipe = reader.pipe().clone();
    assert_eq!(read(&pipe, 10), Err(Errno::EAGAIN));
    assert_eq!(write(&pipe, b"hello"), Ok(5));
    assert_eq!(reader.readiness(), READABLE);
    drop(writer);
    assert_eq!(reader.readiness(), READABLE | PollEvents::HUP);
    assert_eq!(read(&pipe, 10), Ok(b"hello".to_vec()));
    assert_eq!(read(&pipe, 10), Ok(Vec::new()));
}

#[test]
fn writing_without_readers_is_epipe_but_nothing_is_nothing() {
    let (reader, writer) = PipeFile::pair();
    drop(reader);
    assert_eq!(write(writer.pipe(), b"x"), Err(Errno::EPIPE));
    assert_eq!(write(writer.pipe(), b""), Ok(0));
    assert_eq!(writer.readiness(), WRITABLE | PollEvents::ERR);
}

#[test]
fn nonblocking_reader_of_a_fifo_sees_no_hangup_before_the_first_writer() {
    let slot = FifoSlot::default();
    let pipe = slot.pipe();
    let reader = PipeFile::attach(&pipe, true, false).expect_first_writer();
    assert_eq!(reader.readiness(), PollEvents::empty());
    drop(PipeFile::attach(&pipe, false, true));
    assert_eq!(reader.readiness(), PollEvents::HUP);
}

#[test]
fn fifo_forgets_its_bytes_with_the_last_end() {
    let slot = FifoSlot::default();
    let both = PipeFile::attach(&slot.pipe(), true, true);
    assert_eq!(write(both.pipe(), b"abc"), Ok(3));
    drop(both);
    assert_eq!(slot.pipe().unread(), 0);
}

#[test]
fn tee_and_move_check_both_sides() {
    let (from_reader, from_writer) = PipeFile::pair();
    let (to_reader, to_writer) = PipeFile::pair();
    let (from, to) = (from_reader.pipe(), to_writer.pipe());
    assert_eq!(tee(from, to, 10), Err(Errno::EAGAIN));
    assert_eq!(tee(from, from, 10), Err(Errno::EINVAL));
    write(from, b"abcdef").unwrap();
    assert_eq!(tee(from, to, 3), Ok(3));
    assert_eq!(move_between(from, to, 100), Ok(6));
    drop(from_writer);
    assert_eq!(move_between(from, to, 100), Ok(0));
    assert_eq!(read(to, 100), Ok(b"abcabcdef".to_vec()));
    drop(to_reader);
    assert_eq!(move_between(from, to, 100), Err(Errno::EPIPE));
}
