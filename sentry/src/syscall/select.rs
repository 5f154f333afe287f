//! `select`, `pselect6`.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;
use linux_abi::signal::SigSetArg;
use linux_abi::time::{Timespec, Timeval};

use super::SysResult;
use super::poll::{Deadline, Watched, apply_mask, finish, normalised, wait_any};
use crate::memory::{UserAddr, UserPtr};
use crate::task::Ctx;
use crate::vfs::FileDescription;

/// What makes a descriptor readable, writable or exceptional (`POLLIN_SET` and its kin).
const IN_SET: PollEvents = PollEvents::RDNORM
    .union(PollEvents::RDBAND)
    .union(PollEvents::IN)
    .union(PollEvents::HUP)
    .union(PollEvents::ERR);
const OUT_SET: PollEvents =
    PollEvents::WRBAND.union(PollEvents::WRNORM).union(PollEvents::OUT).union(PollEvents::ERR);
const EXCEPT_SET: PollEvents = PollEvents::PRI;

/// Three sets of descriptors as bits.
struct Sets {
    pointers: [UserAddr; 3],
    bits: [Vec<u64>; 3],
}

/// A descriptor in any of the sets.
struct Member {
    fd: usize,
    file: Arc<FileDescription>,
}

impl Sets {
    /// Reads the first `count` bits of each set; a null pointer is an empty set. Errors: EFAULT.
    fn read(ctx: &Ctx, count: usize, pointers: [UserAddr; 3]) -> Result<Sets, Errno> {
        let words = count.div_ceil(64);
        let mut bits = [const { Vec::new() }; 3];
        for (set, pointer) in bits.iter_mut().zip(pointers) {
            *set = match pointer.is_null() {
                true => vec![0; words],
                false => ctx.memory().read_array(pointer.cast::<u64>(), words)?,
            };
        }
        Ok(Sets { pointers, bits })
    }

    fn write(&self, ctx: &Ctx) -> Result<(), Errno> {
        for (set, pointer) in self.bits.iter().zip(self.pointers) {
            if !pointer.is_null() {
                ctx.memory().write_array(pointer.cast::<u64>(), set)?;
            }
        }
        Ok(())
    }

    fn has(&self, set: usize, fd: usize) -> bool {
        self.bits[set][fd / 64] & (1 << (fd % 64)) != 0
    }

    /// The files of all descriptors below `count` in any set. Errors: EBADF.
    fn members(&self, ctx: &Ctx, count: usize) -> Result<Vec<Member>, Errno> {
        let table = ctx.task.fds();
        (0..count)
            .filter(|&fd| (0..3).any(|set| self.has(set, fd)))
            .map(|fd| Ok(Member { fd, file: table.get_usable(fd as i32)? }))
            .collect()
    }

    /// What `member` is waited for.
    fn wanted(&self, fd: usize) -> PollEvents {
        let mut events = PollEvents::empty();
        for (set, kind) in [IN_SET, OUT_SET, EXCEPT_SET].into_iter().enumerate() {
            if self.has(set, fd) {
                events |= kind;
            }
        }
        events
    }

    /// The sets of what is ready, and how many bits they have.
    fn ready(&self, members: &[Member]) -> (usize, [Vec<u64>; 3]) {
        let mut found = self.bits.each_ref().map(|set| vec![0; set.len()]);
        let mut total = 0;
        for Member { fd, file } in members {
            let events = file.file().readiness();
            for (set, kind) in [IN_SET, OUT_SET, EXCEPT_SET].into_iter().enumerate() {
                if self.has(set, *fd) && events.intersects(kind) {
                    found[set][fd / 64] |= 1 << (fd % 64);
                    total += 1;
                }
            }
        }
        (total, found)
    }
}

/// Errors: EINVAL, EFAULT, EBADF, ERESTARTNOHAND.
async fn select_until(
    ctx: &Ctx,
    count: i32,
    pointers: [UserAddr; 3],
    deadline: Deadline,
) -> SysResult {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    // Linux: no more than the descriptor table has room for is looked at.
    let count = count.min(ctx.task.fds().capacity().max(64));
    let mut sets = Sets::read(ctx, count, pointers)?;
    let members = sets.members(ctx, count)?;
    let watched: Vec<Watched> =
        members.iter().map(|member| (member.file.clone(), sets.wanted(member.fd))).collect();
    let check = || {
        let (total, found) = sets.ready(&members);
        (total > 0).then_some((total, found))
    };
    let found = wait_any(ctx, &watched, deadline, check).await?;
    let (total, bits) = found.unwrap_or_else(|| sets.ready(&[]));
    sets.bits = bits;
    sets.write(ctx)?;
    Ok(total)
}

/// `select(2)`; the time that is left is written back. Errors: EBADF, EINVAL, EFAULT, EINTR.
pub async fn select(
    ctx: &mut Ctx,
    count: i32,
    read: UserAddr,
    write: UserAddr,
    except: UserAddr,
    time: UserPtr<Timeval>,
) -> SysResult {
    let deadline = match time.non_null() {
        Some(time) => {
            let time = ctx.memory().read_value(time)?;
            Deadline::in_nanoseconds(normalised(time.sec, time.usec)?)
        }
        None => Deadline::Never,
    };
    let result = select_until(ctx, count, [read, write, except], deadline).await;
    let left = deadline.remaining();
    finish(ctx, result, || match time.non_null() {
        Some(time) => {
            let left = Timeval { sec: left.sec, usec: left.nsec / 1000 };
            ctx.memory().write_value(time, &left)
        }
        None => Ok(()),
    })
}

/// `pselect6(2)`. Errors: as [`select`].
pub async fn pselect6(
    ctx: &mut Ctx,
    count: i32,
    read: UserAddr,
    write: UserAddr,
    except: UserAddr,
    time: UserPtr<Timespec>,
    mask: UserPtr<SigSetArg>,
) -> SysResult {
    let mask = match mask.non_null() {
        Some(mask) => ctx.memory().read_value(mask)?,
        None => SigSetArg::default(),
    };
    let deadline = match time.non_null() {
        Some(time) => Deadline::in_timespec(ctx.memory().read_value(time)?)?,
        None => Deadline::Never,
    };
    apply_mask(ctx, UserPtr::new(mask.sigset), mask.size as usize)?;
    let result = select_until(ctx, count, [read, write, except], deadline).await;
    let left = deadline.remaining();
    finish(ctx, result, || match time.non_null() {
        Some(time) => ctx.memory().write_value(time, &left),
        None => Ok(()),
    })
}
