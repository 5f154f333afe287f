//! What a thread has for itself, asked for and changed again and again: masks, actions and stacks of
//! signals, the list of robust futexes.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::support::prelude::*;
use crate::support::signal::on_masked;

const ROUNDS: u32 = 200;

/// `struct sigaction` of the kernel: handler, flags, restorer, mask.
type Action = [u64; 4];

const RESTORER: u64 = 0x0400_0000;

fn action_of(signal: i32) -> Action {
    let mut action: Action = [7; 4];
    sys!(rt_sigaction, signal, NULL, &mut action, 8).must();
    action
}

fn set_action(signal: i32, action: Action) {
    sys!(rt_sigaction, signal, &action, NULL, 8).must();
}

fn mask() -> u64 {
    let mut mask = 7;
    sys!(rt_sigprocmask, SIG_BLOCK, NULL, &mut mask, 8).must();
    mask
}

/// Uses both calls until they are as quick as they get.
fn warm_up() {
    for _ in 0..ROUNDS {
        let before = block(&[SIGUSR2]);
        set_mask(before);
        action_of(SIGUSR2);
    }
}

case!(masks_are_what_was_set, [rt_sigprocmask], {
    warm_up();
    for round in 0..ROUNDS {
        let bits = u64::from(round).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        set_mask(bits);
        let allowed = bits & !mask_of(&[SIGKILL, SIGSTOP]);
        check_eq!(mask(), allowed);
        check_eq!(block(&[SIGUSR1]), allowed);
        let mut before = 0;
        let unblocked = mask_of(&[SIGUSR1, SIGUSR2]);
        sys!(rt_sigprocmask, SIG_UNBLOCK, &unblocked, &mut before, 8).must();
        check_eq!(before, allowed | mask_of(&[SIGUSR1]));
        check_eq!(mask(), allowed & !unblocked);
        check_eq!(sys!(rt_sigprocmask, 3, &bits, NULL, 8), Err(EINVAL));
        // Without a set nobody looks at what is to be done with it.
        check_eq!(sys!(rt_sigprocmask, 3, NULL, NULL, 8), Ok(0));
        check_eq!(sys!(rt_sigprocmask, SIG_BLOCK, &bits, NULL, 4), Err(EINVAL));
    }
});

case!(an_unblocked_signal_is_there_at_once, [rt_sigprocmask, tgkill], {
    warm_up();
    count_signal(SIGUSR1, 0);
    for round in 0..ROUNDS {
        let before = block(&[SIGUSR1]);
        raise(SIGUSR1);
        check_eq!(counted(SIGUSR1), round);
        check_eq!(pending(), mask_of(&[SIGUSR1]));
        set_mask(before);
        check_eq!(counted(SIGUSR1), round + 1);
        check_eq!(pending(), 0);
    }
});

case!(a_handler_s_mask_goes_and_comes, [rt_sigprocmask, rt_sigreturn], {
    static INSIDE: AtomicU32 = AtomicU32::new(0);
    warm_up();
    on_masked(SIGUSR1, 0, mask_of(&[SIGUSR2]), |_, _| {
        let blocked = mask() & mask_of(&[SIGUSR1, SIGUSR2, SIGHUP]);
        // It is gone with the handler.
        block(&[SIGTERM]);
        INSIDE.store(blocked as u32, Ordering::Relaxed);
    });
    set_mask(mask_of(&[SIGHUP]));
    for _ in 0..ROUNDS {
        INSIDE.store(0, Ordering::Relaxed);
        raise(SIGUSR1);
        let expected = mask_of(&[SIGUSR1, SIGUSR2, SIGHUP]) as u32;
        check_eq!(INSIDE.load(Ordering::Relaxed), expected);
        check_eq!(mask(), mask_of(&[SIGHUP]));
    }
});

