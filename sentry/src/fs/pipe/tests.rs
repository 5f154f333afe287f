use linux_abi::fs::OpenFlags;

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
    let pipe = Pipe::new();
    let reader = PipeFile::attach(&pipe, true, false).expect_first_writer();
    assert_eq!(reader.readiness(), PollEvents::empty());
    drop(PipeFile::attach(&pipe, false, true));
    assert_eq!(reader.readiness(), PollEvents::HUP);
}

#[test]
fn fifo_forgets_its_bytes_with_the_last_end() {
    let pipe = Pipe::new();
    let both = PipeFile::attach(&pipe, true, true);
    assert_eq!(write(both.pipe(), b"abc"), Ok(3));
    drop(both);
    assert_eq!(pipe.unread(), 0);
}

fn poll_once<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut cx) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn fifo_openers_meet() {
    let pipe = Pipe::new();
    let mut reader = std::pin::pin!(open_fifo(&pipe, OpenFlags::empty()));
    assert!(poll_once(reader.as_mut()).is_none());
    let writer = poll_once(std::pin::pin!(open_fifo(&pipe, OpenFlags::WRONLY)));
    // The reader gets through even if the writer has already gone.
    drop(writer.unwrap().unwrap());
    assert!(poll_once(reader.as_mut()).unwrap().is_ok());
}

#[test]
fn fifo_writer_alone_waits_or_fails() {
    let pipe = Pipe::new();
    let eager = OpenFlags::WRONLY | OpenFlags::NONBLOCK;
    let result = poll_once(std::pin::pin!(open_fifo(&pipe, eager))).unwrap();
    assert_eq!(result.err(), Some(Errno::ENXIO));
    assert!(poll_once(std::pin::pin!(open_fifo(&pipe, OpenFlags::WRONLY))).is_none());
    // An interrupted open leaves no writer behind.
    assert_eq!(pipe.state.lock().writers, 0);
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

#[test]
fn an_anonymous_pipe_is_opened_again_without_waiting() {
    let (reader, writer) = PipeFile::pair();
    write(writer.pipe(), b"x").unwrap();
    drop(writer);
    let again = poll_once(std::pin::pin!(open_fifo(reader.pipe(), OpenFlags::empty())));
    assert_eq!(read(again.unwrap().unwrap().pipe(), 10), Ok(b"x".to_vec()));
}
