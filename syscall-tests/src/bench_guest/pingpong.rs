//! Parties waking each other: one operation is a round trip, or one use of a contended lock.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Primitive;
use crate::sys::call;

pub const ALL: &[Primitive] = &[
    ("pipe_pingpong_threads", pipe_threads),
    ("unix_pingpong_processes", unix_processes),
    ("tcp_pingpong_threads", tcp_threads),
    ("futex_pingpong_threads", futex_threads),
    ("futex_pingpong_together", futex_together),
    ("mutex_contended", mutex_contended),
];

/// Echoes until the end of input.
fn echo(mut input: impl Read, mut output: impl Write) {
    let mut byte = [0];
    while matches!(input.read(&mut byte), Ok(1)) {
        if output.write_all(&byte).is_err() {
            return;
        }
    }
}

fn rounds(mut input: impl Read, mut output: impl Write, count: u32) {
    let mut byte = [7];
    for _ in 0..count {
        output.write_all(&byte).expect("write");
        input.read_exact(&mut byte).expect("read");
    }
}

fn pipe_threads(count: u32) {
    let (there_input, there_output) = std::io::pipe().expect("pipe");
    let (back_input, back_output) = std::io::pipe().expect("pipe");
    let echo = std::thread::spawn(move || echo(there_input, back_output));
    rounds(back_input, there_output, count);
    echo.join().expect("join");
}

fn unix_processes(count: u32) {
    let (own, other) = UnixStream::pair().expect("socketpair");
    // SAFETY: the process has one thread here, and the child only echoes and leaves.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(own);
        echo(&other, &other);
        // SAFETY: ends the child without running anything else.
        unsafe { libc::_exit(0) };
    }
    drop(other);
    rounds(&own, &own, count);
    drop(own);
    let mut status = 0;
    // SAFETY: `status` is a live int.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
}

fn tcp_threads(count: u32) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let echo = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("accept");
        stream.set_nodelay(true).expect("nodelay");
        echo(&stream, &stream);
    });
    let stream = TcpStream::connect(address).expect("connect");
    stream.set_nodelay(true).expect("nodelay");
    rounds(&stream, &stream, count);
    drop(stream);
    echo.join().expect("join");
}

static TURN: AtomicU32 = AtomicU32::new(0);

/// Hands the turn over, then waits until it comes back.
fn take_turns(own: u32, count: u32) {
    let word = (&raw const TURN).addr();
    for _ in 0..count {
        while TURN.load(Ordering::Acquire) != own {
            let other = (1 - own) as usize;
            // SAFETY: the word is a live static; EAGAIN and EINTR only mean to look again.
            unsafe { libc::syscall(libc::SYS_futex, word, 128, other, 0) };
        }
        TURN.store(1 - own, Ordering::Release);
        call(libc::SYS_futex, [word, 129, 1, 0, 0, 0]);
    }
}

fn futex_threads(count: u32) {
    TURN.store(0, Ordering::Release);
    let other = std::thread::spawn(move || take_turns(1, count));
    take_turns(0, count);
    other.join().expect("join");
}

/// The same on one processor: where the scheduler puts two threads is another matter, and a wake-up
/// across processors costs ten times as much.
fn futex_together(count: u32) {
    // As many processors as words have bits.
    let mut all = [0_u64; 16];
    let set = all.as_mut_ptr().addr();
    call(libc::SYS_sched_getaffinity, [0, size_of_val(&all), set, 0, 0, 0]);
    let mut one = [0_u64; 16];
    let word = all.iter().position(|&word| word != 0).expect("a processor");
    one[word] = all[word] & all[word].wrapping_neg();
    let bind = |set: &[u64; 16]| {
        let address = set.as_ptr().addr();
        call(libc::SYS_sched_setaffinity, [0, size_of_val(set), address, 0, 0, 0]);
    };
    bind(&one);
    futex_threads(count);
    bind(&all);
}

/// Four threads that do little but take the same lock.
fn mutex_contended(count: u32) {
    const THREADS: u32 = 4;
    let total = Mutex::new(0_u64);
    std::thread::scope(|scope| {
        for index in 0..THREADS {
            let own = count / THREADS + u32::from(index < count % THREADS);
            let total = &total;
            scope.spawn(move || {
                for _ in 0..own {
                    let mut total = total.lock().expect("a lock that nobody poisons");
                    // Long enough to be met by the others.
                    for step in 0..50 {
                        *total = std::hint::black_box(*total + step);
                    }
                }
            });
        }
    });
}
