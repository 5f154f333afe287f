//! prctl, arch_prctl, personality.

use crate::support::prelude::*;

case!(name_is_cut_at_fifteen_bytes, [prctl], {
    check_eq!(sys!(prctl, PR_SET_NAME, c"a-name-that-is-too-long"), Ok(0));
    let mut name = [0xffu8; 16];
    check_eq!(sys!(prctl, PR_GET_NAME, &mut name), Ok(0));
    check_eq!(&name, b"a-name-that-is-\0");
    let comm = content(c"/proc/self/comm");
    check_eq!(comm, b"a-name-that-is-\n");
    check_eq!(sys!(prctl, PR_SET_NAME, BAD), Err(EFAULT));
    check_eq!(sys!(prctl, PR_GET_NAME, BAD), Err(EFAULT));
});

case!(name_is_of_the_thread_and_inherited, [prctl], {
    sys!(prctl, PR_SET_NAME, c"one").must();
    let name = || {
        let mut name = [0u8; 16];
        sys!(prctl, PR_GET_NAME, &mut name).must();
        name
    };
    spawn(move || {
        check_eq!(&name()[..4], b"one\0");
        sys!(prctl, PR_SET_NAME, c"two").must();
    })
    .join()
    .ok()
    .must();
    check_eq!(&name()[..4], b"one\0");
    fork(|| check_eq!(&name()[..4], b"one\0")).ok();
});

case!(parent_death_signal, [prctl, exit], {
    let words = words();
    let (r, w) = pipe();
    let middle = fork(|| {
        let child = sys!(fork).must();
        if child == 0 {
            sys!(prctl, PR_SET_PDEATHSIG, SIGUSR1).must();
            let mut signal = 0i32;
            sys!(prctl, PR_GET_PDEATHSIG, &mut signal).must();
            check_eq!(signal, SIGUSR1);
            count_signal(SIGUSR1, 0);
            words[1].store(1, SeqCst);
            let start = now();
            while counted(SIGUSR1) == 0 && now() - start < Duration::from_secs(5) {
                sleep_ms(1);
            }
            words[0].store(counted(SIGUSR1), SeqCst);
            exit(0);
        }
        while words[1].load(SeqCst) == 0 {
            sleep_ms(1);
        }
    });
    sys!(close, w).must();
    middle.ok();
    check_eq!(read_all(r), b"");
    check_eq!(words[0].load(SeqCst), 1);
    check_eq!(sys!(prctl, PR_SET_PDEATHSIG, 65), Err(EINVAL));
    check_eq!(sys!(prctl, PR_GET_PDEATHSIG, BAD), Err(EFAULT));
});

case!(parent_death_signal_is_not_inherited, [prctl, fork], {
    sys!(prctl, PR_SET_PDEATHSIG, SIGUSR1).must();
    let pid = sys!(fork).must() as i32;
    if pid == 0 {
        let mut signal = 9i32;
        sys!(prctl, PR_GET_PDEATHSIG, &mut signal).must();
        exit(signal);
    }
    check_eq!(wait_pid(pid, 0), Status::Exited(0));
});

case!(subreaper_flag, [prctl], {
    let get = || {
        let mut on = 9i32;
        sys!(prctl, PR_GET_CHILD_SUBREAPER, &mut on).must();
        on
    };
    check_eq!(get(), 0);
    check_eq!(sys!(prctl, PR_SET_CHILD_SUBREAPER, 5), Ok(0));
    check_eq!(get(), 1);
    fork(move || check_eq!(get(), 0, "not inherited")).ok();
});

case!(dumpable_flag, [prctl], {
    check_eq!(sys!(prctl, PR_GET_DUMPABLE), Ok(1));
    check_eq!(sys!(prctl, PR_SET_DUMPABLE, 0), Ok(0));
    check_eq!(sys!(prctl, PR_GET_DUMPABLE), Ok(0));
    check_eq!(sys!(prctl, PR_SET_DUMPABLE, 2), Err(EINVAL));
    check_eq!(sys!(prctl, PR_SET_DUMPABLE, 1), Ok(0));
});

case!(keepcaps_flag, [prctl], {
    check_eq!(sys!(prctl, PR_GET_KEEPCAPS), Ok(0));
    check_eq!(sys!(prctl, PR_SET_KEEPCAPS, 1), Ok(0));
    check_eq!(sys!(prctl, PR_GET_KEEPCAPS), Ok(1));
    check_eq!(sys!(prctl, PR_SET_KEEPCAPS, 2), Err(EINVAL));
});

case!(no_new_privs_cannot_be_taken_back, [prctl], {
    check_eq!(sys!(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), Ok(0));
    check_eq!(sys!(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), Ok(0));
    check_eq!(sys!(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), Ok(1));
    check_eq!(sys!(prctl, PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), Err(EINVAL));
    check_eq!(sys!(prctl, PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), Err(EINVAL));
    fork(|| check_eq!(sys!(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), Ok(1))).ok();
});

case!(timer_slack, [prctl], {
    check_eq!(sys!(prctl, PR_SET_TIMERSLACK, 12345), Ok(0));
    check_eq!(sys!(prctl, PR_GET_TIMERSLACK), Ok(12345));
});

case!(unknown_option_is_einval, [prctl], {
    check_eq!(sys!(prctl, 9999, 0, 0, 0, 0), Err(EINVAL));
    check_eq!(sys!(prctl, -1, 0, 0, 0, 0), Err(EINVAL));
});

case!(arch_prctl_segment_bases, [arch_prctl], {
    const ARCH_SET_GS: i32 = 0x1001;
    const ARCH_GET_FS: i32 = 0x1003;
    const ARCH_GET_GS: i32 = 0x1004;
    let mut base = 0u64;
    check_eq!(sys!(arch_prctl, ARCH_GET_FS, &mut base), Ok(0));
    check!(base != 0, "thread-local storage is there");
    let area = anon(PAGE);
    poke(area + 16, 0x1234_5678u64);
    check_eq!(sys!(arch_prctl, ARCH_SET_GS, area), Ok(0));
    check_eq!(sys!(arch_prctl, ARCH_GET_GS, &mut base), Ok(0));
    check_eq!(base as usize, area);
    check_eq!(crate::support::registers::load_gs(16), 0x1234_5678);
    fork(|| check_eq!(crate::support::registers::load_gs(16), 0x1234_5678, "in a child too")).ok();
    check_eq!(sys!(arch_prctl, ARCH_SET_GS, 1u64 << 62), Err(EPERM));
    check_eq!(sys!(arch_prctl, ARCH_GET_GS, BAD), Err(EFAULT));
    check_eq!(sys!(arch_prctl, 0x9999, 0), Err(EINVAL));
    sys!(arch_prctl, ARCH_SET_GS, 0).must();
});

case!(personality_is_kept, [personality], {
    let ask = 0xffff_ffffu32;
    check_eq!(sys!(personality, ask), Ok(0));
    check_eq!(sys!(personality, ADDR_NO_RANDOMIZE), Ok(0));
    check_eq!(sys!(personality, ask), Ok(i64::from(ADDR_NO_RANDOMIZE)));
    fork(|| check_eq!(sys!(personality, ask), Ok(i64::from(ADDR_NO_RANDOMIZE)))).ok();
});
