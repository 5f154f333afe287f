//! Calls that write small structures, made again and again, into memory that can be written and into
//! memory that cannot.

use crate::support::prelude::*;

const ROUNDS: usize = 300;

/// Two pages, of which the second can only be read: the address where it begins.
fn edge() -> usize {
    let start = anon(2 * PAGE);
    sys!(mprotect, start + PAGE, PAGE, PROT_READ).must();
    start + PAGE
}

/// What comes back goes just there: `call` writes `len` bytes to an address, which end where nothing
/// more can be written, and `is_right` says of them.
fn written(
    len: usize,
    call: impl Fn(usize) -> Result<i64, Errno>,
    is_right: impl Fn(&[u8]) -> bool,
) {
    let edge = edge();
    for _ in 0..ROUNDS {
        poke_bytes(edge - PAGE, &[0xee; PAGE]);
        check!(call(edge - len).is_ok());
        let bytes = peek_bytes(edge - PAGE, PAGE);
        let (before, answer) = bytes.split_at(PAGE - len);
        check!(before.iter().all(|&byte| byte == 0xee), "something before was written");
        check!(is_right(answer), "{answer:?}");
        check_eq!(call(edge), Err(EFAULT));
        check_eq!(call(edge - len + 1), Err(EFAULT));
        check_eq!(call(BAD), Err(EFAULT));
    }
}

/// `struct sigaction` of the kernel: handler, flags, restorer, mask.
type Action = [u64; 4];

fn action(signal: i32) -> Action {
    let mut action: Action = [0; 4];
    sys!(rt_sigaction, signal, NULL, &mut action, 8).must();
    action
}

case!(actions_of_signals_come_back, [rt_sigaction], {
    let own: Action = [SIG_IGN as u64, 0, 0, 1 << 3];
    sys!(rt_sigaction, SIGUSR1, &own, NULL, 8).must();
    let ask = |address: usize| sys!(rt_sigaction, SIGUSR1, NULL, address, 8);
    written(32, ask, |answer| answer[..8] == own[0].to_ne_bytes() && answer[24] == 1 << 3);
});

case!(an_action_is_set_even_if_the_old_one_cannot_be_told, [rt_sigaction], {
    let edge = edge();
    for round in 0..ROUNDS {
        let new: Action = [SIG_IGN as u64, 0, 0, (round as u64 & 1) << 4];
        check_eq!(sys!(rt_sigaction, SIGUSR1, &new, edge, 8), Err(EFAULT));
        check_eq!(action(SIGUSR1)[3], new[3]);
        // What cannot be read changes nothing, and neither does a wrong size.
        check_eq!(sys!(rt_sigaction, SIGUSR1, BAD, NULL, 8), Err(EFAULT));
        check_eq!(sys!(rt_sigaction, SIGUSR1, BAD, BAD, 7), Err(EINVAL));
        check_eq!(sys!(rt_sigaction, SIGKILL, &new, NULL, 8), Err(EINVAL));
        check_eq!(action(SIGUSR1)[3], new[3]);
    }
});

case!(masks_come_back, [rt_sigprocmask], {
    let mask = 1u64 << (SIGUSR2 - 1);
    sys!(rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8).must();
    let ask = |address: usize| sys!(rt_sigprocmask, SIG_BLOCK, NULL, address, 8);
    written(8, ask, |answer| answer == mask.to_ne_bytes());
    let edge = edge();
    for round in 0..ROUNDS {
        let new = mask | (round as u64 & 1);
        check_eq!(sys!(rt_sigprocmask, SIG_SETMASK, &new, edge, 8), Err(EFAULT));
        let mut now = 0u64;
        sys!(rt_sigprocmask, SIG_BLOCK, NULL, &mut now, 8).must();
        check_eq!(now, new);
        check_eq!(sys!(rt_sigprocmask, SIG_SETMASK, BAD, NULL, 8), Err(EFAULT));
        check_eq!(sys!(rt_sigprocmask, 7, &new, NULL, 8), Err(EINVAL));
    }
});

case!(limits_come_back, [prlimit64], {
    let limit = rlimit { rlim_cur: 77, rlim_max: 1000 };
    sys!(prlimit64, 0, RLIMIT_NOFILE, &limit, NULL).must();
    let ask = |address: usize| sys!(prlimit64, 0, RLIMIT_NOFILE, NULL, address);
    written(16, ask, |answer| answer[..8] == 77u64.to_ne_bytes());
    let edge = edge();
    for round in 0..ROUNDS {
        let new = rlimit { rlim_cur: 70 + round as u64 % 2, rlim_max: 1000 };
        check_eq!(sys!(prlimit64, 0, RLIMIT_NOFILE, &new, edge), Err(EFAULT));
        let mut now: rlimit = zeroed();
        sys!(prlimit64, 0, RLIMIT_NOFILE, NULL, &mut now).must();
        check_eq!(now.rlim_cur, new.rlim_cur);
        check_eq!(sys!(prlimit64, 0, RLIMIT_NOFILE, BAD, NULL), Err(EFAULT));
    }
});

case!(the_working_directory_comes_back, [getcwd, chdir], {
    sys!(chdir, c"/").must();
    let ask = |address: usize| sys!(getcwd, address, 2);
    written(2, ask, |answer| answer == b"/\0");
    let mut buf = [0xee_u8; 4096];
    for _ in 0..ROUNDS {
        check_eq!(sys!(getcwd, &mut buf, 1), Err(ERANGE));
        check_eq!(sys!(getcwd, BAD, 1), Err(ERANGE));
        check_eq!(buf[0], 0xee);
        check_eq!(sys!(getcwd, &mut buf, 4096), Ok(2));
        check_eq!(buf[..4], [b'/', 0, 0xee, 0xee]);
        buf[..2].fill(0xee);
    }
});

case!(random_bytes_come_back, [getrandom], {
    let ask = |address: usize| sys!(getrandom, address, 300, 0);
    let edge = edge();
    let mut buf = vec![0u8; 40_000];
    for _ in 0..ROUNDS {
        check_eq!(ask(edge - 300), Ok(300));
        check_eq!(ask(edge), Err(EFAULT));
        check_eq!(ask(BAD), Err(EFAULT));
        check_eq!(sys!(getrandom, &mut buf[..], buf.len(), 0), Ok(40_000));
        check!(buf[39_900..].iter().any(|&byte| byte != 0));
        buf[39_900..].fill(0);
        check_eq!(sys!(getrandom, &mut buf[..], 8, 0xff), Err(EINVAL));
    }
});

case!(pipes_that_cannot_be_told_are_none, [pipe2, pipe], {
    let (edge, before) = (edge(), open(c"/", O_RDONLY));
    sys!(close, before).must();
    for _ in 0..ROUNDS {
        let mut fds = [-1i32; 2];
        check_eq!(sys!(pipe2, &mut fds, O_CLOEXEC), Ok(0));
        check_eq!(fds, [before, before + 1]);
        check_eq!(sys!(write, fds[1], b"x", 1), Ok(1));
        fds.iter().for_each(|fd| check_eq!(sys!(close, *fd), Ok(0)));
        check_eq!(sys!(pipe2, edge, 0), Err(EFAULT));
        check_eq!(sys!(pipe2, edge - 4, 0), Err(EFAULT));
        check_eq!(sys!(pipe2, BAD, 0x55), Err(EINVAL));
        check_eq!(sys!(pipe, BAD), Err(EFAULT));
    }
});
