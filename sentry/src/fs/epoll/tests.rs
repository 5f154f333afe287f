//! Several threads at one epoll.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::fs::eventfd::EventFd;
use crate::vfs::testing;

const ROUNDS: usize = 5000;

fn watch(epoll: &EpollFile, fd: i32, target: &Arc<FileDescription>) {
    let event = EpollEvent { events: EpollEvents::IN.bits(), data: fd as u64 };
    epoll.epoll().add(&Topology::default(), fd, target, event).unwrap();
}

#[test]
fn what_is_ready_is_ready_for_all_at_once() {
    let file = EpollFile::new();
    let event = testing::open(Box::new(EventFd::new(1, false)));
    watch(&file, 3, &event);
    let epoll = file.epoll().clone();
    let outer = EpollFile::new();
    let inner = testing::open(Box::new(file));
    watch(&outer, 4, &inner);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (0..ROUNDS).for_each(|_| assert_eq!(epoll.collect(8).len(), 1));
        });
        scope.spawn(|| {
            (0..ROUNDS).for_each(|_| assert_eq!(inner.file().readiness(), READABLE));
        });
        scope.spawn(|| {
            (0..ROUNDS).for_each(|_| assert_eq!(outer.epoll().collect(8).len(), 1));
        });
    });
}

#[test]
fn items_come_and_go_while_others_wait() {
    let file = EpollFile::new();
    let event = testing::open(Box::new(EventFd::new(1, false)));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                file.epoll().collect(8);
            }
        });
        for fd in 0..2 {
            let (file, event, is_over) = (&file, &event, &is_over);
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    watch(file, fd, event);
                    let change = EpollEvent { events: EpollEvents::OUT.bits(), data: 9 };
                    file.epoll().modify(fd, event, change).unwrap();
                    file.epoll().delete(fd, event).unwrap();
                }
                is_over.store(true, Ordering::Relaxed);
            });
        }
    });
    assert!(event.file().wait_queue().unwrap().is_empty());
}
