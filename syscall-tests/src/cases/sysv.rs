//! System V shared memory, semaphores and message queues.

use crate::support::prelude::*;

fn shm(size: usize) -> i32 {
    match sys!(shmget, IPC_PRIVATE, size, IPC_CREAT | 0o600) {
        Err(ENOSYS) => skip!("no System V IPC"),
        other => other.must() as i32,
    }
}

case!(shared_memory_is_shared, [shmget, shmat, shmdt, shmctl, mprotect], {
    let id = shm(PAGE);
    let addr = sys!(shmat, id, 0, 0).must() as usize;
    check_eq!(peek::<u8>(addr), 0);
    fork(|| poke(addr, 5u8)).ok();
    check_eq!(peek::<u8>(addr), 5);
    let second = sys!(shmat, id, 0, SHM_RDONLY).must() as usize;
    check_eq!(peek::<u8>(second), 5);
    check_eq!(write_fault(second).map(|f| f.signal), Some(SIGSEGV));
    let writable = PROT_READ | PROT_WRITE;
    check_eq!(sys!(mprotect, second, PAGE, writable), Err(EACCES), "nor later");
    check_eq!(sys!(shmdt, second), Ok(0));
    check_eq!(sys!(shmdt, second), Err(EINVAL));
    check_eq!(sys!(shmctl, id, IPC_RMID, 0), Ok(0));
    check_eq!(peek::<u8>(addr), 5, "removed, but still attached");
    check_eq!(sys!(shmdt, addr), Ok(0));
    check_eq!(sys!(shmat, id, 0, 0), Err(EINVAL));
});

case!(shared_memory_state, [shmctl], {
    let id = shm(PAGE + 1);
    let mut state: shmid_ds = zeroed();
    check_eq!(sys!(shmctl, id, IPC_STAT, &mut state), Ok(0));
    check_eq!((state.shm_segsz, state.shm_nattch, state.shm_cpid), (PAGE + 1, 0, getpid()));
    check_eq!(state.shm_perm.mode & 0o777, 0o600);
    sys!(shmat, id, 0, 0).must();
    sys!(shmctl, id, IPC_STAT, &mut state).must();
    check_eq!((state.shm_nattch, state.shm_lpid), (1, getpid()));
    sys!(shmctl, id, IPC_RMID, 0).must();
});

case!(shared_memory_errors, [shmget, shmat, shmctl], {
    let id = shm(PAGE);
    let key = 0x5ca1_0000 + getpid();
    check_eq!(sys!(shmget, key, PAGE, 0), Err(ENOENT));
    let named = sys!(shmget, key, PAGE, IPC_CREAT | 0o600).must();
    check_eq!(sys!(shmget, key, PAGE, 0), Ok(named));
    check_eq!(sys!(shmget, key, 2 * PAGE, 0), Err(EINVAL), "too small");
    check_eq!(sys!(shmget, key, PAGE, IPC_CREAT | IPC_EXCL), Err(EEXIST));
    sys!(shmctl, named, IPC_RMID, 0).must();
    check_eq!(sys!(shmget, IPC_PRIVATE, 0, IPC_CREAT), Err(EINVAL));
    check_eq!(sys!(shmat, id, 1, 0), Err(EINVAL), "not aligned");
    check_eq!(sys!(shmctl, id, 99, 0), Err(EINVAL));
    check_eq!(sys!(shmctl, id, IPC_STAT, BAD), Err(EFAULT));
    sys!(shmctl, id, IPC_RMID, 0).must();
});

case!(attachments_are_inherited_and_end_at_exec, [shmat, fork, execve], {
    let id = shm(PAGE);
    sys!(shmat, id, 0, 0).must();
    let attached = || {
        let mut state: shmid_ds = zeroed();
        sys!(shmctl, id, IPC_STAT, &mut state).must();
        state.shm_nattch
    };
    fork(|| check_eq!(attached(), 2)).ok();
    check_eq!(attached(), 1);
    let (child, out) = start_helper(&["pause"], || {});
    sys!(read, out, &mut [0u8; 6], 6).must();
    check_eq!(attached(), 1);
    child.end();
    sys!(shmctl, id, IPC_RMID, 0).must();
});

