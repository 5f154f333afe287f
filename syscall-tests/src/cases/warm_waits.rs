//! Threads that wait at streams in much use while others change what their calls have begun with.

use crate::support::prelude::*;
use crate::support::stream::waiting_reader;

each_stream!(a_closed_file_lasts_until_the_read_ends, [close, read, write], |kind| {
    ignore(SIGPIPE);
    for _ in 0..5 {
        let stream = kind.warm();
        let reader = waiting_reader(stream.r, Ok(Some(b'x')), Some(Err(EBADF)));
        sys!(close, stream.r).must();
        sys!(write, stream.w, b"x", 1).must();
        reader.join().ok().must();
        match kind {
            Kind::Pipe => check_eq!(sys!(write, stream.w, b"x", 1), Err(EPIPE)),
            _ => check_eq!(read_byte(stream.w), Ok(None)),
        }
        sys!(close, stream.w).must();
    }
});

each_stream!(bytes_that_came_before_a_close_are_read, [close, read, write], |kind| {
    for _ in 0..30 {
        let stream = kind.warm();
        let reader = waiting_reader(stream.r, Ok(Some(b'x')), None);
        sys!(write, stream.w, b"x", 1).must();
        sys!(close, stream.r).must();
        reader.join().ok().must();
        sys!(close, stream.w).must();
    }
});

each_stream!(a_range_of_files_is_closed_beside_a_reader, [close_range, read], |kind| {
    let stream = kind.warm();
    let reader = waiting_reader(stream.r, Ok(Some(b'x')), Some(Err(EBADF)));
    sys!(close_range, stream.r, stream.r, 0).must();
    sys!(write, stream.w, b"x", 1).must();
    reader.join().ok().must();
});

each_stream!(another_file_comes_in_place_of_that_which_is_read, [dup2, read], |kind| {
    let zero = open(c"/dev/zero", O_RDONLY);
    for _ in 0..5 {
        let stream = kind.warm();
        let reader = waiting_reader(stream.r, Ok(Some(b'x')), Some(Ok(Some(0))));
        sys!(dup2, zero, stream.r).must();
        sys!(write, stream.w, b"x", 1).must();
        reader.join().ok().must();
        sys!(close, stream.w).must();
        sys!(close, stream.r).must();
    }
});

each_stream!(two_readers_wait_for_a_closed_file, [close, read], |kind| {
    let stream = kind.warm();
    let readers = [(); 2].map(|()| waiting_reader(stream.r, Ok(Some(b'x')), Some(Err(EBADF))));
    sys!(close, stream.r).must();
    sys!(write, stream.w, b"xx", 2).must();
    for reader in readers {
        reader.join().ok().must();
    }
});

each_stream!(only_the_call_that_waits_goes_on_waiting, [fcntl, read], |kind| {
    let stream = kind.warm();
    for _ in 0..5 {
        let reader = waiting_reader(stream.r, Ok(Some(b'x')), Some(Err(EAGAIN)));
        let flags = sys!(fcntl, stream.r, F_GETFL).must() as i32;
        sys!(fcntl, stream.r, F_SETFL, flags | O_NONBLOCK).must();
        check_eq!(read_byte(stream.r), Err(EAGAIN));
        sys!(write, stream.w, b"x", 1).must();
        reader.join().ok().must();
        sys!(fcntl, stream.r, F_SETFL, flags).must();
        stream.warm_up();
    }
});

case!(a_writer_that_waits_keeps_the_file, [close, read, write], {
    for _ in 0..5 {
        let stream = Kind::Pipe.warm();
        let page = [b'p'; PAGE];
        for _ in 0..16 {
            check_eq!(sys!(write, stream.w, &page, PAGE), Ok(PAGE as i64));
        }
        let (tell, told) = std::sync::mpsc::channel();
        let writer = std::thread::spawn(move || {
            tell.send(gettid()).ok().must();
            check_eq!(sys!(write, stream.w, b"x", 1), Ok(1));
            check_eq!(sys!(write, stream.w, b"x", 1), Err(EBADF));
        });
        await_sleep(told.recv().ok().must());
        sys!(close, stream.w).must();
        let mut got = [0_u8; PAGE];
        for _ in 0..16 {
            check_eq!(sys!(read, stream.r, &mut got, PAGE), Ok(PAGE as i64));
        }
        check_eq!(read_byte(stream.r), Ok(Some(b'x')));
        writer.join().ok().must();
        check_eq!(read_byte(stream.r), Ok(None));
        sys!(close, stream.r).must();
    }
});