case!(no_signal_is_lost_between_changes, [rt_sigprocmask, kill], {
    const COUNT: u32 = 2000;
    let taken = &words()[0];
    warm_up();
    count_signal(SIGUSR1, 0);
    let parent = getpid();
    let sender = fork(move || {
        for number in 0..COUNT {
            sys!(kill, parent, SIGUSR1).must();
            // Quicker than a sleep: the next one meets any instruction of the other.
            while taken.load(Ordering::SeqCst) <= number {
                std::thread::yield_now();
            }
        }
    });
    while taken.load(Ordering::SeqCst) < COUNT {
        let before = block(&[SIGUSR1]);
        set_mask(before);
        taken.store(counted(SIGUSR1), Ordering::SeqCst);
    }
    sender.ok();
});

case!(threads_take_each_other_s_signals, [rt_sigprocmask, kill], {
    const COUNT: u32 = 300;
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    warm_up();
    count_signal(SIGUSR1, 0);
    let others: Vec<_> = (0..2)
        .map(|_| {
            spawn(|| {
                while !IS_DONE.load(Ordering::Relaxed) {
                    let before = block(&[SIGUSR1]);
                    set_mask(before);
                }
            })
        })
        .collect();
    for number in 0..COUNT {
        let before = block(&[SIGUSR1]);
        sys!(kill, getpid(), SIGUSR1).must();
        wait_for(|| counted(SIGUSR1) > number);
        set_mask(before);
    }
    IS_DONE.store(true, Ordering::Relaxed);
    others.into_iter().for_each(|other| other.join().ok().must());
    check_eq!(counted(SIGUSR1), COUNT);
});

case!(a_change_that_a_signal_meets_is_made_once, [rt_sigprocmask, tgkill], {
    const COUNT: u32 = 5000;
    let (pid, tid) = (getpid(), gettid());
    count_signal(SIGUSR1, 0);
    let sender = spawn(move || {
        let end = now() + Duration::from_secs(2);
        let mut sent = 0;
        while sent < COUNT && now() < end {
            sys!(tgkill, pid, tid, SIGUSR1).must();
            sent += 1;
            while counted(SIGUSR1) < sent {
                std::hint::spin_loop();
            }
        }
        sent
    });
    let masks = [mask_of(&[SIGHUP]), mask_of(&[SIGTERM])];
    set_mask(masks[1]);
    let mut wrong = 0;
    while !sender.is_finished() {
        // Quick, so that most signals meet one of the calls.
        for _ in 0..100 {
            wrong += u32::from(set_mask(masks[0]) != masks[1]);
            // The new one makes place for the old one.
            let mut word = masks[1];
            let place = &raw mut word as usize;
            sys!(rt_sigprocmask, SIG_SETMASK, place, place, 8).must();
            wrong += u32::from(word != masks[0]);
        }
    }
    check_eq!(counted(SIGUSR1), sender.join().ok().must());
    check_eq!(wrong, 0);
});

case!(masks_are_inherited, [rt_sigprocmask, fork, clone, execve], {
    warm_up();
    let own = mask_of(&[SIGUSR1, 40]);
    set_mask(own);
    for _ in 0..20 {
        fork(|| {
            check_eq!(mask(), own);
            set_mask(0);
        })
        .ok();
        check_eq!(mask(), own);
        let other = spawn(move || {
            check_eq!(mask(), own);
            block(&[SIGTERM]);
        });
        other.join().ok().must();
        check_eq!(mask(), own);
    }
    let state = state_after_exec(|| {
        warm_up();
        set_mask(own);
    });
    check_eq!(state["mask"], format!("{own:x}"));
});

case!(others_see_the_mask, [rt_sigprocmask], {
    warm_up();
    for number in [SIGUSR1, SIGTERM, SIGHUP] {
        set_mask(mask_of(&[number]));
        let status = String::from_utf8_lossy(&content(c"/proc/self/status")).into_owned();
        let line = format!("SigBlk:\t{:016x}", mask_of(&[number]));
        check!(status.contains(&line), "{status}");
    }
});

