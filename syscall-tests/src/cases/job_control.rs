//! Controlling terminals: foreground groups, stop signals, hang-up.

use crate::support::prelude::*;
use crate::support::tty::{attributes, make, set_attributes};

/// Runs the function in a new session whose controlling terminal is the slave of a new
/// pseudo-terminal; it gets master and slave.
fn session(body: impl FnOnce(i32, i32)) {
    fork(|| {
        sys!(setsid).must();
        let (master, slave) = make();
        sys!(ioctl, slave, TIOCSCTTY, 0).must();
        body(master, slave);
    })
    .ok();
}

/// Starts a member of the session in a background group of its own.
fn background(body: impl FnOnce()) -> Child {
    let child = fork(|| {
        sys!(setpgid, 0, 0).must();
        body();
    });
    let _ = sys!(setpgid, child.pid, child.pid);
    child
}

fn foreground(fd: i32) -> i32 {
    let mut group = 0i32;
    sys!(ioctl, fd, TIOCGPGRP, &mut group).must();
    group
}

case!(terminal_becomes_controlling, [ioctl, setsid], {
    session(|_, slave| {
        check_eq!(foreground(slave), getpid());
        let mut sid = 0i32;
        sys!(ioctl, slave, TIOCGSID, &mut sid).must();
        check_eq!(sid, getpid());
        let tty = open(c"/dev/tty", O_RDWR);
        check_eq!(sys!(write, tty, b"x", 1), Ok(1));
    });
});

case!(opening_without_noctty_takes_the_terminal, [open, setsid], {
    fork(|| {
        sys!(setsid).must();
        let (master, _slave) = make();
        let mut number = 0i32;
        sys!(ioctl, master, TIOCGPTN, &mut number).must();
        check_eq!(sys!(open, c"/dev/tty", O_RDWR, 0), Err(ENXIO));
        open(&cstr(&format!("/dev/pts/{number}")), O_RDWR);
        check!(sys!(open, c"/dev/tty", O_RDWR, 0).is_ok());
    })
    .ok();
});

case!(only_a_session_leader_takes_a_terminal, [ioctl], {
    fork(|| {
        let (_master, slave) = make();
        check_eq!(sys!(ioctl, slave, TIOCSCTTY, 0), Err(EPERM), "not a leader");
        check_eq!(sys!(ioctl, slave, TIOCGPGRP, &mut 0i32), Err(ENOTTY), "not my terminal");
        check_eq!(sys!(ioctl, slave, TIOCSPGRP, &getpid()), Err(ENOTTY));
        check_eq!(sys!(ioctl, slave, TIOCNOTTY), Err(ENOTTY));
    })
    .ok();
});

case!(interrupt_characters_signal_the_foreground_group, [write, ioctl], {
    session(|master, slave| {
        for (byte, signal) in [(b"\x03", SIGINT), (b"\x1c", SIGQUIT), (b"\x1a", SIGTSTP)] {
            let child = background(|| {
                loop {
                    sleep_ms(1000);
                }
            });
            ignore(SIGTTOU);
            sys!(ioctl, slave, TIOCSPGRP, &child.pid).must();
            check_eq!(foreground(slave), child.pid);
            sys!(write, master, byte, 1).must();
            if signal == SIGTSTP {
                check_eq!(child.wait_stop(), Status::Stopped(SIGTSTP));
                child.end();
            } else {
                check_eq!(child.wait(), Status::Signaled(signal));
            }
            sys!(ioctl, slave, TIOCSPGRP, &getpid()).must();
        }
    });
});

case!(background_read_is_sigttin, [read], {
    session(|_, slave| {
        let child = background(|| {
            let _ = sys!(read, slave, &mut [0u8; 8], 8);
        });
        check_eq!(child.wait_stop(), Status::Stopped(SIGTTIN));
        child.end();
        let child = background(|| {
            ignore(SIGTTIN);
            check_eq!(sys!(read, slave, &mut [0u8; 8], 8), Err(EIO));
        });
        child.ok();
    });
});

case!(background_write_is_sigttou_only_with_tostop, [write, ioctl], {
    session(|_, slave| {
        background(|| check_eq!(sys!(write, slave, b"x", 1), Ok(1))).ok();
        let mut term = attributes(slave);
        term.c_lflag |= TOSTOP;
        set_attributes(slave, &term);
        let child = background(|| {
            let _ = sys!(write, slave, b"x", 1);
        });
        check_eq!(child.wait_stop(), Status::Stopped(SIGTTOU));
        child.end();
        background(|| {
            ignore(SIGTTOU);
            check_eq!(sys!(write, slave, b"x", 1), Ok(1));
        })
        .ok();
    });
});

