use linux_abi::tty::*;

use super::*;
use crate::memory::{IoDest, IoSource};
use crate::vfs::IoContext;

const PLAIN: IoContext<'static> = IoContext { task: None, flags: OpenFlags::empty() };

struct Nobody;

impl PtyOwner for Nobody {
    fn master_closed(&self, _: u32) {}
    fn released(&self, _: u32) {}
}

fn pair() -> (MasterFile, SlaveFile) {
    let owner: Weak<dyn PtyOwner> = Weak::<Nobody>::new();
    let pty = Pty::new(3, owner);
    assert_eq!(SlaveFile::open(&pty, true).err(), Some(Errno::EIO));
    pty.state.lock().is_locked = false;
    let slave = SlaveFile::open(&pty, false).unwrap();
    (MasterFile::new(pty, None), slave)
}

fn write(file: &dyn File, data: &[u8]) -> Result<usize, Errno> {
    file.write(&mut IoSource::kernel(data), 0, &PLAIN).map(|(count, _)| count)
}

fn read(file: &dyn File, max: usize) -> Result<String, Errno> {
    let mut data = Vec::new();
    file.read(&mut IoDest::collect(&mut data, max), 0, &PLAIN)?;
    Ok(String::from_utf8(data).unwrap())
}

#[test]
fn lines_go_in_and_echo_comes_back() {
    let (master, slave) = pair();
    assert_eq!(read(&slave, 10), Err(Errno::EAGAIN));
    assert_eq!(write(&master, b"hi\r"), Ok(3));
    assert!(slave.readiness().contains(READABLE));
    assert_eq!(read(&slave, 10), Ok("hi\n".to_owned()));
    assert_eq!(write(&slave, b"out\n"), Ok(4));
    assert_eq!(read(&master, 100), Ok("hi\r\nout\r\n".to_owned()));
    assert_eq!(read(&master, 100), Err(Errno::EAGAIN));
}

#[test]
fn closing_the_slave_is_eio_for_the_master_until_it_is_opened_again() {
    let (master, slave) = pair();
    write(&slave, b"last").unwrap();
    drop(slave);
    assert!(master.readiness().contains(PollEvents::HUP));
    assert_eq!(read(&master, 100), Ok("last".to_owned()));
    assert_eq!(read(&master, 100), Err(Errno::EIO));
    let _slave = SlaveFile::open(&master.pty, false).unwrap();
    assert_eq!(read(&master, 100), Err(Errno::EAGAIN));
}

#[test]
fn closing_the_master_hangs_the_slave_up() {
    let (master, slave) = pair();
    let pty = master.pty.clone();
    drop(master);
    assert_eq!(slave.readiness(), HUNG_UP);
    assert_eq!(read(&slave, 10), Ok(String::new()));
    assert_eq!(write(&slave, b"x"), Err(Errno::EIO));
    assert_eq!(SlaveFile::open(&pty, true).err(), Some(Errno::EIO));
}

#[test]
fn a_full_screen_makes_writers_wait() {
    let (master, slave) = pair();
    let mut total = 0;
    while let Ok(count) = write(&slave, &[b'x'; 10_000]) {
        total += count;
    }
    assert_eq!(total, SCREEN_LIMIT);
    assert!(!slave.readiness().contains(WRITABLE));
    read(&master, 4096).unwrap();
    assert!(slave.readiness().contains(WRITABLE));
}

#[test]
fn much_typing_waits_for_the_reader() {
    let (master, slave) = pair();
    let line = [&[b'x'; 99][..], b"\n"].concat();
    let mut typed = 0;
    while let Ok(count) = write(&master, &line) {
        typed += count;
    }
    assert!(typed > TYPED_LIMIT);
    let mut got = 0;
    while let Ok(line) = read(&slave, 4096) {
        got += line.len();
    }
    // The last line was cut and has no end yet.
    assert_eq!(got, typed / 100 * 100);
    assert!(master.readiness().contains(WRITABLE));
}

#[test]
fn packet_mode_tells_of_flow_and_flushes() {
    let (master, slave) = pair();
    master.pty.state.lock().packet = Some(0);
    write(&slave, b"ab").unwrap();
    assert_eq!(read(&master, 100), Ok("\0ab".to_owned()));
    write(&master, b"\x13").unwrap();
    assert!(master.readiness().contains(PollEvents::PRI));
    assert_eq!(read(&master, 100).unwrap().as_bytes(), [TIOCPKT_STOP]);
    assert_eq!(write(&slave, b"x"), Err(Errno::EAGAIN));
    write(&master, b"\x11").unwrap();
    assert_eq!(read(&master, 100).unwrap().as_bytes(), [TIOCPKT_START]);
}
