//! seccomp: calls that a supervisor answers.

use crate::support::numbers as nr;
use crate::support::prelude::*;

const FILTER: i32 = 1;
const NEW_LISTENER: i32 = 8;
const TSYNC: i32 = 1;
const TSYNC_ESRCH: i32 = 16;
const WAIT_KILLABLE: i32 = 32;

const RECV: u32 = 0xc050_2100;
const SEND: u32 = 0xc018_2101;
const ID_VALID: u32 = 0x4008_2102;
const ADDFD: u32 = 0x4018_2103;
const SET_FLAGS: u32 = 0x4008_2104;

const CONTINUE: u32 = 1;
const ADD_AT: u32 = 1;
const ADD_AND_SEND: u32 = 2;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    nr: i32,
    arch: u32,
    ip: u64,
    args: [u64; 6],
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Reply {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    source: i32,
    target: i32,
    target_flags: i32,
}

fn receive(listener: i32) -> Notification {
    let mut call = Notification::default();
    check_eq!(sys!(ioctl, listener, RECV, &mut call), Ok(0));
    call
}

fn send(listener: i32, reply: Reply) -> Result<i64, Errno> {
    sys!(ioctl, listener, SEND, &reply)
}

/// Filters the calling thread: a supervisor answers `getppid` and `getpgid`.
fn install(flags: i32) -> Result<i64, Errno> {
    let jump = |number: i64, skip: u64| 0x15 | skip << 16 | (number as u64) << 32;
    let code = [
        0x20,
        jump(nr::getppid, 2),
        jump(nr::getpgid, 1),
        0x06 | 0x7fff_0000u64 << 32,
        0x06 | 0x7fc0_0000u64 << 32,
    ];
    sys!(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).must();
    sys!(seccomp, FILTER, flags, &[5, &raw const code as u64])
}

/// A thread with a filter, and the listener.
struct Supervised {
    thread: std::thread::JoinHandle<()>,
    tid: i32,
    listener: i32,
}

fn supervise(flags: i32, body: impl FnOnce() + Send + 'static) -> Supervised {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = spawn(move || {
        let listener = install(NEW_LISTENER | flags).must() as i32;
        sender.send((gettid(), listener)).ok().must();
        body();
    });
    let (tid, listener) = receiver.recv().ok().must();
    Supervised { thread, tid, listener }
}

impl Supervised {
    fn join(self) -> i32 {
        self.thread.join().ok().must();
        self.listener
    }
}

fn ready(fd: i32) -> i16 {
    let mut poll = pollfd { fd, events: POLLIN | POLLOUT, revents: 0 };
    sys!(poll, &mut poll, 1, 0).must();
    poll.revents
}

fn await_ready(fd: i32, events: i16) {
    while ready(fd) != events {
        sleep_ms(1);
    }
}

case!(the_supervisor_answers, [seccomp, ioctl], {
    let own = sys!(getppid);
    let target = supervise(0, move || {
        check_eq!(sys!(getpgid, 77, 2, 3, 4, 5, 1u64 << 40), Ok(4242));
        check_eq!(sys!(getppid), Err(EPERM));
        check_eq!(sys!(getppid), own);
        check_eq!(sys!(getppid), Ok(-5000));
        check!(sys!(getpid).is_ok());
    });
    let listener = target.listener;
    let call = receive(listener);
    check_eq!((call.pid, call.nr, call.flags), (target.tid as u32, nr::getpgid as i32, 0));
    check_eq!((call.arch, call.args), (0xc000_003e, [77, 2, 3, 4, 5, 1 << 40]));
    check!(call.ip > 0x1000);
    check_eq!(sys!(ioctl, listener, ID_VALID, &call.id), Ok(0));
    check_eq!(send(listener, Reply { id: call.id, value: 4242, ..Reply::default() }), Ok(0));
    let next = receive(listener);
    check_eq!(next.id, call.id + 1);
    check_eq!(sys!(ioctl, listener, ID_VALID, &call.id), Err(ENOENT));
    check_eq!(send(listener, Reply { id: next.id, error: -EPERM.0, value: 1, flags: 0 }), Ok(0));
    let id = receive(listener).id;
    check_eq!(send(listener, Reply { id, flags: CONTINUE, ..Reply::default() }), Ok(0));
    let id = receive(listener).id;
    check_eq!(send(listener, Reply { id, value: -5000, ..Reply::default() }), Ok(0));
    target.join();
});

