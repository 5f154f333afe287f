//! Address spaces that are made before they are asked for.

use std::time::{Duration, Instant};

use super::guest::{DATA, Guest, getpid_loop, kill, park_until, spin};

/// How many are made.
const READY: usize = 2;

/// Lets a process die, and waits until blank ones are ready.
fn fill(guest: Guest) {
    let platform = guest.platform.clone();
    platform.expect_address_space();
    drop(guest);
    park_until(&*platform, || platform.blank_count() == READY);
    // Beside the template.
    Guest::await_host_children(1 + READY);
    assert_eq!(platform.thread_count(), 0);
}

pub fn blank_processes_wait_for_programs() {
    let mut first = Guest::new(getpid_loop());
    first.run_to_call();
    let platform = first.platform.clone();
    fill(first);
    let ready = Guest::host_children();
    // They are used, and the next one is made when it is asked for.
    let mut guests: Vec<_> = (0..=READY).map(|_| Guest::blank(&platform)).collect();
    let all = Guest::host_children();
    assert_eq!((&all[..=READY], all.len()), (&ready[..], ready.len() + 1));
    assert_eq!(platform.thread_count(), READY + 1);
    let image = guests[READY].thread.fp_state().expect("xsave");
    for guest in &mut guests {
        assert_eq!(guest.thread.fp_state().expect("xsave"), image);
        assert!(guest.space.read(DATA, &mut [0]).is_err());
        assert_eq!(guest.space.usage().expect("usage").data, 0);
    }
    let ids: std::collections::HashSet<_> = guests.iter().map(|guest| guest.space.id()).collect();
    assert_eq!(ids.len(), guests.len());
    drop(guests);
    // Nobody has said that there will be more.
    park_until(&*platform, || platform.thread_count() == 0);
    Guest::await_host_children(1);
}

pub fn a_killed_blank_process_is_not_used() {
    let first = Guest::new(getpid_loop());
    let platform = first.platform.clone();
    fill(first);
    for pid in Guest::host_children().split_off(1) {
        kill(pid, libc::SIGKILL);
    }
    // Until that is known an operation may fail.
    Guest::await_host_children(1);
    let mut guest = Guest::on(&platform, getpid_loop());
    guest.run_to_call();
    assert_eq!(platform.thread_count(), 1);
}

pub fn blank_processes_end_with_the_platform() {
    for round in 0..20 {
        let first = Guest::new(spin());
        let platform = first.platform.clone();
        if round % 2 == 0 {
            fill(first);
        } else {
            // Some may be in the making.
            platform.expect_address_space();
            drop(first);
            let end = Instant::now() + Duration::from_micros(round * 50);
            while Instant::now() < end {
                platform.park(Some(end));
            }
        }
        drop(platform);
        assert_eq!(Guest::host_children().len(), 0);
    }
}