case!(background_changes_of_the_terminal_are_sigttou, [ioctl], {
    session(|_, slave| {
        let term = attributes(slave);
        let child = background(|| set_attributes(slave, &term));
        check_eq!(child.wait_stop(), Status::Stopped(SIGTTOU));
        child.end();
        let child = background(|| {
            let _ = sys!(ioctl, slave, TIOCSPGRP, &getpid());
        });
        check_eq!(child.wait_stop(), Status::Stopped(SIGTTOU));
        child.end();
        background(|| {
            block(&[SIGTTOU]);
            check_eq!(sys!(ioctl, slave, TIOCSPGRP, &getpid()), Ok(0), "blocked: it is allowed");
        })
        .ok();
    });
});

case!(foreground_group_must_be_of_the_session, [ioctl], {
    session(|_, slave| {
        check_eq!(sys!(ioctl, slave, TIOCSPGRP, &i32::MAX), Err(ESRCH));
        check_eq!(sys!(ioctl, slave, TIOCSPGRP, &-1i32), Err(EINVAL));
        check_eq!(sys!(ioctl, slave, TIOCSPGRP, BAD), Err(EFAULT));
    });
});

case!(window_change_signals_the_foreground_group, [ioctl], {
    session(|master, _| {
        count_signal(SIGWINCH, 0);
        let size = winsize { ws_row: 30, ws_col: 90, ws_xpixel: 0, ws_ypixel: 0 };
        sys!(ioctl, master, TIOCSWINSZ, &size).must();
        check_eq!(counted(SIGWINCH), 1);
        sys!(ioctl, master, TIOCSWINSZ, &size).must();
        check_eq!(counted(SIGWINCH), 1, "no change, no signal");
    });
});

case!(hang_up_when_the_master_closes, [close], {
    session(|master, slave| {
        count_signal(SIGHUP, 0);
        count_signal(SIGCONT, 0);
        sys!(close, master).must();
        let start = now();
        while counted(SIGHUP) == 0 && now() - start < Duration::from_secs(5) {
            sleep_ms(1);
        }
        check_eq!((counted(SIGHUP), counted(SIGCONT)), (1, 1));
        check_eq!(sys!(read, slave, &mut [0u8; 8], 8), Ok(0));
        check_eq!(sys!(open, c"/dev/tty", O_RDWR, 0), Err(ENXIO));
    });
});

case!(leader_s_end_hangs_up_the_foreground_group, [exit, setsid], {
    let words = words();
    let (r, w) = pipe();
    let leader = fork(|| {
        sys!(setsid).must();
        let (_master, slave) = make();
        sys!(ioctl, slave, TIOCSCTTY, 0).must();
        let child = sys!(fork).must();
        if child == 0 {
            count_signal(SIGHUP, 0);
            words[0].store(1, SeqCst);
            let start = now();
            while counted(SIGHUP) == 0 && now() - start < Duration::from_secs(5) {
                sleep_ms(1);
            }
            words[1].store(counted(SIGHUP), SeqCst);
            exit(0);
        }
        while words[0].load(SeqCst) == 0 {
            sleep_ms(1);
        }
    });
    sys!(close, w).must();
    leader.ok();
    check_eq!(read_all(r), b"");
    check_eq!(words[1].load(SeqCst), 1);
});

case!(notty_gives_the_terminal_up, [ioctl], {
    session(|_, slave| {
        count_signal(SIGHUP, 0);
        check_eq!(sys!(ioctl, slave, TIOCNOTTY), Ok(0));
        check_eq!(sys!(open, c"/dev/tty", O_RDWR, 0), Err(ENXIO));
        check_eq!(sys!(ioctl, slave, TIOCGPGRP, &mut 0i32), Err(ENOTTY));
    });
});

case!(shell_like_job, [setpgid, ioctl, wait4], {
    // What a shell does for `cat`, ^Z, `fg`, ^D.
    session(|master, slave| {
        ignore(SIGTTOU);
        let job = background(|| {
            default_action(SIGTTOU);
            let mut buf = [0u8; 64];
            while foreground(slave) != getpid() {
                sleep_ms(1);
            }
            while sys!(read, slave, &mut buf, 64).must() > 0 {}
            exit(5);
        });
        sys!(ioctl, slave, TIOCSPGRP, &job.pid).must();
        settle();
        sys!(write, master, b"\x1a", 1).must();
        check_eq!(job.wait_stop(), Status::Stopped(SIGTSTP));
        sys!(ioctl, slave, TIOCSPGRP, &getpid()).must();
        sys!(kill, -job.pid, SIGCONT).must();
        check_eq!(wait_pid(job.pid, WUNTRACED), Status::Stopped(SIGTTIN));
        sys!(ioctl, slave, TIOCSPGRP, &job.pid).must();
        sys!(kill, -job.pid, SIGCONT).must();
        sys!(write, master, b"\x04", 1).must();
        check_eq!(job.wait(), Status::Exited(5));
    });
});