case!(a_default_action_is_told_as_it_was_set, [rt_sigaction], {
    warm_up();
    for round in 0..ROUNDS {
        default_plain(SIGUSR1);
        check_eq!(action_of(SIGUSR1), [0; 4]);
        set_action(SIGUSR1, [0, RESTORER, 0x1000, 0]);
        check_eq!(action_of(SIGUSR1), [0, RESTORER, 0x1000, 0]);
        // Another restorer, another signal, another mask.
        set_action(SIGUSR1, [0, RESTORER, 0x2000, 0]);
        check_eq!(action_of(SIGUSR1), [0, RESTORER, 0x2000, 0]);
        check_eq!(action_of(SIGTERM), [0; 4]);
        set_action(SIGUSR1, [0, RESTORER, 0x2000, u64::from(round)]);
        check_eq!(action_of(SIGUSR1), [0, RESTORER, 0x2000, u64::from(round)]);
        let mut before: Action = [7; 4];
        set_action(SIGHUP, [0, RESTORER, 0x3000, 0]);
        sys!(rt_sigaction, SIGHUP, &[0_u64; 4], &mut before, 8).must();
        check_eq!(before, [0, RESTORER, 0x3000, 0]);
        check_eq!(action_of(SIGHUP), [0; 4]);
        for signal in [SIGKILL, SIGSTOP] {
            check_eq!(action_of(signal), [0; 4]);
            let set = sys!(rt_sigaction, signal, &[0, RESTORER, 0x1000, 0_u64], NULL, 8);
            check_eq!(set, Err(EINVAL));
        }
        let mut action: Action = [7; 4];
        check_eq!(sys!(rt_sigaction, 0, NULL, &mut action, 8), Err(EINVAL));
        check_eq!(sys!(rt_sigaction, 65, NULL, &mut action, 8), Err(EINVAL));
    }
});

/// The default action without flags.
fn default_plain(signal: i32) {
    set_action(signal, [0; 4]);
}

case!(setting_the_default_action_forgets_what_it_ignores, [rt_sigaction], {
    warm_up();
    for signal in [SIGCHLD, SIGURG, SIGWINCH, SIGCONT] {
        for _ in 0..ROUNDS {
            block(&[signal]);
            raise(signal);
            check_eq!(pending(), mask_of(&[signal]), "signal {signal}");
            set_action(signal, [0, RESTORER, 0x1000, 0]);
            check_eq!(pending(), 0, "signal {signal}");
            default_plain(signal);
        }
    }
});

case!(default_actions_are_inherited_as_set, [rt_sigaction, fork, execve], {
    warm_up();
    let set = [0, RESTORER, 0x1000, 0];
    for round in 0..20 {
        set_action(SIGUSR1, set);
        fork(|| {
            check_eq!(action_of(SIGUSR1), set);
            set_action(SIGUSR2, set);
            check_eq!(action_of(SIGUSR2), set);
        })
        .ok();
        check_eq!(action_of(SIGUSR2), [0; 4], "round {round}");
        let other = spawn(move || {
            check_eq!(action_of(SIGUSR1), set);
            set_action(SIGHUP, set);
        });
        other.join().ok().must();
        check_eq!(action_of(SIGHUP), set);
        default_plain(SIGUSR1);
        default_plain(SIGHUP);
        check_eq!(action_of(SIGUSR1), [0; 4]);
    }
});

case!(threads_see_each_other_s_actions, [rt_sigaction], {
    static TURN: AtomicU32 = AtomicU32::new(0);
    warm_up();
    let other = spawn(|| {
        for round in 0..ROUNDS {
            wait_for(|| TURN.load(Ordering::SeqCst) == 2 * round + 1);
            set_action(SIGUSR1, [SIG_IGN as u64 * u64::from(round & 1), 0, 0, 0]);
            TURN.store(2 * round + 2, Ordering::SeqCst);
        }
    });
    for round in 0..ROUNDS {
        TURN.store(2 * round + 1, Ordering::SeqCst);
        wait_for(|| TURN.load(Ordering::SeqCst) == 2 * round + 2);
        check_eq!(action_of(SIGUSR1)[0], SIG_IGN as u64 * u64::from(round & 1));
    }
    other.join().ok().must();
});

/// `stack_t`.
type Stack = [u64; 3];

const DISABLED: u64 = 2;
const AUTODISARM: u64 = 1 << 31;

fn change_stack(stack: Stack) -> Stack {
    let mut before: Stack = [7; 3];
    sys!(sigaltstack, &stack, &mut before).must();
    before
}