fn semaphores(count: i32) -> i32 {
    match sys!(semget, IPC_PRIVATE, count, IPC_CREAT | 0o600) {
        Err(ENOSYS) => skip!("no System V IPC"),
        other => other.must() as i32,
    }
}

fn op(number: u16, change: i16, flags: i32) -> sembuf {
    sembuf { sem_num: number, sem_op: change, sem_flg: flags as i16 }
}

case!(semaphores_count, [semget, semop, semctl], {
    let id = semaphores(2);
    check_eq!(sys!(semctl, id, 0, SETVAL, 3), Ok(0));
    check_eq!(sys!(semop, id, &op(0, -2, 0), 1), Ok(0));
    check_eq!(sys!(semctl, id, 0, GETVAL), Ok(1));
    check_eq!(sys!(semop, id, &op(0, -2, IPC_NOWAIT), 1), Err(EAGAIN));
    check_eq!(sys!(semop, id, &op(0, 0, IPC_NOWAIT), 1), Err(EAGAIN), "waits for zero");
    check_eq!(sys!(semop, id, &op(1, 0, IPC_NOWAIT), 1), Ok(0));
    let both = [op(1, 1, 0), op(0, -2, IPC_NOWAIT)];
    check_eq!(sys!(semop, id, &both, 2), Err(EAGAIN));
    check_eq!(sys!(semctl, id, 1, GETVAL), Ok(0), "all or nothing");
    check_eq!(sys!(semctl, id, 0, SETALL, &[7u16, 8]), Ok(0));
    let mut all = [0u16; 2];
    sys!(semctl, id, 0, GETALL, &mut all).must();
    check_eq!(all, [7, 8]);
    check_eq!(sys!(semctl, id, 0, IPC_RMID), Ok(0));
});

case!(semaphore_wait_is_woken_and_removed, [semop, semtimedop, semctl], {
    let id = semaphores(1);
    let child = fork(|| check_eq!(sys!(semop, id, &op(0, -1, 0), 1), Ok(0)));
    settle();
    sys!(semop, id, &op(0, 1, 0), 1).must();
    child.ok();
    let start = now();
    check_eq!(sys!(semtimedop, id, &op(0, -1, 0), 1, &millis(40)), Err(EAGAIN));
    check!(now() - start >= Duration::from_millis(40));
    let child = fork_asleep(|| check_eq!(sys!(semop, id, &op(0, -1, 0), 1), Err(EIDRM)));
    sys!(semctl, id, 0, IPC_RMID).must();
    child.ok();
    check_eq!(sys!(semop, id, &op(0, 1, 0), 1), Err(EINVAL));
});

case!(semaphore_undo_at_exit, [semop, exit], {
    let id = semaphores(1);
    sys!(semctl, id, 0, SETVAL, 1).must();
    fork(|| {
        sys!(semop, id, &op(0, -1, SEM_UNDO), 1).must();
        check_eq!(sys!(semctl, id, 0, GETVAL), Ok(0));
    })
    .ok();
    check_eq!(sys!(semctl, id, 0, GETVAL), Ok(1));
    sys!(semctl, id, 0, IPC_RMID).must();
});

case!(semaphore_errors, [semget, semop, semctl], {
    let id = semaphores(1);
    check_eq!(sys!(semop, id, &op(1, 1, 0), 1), Err(EFBIG));
    check_eq!(sys!(semop, id, &op(0, 1, 0), 0), Err(EINVAL));
    check_eq!(sys!(semop, id, BAD, 1), Err(EFAULT));
    check_eq!(sys!(semctl, id, 0, SETVAL, 40_000), Err(ERANGE));
    check_eq!(sys!(semctl, id, 5, GETVAL), Err(EINVAL));
    check_eq!(sys!(semget, IPC_PRIVATE, -1, IPC_CREAT), Err(EINVAL));
    sys!(semctl, id, 0, SETVAL, 32767).must();
    check_eq!(sys!(semop, id, &op(0, 1, 0), 1), Err(ERANGE));
    sys!(semctl, id, 0, IPC_RMID).must();
});

