//! The priority-inheriting operations of `futex(2)`.

use linux_abi::Errno;
use linux_abi::futex::{
    FUTEX_CMP_REQUEUE_PI, FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_TID_MASK, FUTEX_TRYLOCK_PI,
    FUTEX_UNLOCK_PI, FUTEX_WAIT_REQUEUE_PI,
};

use super::SysResult;
use crate::futex::FutexKey;
use crate::futex::pi::{self, Patience, Word};
use crate::memory::UserAddr;
use crate::task::Ctx;
use crate::time::{Sleep, TimerClock};

/// The arguments that such an operation may have.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub addrs: (UserAddr, UserAddr),
    pub is_private: bool,
    /// `val` and `val3`.
    pub values: (u32, u32),
    /// `val2`.
    pub count: i32,
    pub deadline: Option<(TimerClock, i64)>,
}

/// Errors: ENOSYS for another operation; EINVAL for a misaligned address, a negative count, another
/// number of threads to wake than one; EPERM for a lock that is not the caller's; those of [`pi`].
pub(super) async fn serve(ctx: &mut Ctx, command: i32, request: Request) -> SysResult {
    let (value, compared) = request.values;
    match command {
        FUTEX_LOCK_PI | FUTEX_LOCK_PI2 => {
            let at = request.word(ctx)?;
            pi::lock(ctx, at, Patience::Until(request.sleep(ctx))).await?;
        }
        FUTEX_TRYLOCK_PI => {
            let at = request.word(ctx)?;
            pi::lock(ctx, at, Patience::None).await?;
        }
        FUTEX_UNLOCK_PI => unlock(ctx, request).await?,
        FUTEX_WAIT_REQUEUE_PI => {
            let (condition, lock) = request.words(ctx)?;
            pi::wait_requeue(ctx, condition, value, lock, request.sleep(ctx)).await?;
        }
        FUTEX_CMP_REQUEUE_PI => {
            let more = usize::try_from(request.count).map_err(|_| Errno::EINVAL)?;
            if value != 1 {
                return Err(Errno::EINVAL);
            }
            let words = request.words(ctx)?;
            return pi::requeue(ctx, words, compared, more).await;
        }
        _ => return Err(Errno::ENOSYS),
    }
    Ok(0)
}

async fn unlock(ctx: &mut Ctx, request: Request) -> Result<(), Errno> {
    // Linux: whose it is is looked at before all else.
    let value: u32 = ctx.memory().read_value(request.addrs.0.cast())?;
    if value & FUTEX_TID_MASK != ctx.task.tid() as u32 {
        return Err(Errno::EPERM);
    }
    let at = request.word(ctx)?;
    pi::unlock(ctx, at).await
}

impl Request {
    fn word(&self, ctx: &Ctx) -> Result<Word, Errno> {
        let addr = self.addrs.0;
        Ok(Word { key: FutexKey::new(ctx.memory(), addr, self.is_private)?, addr })
    }

    /// A condition and its lock. Errors: as for a futex; EINVAL if they are one.
    fn words(&self, ctx: &Ctx) -> Result<(Word, Word), Errno> {
        let (one, other) = self.addrs;
        if one == other {
            return Err(Errno::EINVAL);
        }
        let other = Request { addrs: (other, one), ..*self };
        Ok((self.word(ctx)?, other.word(ctx)?))
    }

    fn sleep(&self, ctx: &Ctx) -> Option<Sleep> {
        let timers = &ctx.task.kernel.timers;
        self.deadline.map(|(clock, at)| timers.sleep_until(clock, at))
    }
}