case!(bad_requests_of_supervisors, [seccomp, ioctl], {
    let target = supervise(0, || check_eq!(sys!(getppid), Ok(0)));
    let listener = target.listener;
    check_eq!(sys!(fcntl, listener, F_GETFD), Ok(i64::from(FD_CLOEXEC)));
    await_ready(listener, POLLIN);
    check_eq!(
        sys!(ioctl, listener, RECV, &mut Notification { id: 1, ..Default::default() }),
        Err(EINVAL)
    );
    check_eq!(sys!(ioctl, listener, RECV, BAD), Err(EFAULT));
    let call = receive(listener);
    let id = call.id;
    check_eq!(send(listener, Reply { id, flags: 2, ..Reply::default() }), Err(EINVAL));
    check_eq!(
        send(listener, Reply { id, flags: CONTINUE, value: 1, ..Reply::default() }),
        Err(EINVAL)
    );
    check_eq!(
        send(listener, Reply { id, flags: CONTINUE, error: -1, ..Reply::default() }),
        Err(EINVAL)
    );
    check_eq!(send(listener, Reply { id: id + 1, ..Reply::default() }), Err(ENOENT));
    check_eq!(sys!(ioctl, listener, SEND, BAD), Err(EFAULT));
    check_eq!(sys!(ioctl, listener, ID_VALID, &(id + 1)), Err(ENOENT));
    check_eq!(sys!(ioctl, listener, ID_VALID, BAD), Err(EFAULT));
    check_eq!(sys!(ioctl, listener, SET_FLAGS, 1), Ok(0));
    check_eq!(sys!(ioctl, listener, SET_FLAGS, 2), Err(EINVAL));
    check_eq!(sys!(ioctl, listener, 0x2105, 0), Err(EINVAL));
    check_eq!(sys!(ioctl, listener, TIOCGWINSZ, &mut [0u64; 4]), Err(EINVAL));
    check_eq!(sys!(read, listener, &mut [0u8; 8], 8), Err(EINVAL));
    let add = |add: AddFd| sys!(ioctl, listener, ADDFD, &add);
    let good = AddFd { id, source: listener, ..AddFd::default() };
    check_eq!(add(AddFd { target: 5, ..good }), Err(EINVAL));
    check_eq!(add(AddFd { flags: 4, ..good }), Err(EINVAL));
    check_eq!(add(AddFd { target_flags: O_NONBLOCK, ..good }), Err(EINVAL));
    check_eq!(add(AddFd { source: 999, ..good }), Err(EBADF));
    check_eq!(add(AddFd { id: id + 1, ..good }), Err(ENOENT));
    check_eq!(add(AddFd { flags: ADD_AT, target: 1 << 30, ..good }), Err(EBADF));
    check_eq!(send(listener, Reply { id, ..Reply::default() }), Ok(0));
    target.join();
});

case!(a_listener_tells_its_readiness, [seccomp, poll], {
    static STEP: AtomicU32 = AtomicU32::new(0);
    let target = supervise(0, || {
        while STEP.load(SeqCst) == 0 {
            sleep_ms(1);
        }
        check_eq!(sys!(getppid), Ok(0));
    });
    let listener = target.listener;
    check_eq!(ready(listener), 0);
    STEP.store(1, SeqCst);
    await_ready(listener, POLLIN);
    let id = receive(listener).id;
    check_eq!(ready(listener), POLLOUT);
    check_eq!(send(listener, Reply { id, ..Reply::default() }), Ok(0));
    target.join();
    await_ready(listener, POLLHUP);
    check_eq!(sys!(ioctl, listener, RECV, &mut Notification::default()), Err(ENOENT));
});

case!(without_a_listener_calls_do_not_exist, [seccomp, close], {
    let target = supervise(0, || {
        for _ in 0..3 {
            check_eq!(sys!(getppid), Err(ENOSYS));
        }
        check!(install(NEW_LISTENER).is_ok(), "another one is possible then");
    });
    receive(target.listener);
    sys!(close, target.listener).must();
    target.join();
});

case!(there_is_one_listener, [seccomp], {
    fork(|| {
        let listener = install(NEW_LISTENER | TSYNC | TSYNC_ESRCH).must() as i32;
        check!(sys!(fcntl, listener, F_GETFD).is_ok());
        check_eq!(install(NEW_LISTENER), Err(EBUSY));
        check_eq!(install(0), Ok(0));
    })
    .ok();
});