fn stack() -> Stack {
    let mut now: Stack = [7; 3];
    sys!(sigaltstack, NULL, &mut now).must();
    now
}

case!(stacks_are_what_was_set, [sigaltstack], {
    let edge = anon(2 * PAGE) + PAGE;
    sys!(mprotect, edge, PAGE, PROT_READ).must();
    for round in 0..u64::from(ROUNDS) {
        let (first, second) = ([0x10_0000, 0, 0x2000 + round], [0x20_0000, AUTODISARM, 0x3000]);
        change_stack(first);
        check_eq!(stack(), first);
        check_eq!(change_stack(second), first);
        check_eq!(change_stack([0x30_0000, 1, 2048]), second);
        check_eq!(stack(), [0x30_0000, 0, 2048]);
        check_eq!(sys!(sigaltstack, &[0x40_0000, 0, 2047_u64], NULL), Err(ENOMEM));
        check_eq!(sys!(sigaltstack, &[0x40_0000, 4, 4096_u64], NULL), Err(EINVAL));
        check_eq!(sys!(sigaltstack, BAD, NULL), Err(EFAULT));
        check_eq!(stack(), [0x30_0000, 0, 2048]);
        // It is set even if the old one cannot be told.
        check_eq!(sys!(sigaltstack, &first, edge - 8), Err(EFAULT));
        check_eq!(change_stack([0x50_0000, DISABLED, 77]), first);
        check_eq!(stack(), [0, DISABLED, 0]);
        check_eq!(change_stack([1, DISABLED | AUTODISARM, 1]), [0, DISABLED, 0]);
        check_eq!(stack(), [0, DISABLED | AUTODISARM, 0]);
    }
});

case!(a_stack_in_use_stays, [sigaltstack], {
    static INSIDE: AtomicU32 = AtomicU32::new(0);
    const BYTES: usize = 16 * PAGE;
    let start = anon(BYTES);
    let own = [start as u64, 0, BYTES as u64];
    on(SIGUSR1, SA_ONSTACK, |_, _| {
        let [_, flags, _] = stack();
        let refused = sys!(sigaltstack, &[0, DISABLED, 0_u64], NULL) == Err(EPERM);
        INSIDE.store(flags as u32 | u32::from(refused) << 8, Ordering::Relaxed);
    });
    for _ in 0..ROUNDS {
        change_stack(own);
        INSIDE.store(0, Ordering::Relaxed);
        raise(SIGUSR1);
        check_eq!(INSIDE.load(Ordering::Relaxed), 0x101);
        check_eq!(stack(), own);
    }
    // One that disarms itself is none inside, and is back behind.
    let own = [start as u64, AUTODISARM, BYTES as u64];
    change_stack(own);
    raise(SIGUSR1);
    check_eq!(INSIDE.load(Ordering::Relaxed), DISABLED as u32);
    check_eq!(stack(), own);
});

case!(stacks_are_inherited_by_processes_only, [sigaltstack, fork, clone], {
    for _ in 0..20 {
        let own = [0x10_0000, 0, 0x2000];
        change_stack(own);
        fork(|| {
            check_eq!(stack(), own);
            change_stack([0, DISABLED, 0]);
        })
        .ok();
        check_eq!(stack(), own);
        spawn(|| check!(stack() != [0x10_0000, 0, 0x2000])).join().ok().must();
    }
});

case!(robust_lists_are_what_was_set, [set_robust_list, get_robust_list], {
    /// The head of a list that is empty.
    fn told(pid: i32) -> (u64, u64) {
        let (mut head, mut len) = (7_u64, 7_u64);
        sys!(get_robust_list, pid, &mut head, &mut len).must();
        (head, len)
    }
    let (own, _) = told(0);
    for round in 0..u64::from(ROUNDS) {
        sys!(set_robust_list, round * 64, 24).must();
        check_eq!(told(0), (round * 64, 24));
        check_eq!(sys!(set_robust_list, 0x1000, 23), Err(EINVAL));
        if round % 50 == 0 {
            let tid = gettid();
            spawn(move || check_eq!(told(tid), (round * 64, 24))).join().ok().must();
        }
    }
    sys!(set_robust_list, own, 24).must();
});
