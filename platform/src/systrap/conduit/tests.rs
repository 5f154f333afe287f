use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;
use crate::host;

fn conduit() -> Arc<Conduit> {
    Conduit::new(&Arc::default()).expect("a conduit")
}

fn write(conduit: &Conduit, len: usize) -> usize {
    write_as(conduit, len, false)
}

fn write_as(conduit: &Conduit, len: usize, is_packet: bool) -> usize {
    let give = |to: &mut [u8]| {
        to.iter_mut().enumerate().for_each(|(index, byte)| *byte = index as u8);
        Ok(to.len())
    };
    conduit.write_with(len, is_packet, give).expect("nothing fails")
}

/// What a pipe of the host's does, which is the oracle.
struct HostPipe(std::os::fd::OwnedFd, std::os::fd::OwnedFd);

impl HostPipe {
    fn new() -> HostPipe {
        let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_NONBLOCK).expect("a pipe");
        HostPipe(reader, writer)
    }

    fn set_packets(&self, are_packets: bool) {
        let mut flags = nix::fcntl::OFlag::O_NONBLOCK;
        flags.set(nix::fcntl::OFlag::O_DIRECT, are_packets);
        nix::fcntl::fcntl(&self.1, nix::fcntl::FcntlArg::F_SETFL(flags)).expect("its flags");
    }

    fn write(&self, len: usize) -> usize {
        let bytes: Vec<u8> = (0..len).map(|index| index as u8).collect();
        nix::unistd::write(&self.1, &bytes).unwrap_or(0)
    }

    fn read(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let got = nix::unistd::read(&self.0, &mut bytes).unwrap_or(0);
        bytes.truncate(got);
        bytes
    }
}

proptest! {
    /// The same bytes fit, and come out, as of a pipe of the host's.
    #[test]
    fn it_holds_what_a_pipe_holds(
        steps in proptest::collection::vec((any::<bool>(), prop_oneof![
            1_usize..10, 1_usize..5000, Just(4096), Just(4095), 1_usize..80_000,
        ], proptest::bool::weighted(0.2)), 1..80),
    ) {
        let (pipe, conduit) = (HostPipe::new(), conduit());
        for (is_write, len, is_packet) in steps {
            if is_write {
                pipe.set_packets(is_packet);
                prop_assert_eq!(write_as(&conduit, len, is_packet), pipe.write(len));
            } else {
                prop_assert!(conduit.read(len) == pipe.read(len), "other bytes");
            }
        }
    }

    /// Whatever a guest writes there, nothing fails or takes long.
    #[test]
    fn scribbles_harm_nobody(
        head in proptest::collection::vec(any::<u8>(), 128),
        steps in proptest::collection::vec((any::<bool>(), 1_usize..70_000), 1..10),
    ) {
        let conduit = conduit();
        conduit.memory.write(0, &head);
        // Somebody who has the lock for good is for another test.
        conduit.head().unlock();
        for (is_write, len) in steps {
            if is_write {
                prop_assert!(write(&conduit, len) <= len);
            } else {
                prop_assert!(conduit.read(len).len() <= len);
            }
            let _ = (conduit.len(), conduit.readiness(), conduit.watch(End::Reading));
        }
        prop_assert!(conduit.revoke().len() <= bytes::PAGES as usize + 1);
    }
}

#[test]
fn a_lock_that_is_never_given_back_is_not_waited_for() {
    let conduit = conduit();
    assert_eq!(write(&conduit, 100), 100);
    assert!(conduit.head().try_lock(1));
    let before = Instant::now();
    assert_eq!(conduit.revoke()[0].0.len(), 100);
    assert!(before.elapsed() < LOCK_TIMEOUT * 5);
    assert_ne!(conduit.head().state.load(Ordering::Relaxed) & state::REVOKED, 0);
    assert_eq!(conduit.head().holder(), 1, "a thief could meet the one that has it");
}

#[test]
fn whoever_is_stopped_gives_the_lock_back_and_is_told_whether_its_call_is_made() {
    let conduit = conduit();
    let tid = host::process::tid();
    let goal = {
        assert!(conduit.head().try_lock(tid as u32));
        conduit.head().next(conduit.head().write_place(), 0, 5, false).1
    };
    assert!(!conduit.leave(tid, End::Writing, goal.0), "nothing is written yet");
    assert_eq!(conduit.head().holder(), 0);
    assert!(conduit.head().try_lock(tid as u32));
    conduit.head().set_write(goal);
    assert!(conduit.leave(tid, End::Writing, goal.0));
    assert!(!conduit.leave(tid, End::Writing, goal.0), "who has not the lock cannot be told");
    assert_eq!(conduit.read(10).len(), 5);
    assert!(conduit.head().try_lock(77));
    assert!(!conduit.leave(tid, End::Writing, 0));
    assert_eq!(conduit.head().holder(), 77);
}

#[derive(Default)]
struct Ear([AtomicBool; 2]);

impl Listener for Ear {
    fn changed(&self, is_readable: bool) {
        self.0[usize::from(is_readable)].store(true, Ordering::SeqCst);
    }
}

#[test]
fn what_is_watched_for_is_told() {
    let conduit = conduit();
    let ear = Arc::new(Ear::default());
    let listener: Arc<dyn Listener> = ear.clone();
    conduit.set_listener(Arc::downgrade(&listener));
    assert!(conduit.watch(End::Writing).is_writable);
    assert_eq!(conduit.head().wanted.load(Ordering::Relaxed), 0);
    assert!(!conduit.watch(End::Reading).is_readable);
    assert_eq!(conduit.head().wanted.load(Ordering::Relaxed), wanted::IN);
    conduit.tell(End::Writing);
    assert!(ear.0[1].load(Ordering::SeqCst) && !ear.0[0].load(Ordering::SeqCst));
}

#[test]
fn numbers_are_given_out_again() {
    let numbers = Arc::default();
    let first = Conduit::new(&numbers).expect("a conduit");
    let second = Conduit::new(&numbers).expect("a conduit");
    assert_ne!(first.number, second.number);
    let number = first.number;
    drop(first);
    assert_eq!(Conduit::new(&numbers).expect("a conduit").number, number);
}