/// A message: type and up to 32 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
struct Mail {
    kind: i64,
    text: [u8; 32],
}

fn mail(kind: i64, byte: u8) -> Mail {
    Mail { kind, text: [byte; 32] }
}

fn queue() -> i32 {
    match sys!(msgget, IPC_PRIVATE, IPC_CREAT | 0o600) {
        Err(ENOSYS) => skip!("no System V IPC"),
        other => other.must() as i32,
    }
}

case!(messages_are_chosen_by_type, [msgget, msgsnd, msgrcv, msgctl], {
    let id = queue();
    for (kind, byte) in [(3, b'a'), (1, b'b'), (2, b'c'), (1, b'd')] {
        check_eq!(sys!(msgsnd, id, &mail(kind, byte), 8, 0), Ok(0));
    }
    let mut got = mail(0, 0);
    let mut take = |kind: i64, flags: i32| {
        let result = sys!(msgrcv, id, &mut got, 32, kind, flags | IPC_NOWAIT);
        result.map(|len| (len, got.kind, got.text[0]))
    };
    check_eq!(take(2, 0), Ok((8, 2, b'c')));
    check_eq!(take(0, 0), Ok((8, 3, b'a')), "the first");
    check_eq!(take(-5, 0), Ok((8, 1, b'b')), "the lowest type");
    check_eq!(take(7, 0), Err(ENOMSG));
    check_eq!(take(7, MSG_EXCEPT), Ok((8, 1, b'd')));
    check_eq!(take(0, 0), Err(ENOMSG));
    check_eq!(sys!(msgctl, id, IPC_RMID, 0), Ok(0));
});

case!(message_size_and_errors, [msgsnd, msgrcv], {
    let id = queue();
    check_eq!(sys!(msgsnd, id, &mail(0, 0), 8, 0), Err(EINVAL), "types start at 1");
    check_eq!(sys!(msgsnd, id, BAD, 8, 0), Err(EFAULT));
    check_eq!(sys!(msgsnd, id, &mail(1, 0), -1, 0), Err(EINVAL));
    sys!(msgsnd, id, &mail(1, b'x'), 16, 0).must();
    let mut got = mail(0, 0);
    check_eq!(sys!(msgrcv, id, &mut got, 8, 0, 0), Err(E2BIG));
    check_eq!(sys!(msgrcv, id, &mut got, 8, 0, MSG_NOERROR), Ok(8));
    sys!(msgctl, id, IPC_RMID, 0).must();
    check_eq!(sys!(msgsnd, id, &mail(1, 0), 8, 0), Err(EINVAL));
});

case!(message_receiver_waits, [msgrcv, msgsnd, msgctl], {
    let id = queue();
    let child = fork(|| check_eq!(sys!(msgrcv, id, &mut mail(0, 0), 32, 5, 0), Ok(8)));
    settle();
    sys!(msgsnd, id, &mail(4, b'x'), 8, 0).must();
    sys!(msgsnd, id, &mail(5, b'x'), 8, 0).must();
    child.ok();
    let child = fork_asleep(|| check_eq!(sys!(msgrcv, id, &mut mail(0, 0), 32, 5, 0), Err(EIDRM)));
    sys!(msgctl, id, IPC_RMID, 0).must();
    child.ok();
});

case!(message_queue_fills_up, [msgsnd, msgctl], {
    let id = queue();
    let mut state: msqid_ds = zeroed();
    sys!(msgctl, id, IPC_STAT, &mut state).must();
    state.msg_qbytes = 64;
    sys!(msgctl, id, IPC_SET, &state).must();
    for _ in 0..2 {
        sys!(msgsnd, id, &mail(1, 0), 32, IPC_NOWAIT).must();
    }
    check_eq!(sys!(msgsnd, id, &mail(1, 0), 32, IPC_NOWAIT), Err(EAGAIN));
    sys!(msgctl, id, IPC_STAT, &mut state).must();
    check_eq!((state.msg_qnum, state.msg_lspid), (2, getpid()));
    sys!(msgctl, id, IPC_RMID, 0).must();
});