case!(descriptors_are_added, [seccomp, ioctl], {
    let (sender, receiver) = std::sync::mpsc::channel();
    let target = supervise(0, move || {
        sys!(unshare, CLONE_FILES).must();
        sender.send(()).ok().must();
        let first = sys!(getppid).must() as i32;
        check_eq!(sys!(fcntl, first, F_GETFD), Ok(i64::from(FD_CLOEXEC)));
        check_eq!(sys!(fcntl, 200, F_GETFD), Ok(0));
        let second = sys!(getppid).must() as i32;
        check_eq!(content(c"added"), b"");
        check_eq!(sys!(write, second, b"added", 5), Ok(5));
        check_eq!(content(c"added"), b"added");
    });
    receiver.recv().ok().must();
    let listener = target.listener;
    let source = open(c"added", O_RDWR | O_CREAT);
    let id = receive(listener).id;
    let add = |add: AddFd| sys!(ioctl, listener, ADDFD, &add);
    let cloexec = AddFd { id, source, target_flags: O_CLOEXEC, ..AddFd::default() };
    let given = add(cloexec).must();
    check!(sys!(fcntl, given, F_GETFD) != Ok(i64::from(FD_CLOEXEC)) || given == i64::from(source));
    check_eq!(add(AddFd { id, source, flags: ADD_AT, target: 200, target_flags: 0 }), Ok(200));
    check_eq!(send(listener, Reply { id, value: given, ..Reply::default() }), Ok(0));
    let id = receive(listener).id;
    let last = AddFd { id, source, flags: ADD_AND_SEND, ..AddFd::default() };
    check!(add(last).is_ok());
    target.join();
    check_eq!(sys!(fcntl, 200, F_GETFD), Err(EBADF));
});

case!(signals_interrupt_a_call_that_waits, [seccomp, ioctl], {
    count_signal(SIGUSR1, 0);
    let target = supervise(0, || check_eq!(sys!(getppid), Err(EINTR)));
    let listener = target.listener;
    let id = receive(listener).id;
    sys!(tgkill, getpid(), target.tid, SIGUSR1).must();
    while sys!(ioctl, listener, ID_VALID, &id) == Ok(0) {
        sleep_ms(1);
    }
    check_eq!(send(listener, Reply { id, ..Reply::default() }), Err(ENOENT));
    target.join();
    check_eq!(counted(SIGUSR1), 1);
    // A handler with SA_RESTART makes the call again.
    count_signal(SIGUSR1, SA_RESTART);
    let target = supervise(0, || check_eq!(sys!(getppid), Ok(9)));
    let listener = target.listener;
    let first = receive(listener).id;
    sys!(tgkill, getpid(), target.tid, SIGUSR1).must();
    let id = receive(listener).id;
    check!(id != first);
    check_eq!(send(listener, Reply { id, value: 9, ..Reply::default() }), Ok(0));
    target.join();
});

case!(a_call_that_was_taken_may_be_killable_only, [seccomp, ioctl], {
    count_signal(SIGUSR1, 0);
    let target = supervise(WAIT_KILLABLE, || check_eq!(sys!(getppid), Ok(9)));
    let listener = target.listener;
    let id = receive(listener).id;
    sys!(tgkill, getpid(), target.tid, SIGUSR1).must();
    sleep_ms(50);
    check_eq!(counted(SIGUSR1), 0);
    check_eq!(send(listener, Reply { id, value: 9, ..Reply::default() }), Ok(0));
    target.join();
    check_eq!(counted(SIGUSR1), 1);
});

case!(a_process_that_waits_can_be_killed, [seccomp, ioctl, kill], {
    let (reader, writer) = pipe();
    let child = fork(|| {
        let listener = install(NEW_LISTENER | WAIT_KILLABLE).must() as i32;
        let inner = fork(|| {
            let _ = sys!(getppid);
        });
        receive(listener);
        sys!(kill, inner.pid, SIGKILL).must();
        check_eq!(inner.wait(), Status::Signaled(SIGKILL));
        check_eq!(ready(listener), 0);
        sys!(write, writer, b"x", 1).must();
    });
    child.ok();
    check_eq!(sys!(read, reader, &mut [0u8; 1], 1), Ok(1));
});
