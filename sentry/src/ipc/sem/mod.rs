//! System V semaphores, sem_overview of sysvipc(7), semop(2), semctl(2).

mod set;
mod wait;

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::ipc::{IpcPerm, SEMMNI, SEMMNS, SEMMSL, SEMVMX, Sembuf, SemidDs};

use super::owner::{READ, WRITE};
use super::registry::Lookup;
use super::{Owner, Registry};
use crate::sync::{Mutex, Rank};
use crate::task::{Credentials, Pid};
use crate::vfs::now;
use set::{Outcome, Pending, Set, Undo, alters};
use wait::Waiter;

/// All semaphore sets.
pub struct Semaphores {
    table: Mutex<Table>,
}

struct Table {
    sets: Registry<Set>,
    undo: Undo,
}

/// Operations that wait; given up when dropped before they are done.
pub struct Waiting<'a> {
    semaphores: &'a Semaphores,
    id: i32,
    waiter: Arc<Waiter>,
}

/// What [`Semaphores::operate`] answers with.
pub enum Operated<'a> {
    Done,
    Waits(Waiting<'a>),
}

impl Default for Semaphores {
    fn default() -> Semaphores {
        let table = Table { sets: Registry::new(SEMMNI as usize), undo: Undo::new() };
        Semaphores { table: Mutex::new(Rank::FileObject, table) }
    }
}

impl Semaphores {
    /// `semget(2)`.
    ///
    /// # Errors
    /// EINVAL, ENOENT, EEXIST, EACCES, ENOSPC.
    pub fn get(
        &self,
        key: i32,
        count: i32,
        flags: u32,
        credentials: &Credentials,
    ) -> Result<i32, Errno> {
        let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
        if count > SEMMSL as usize {
            return Err(Errno::EINVAL);
        }
        let mut table = self.table.lock();
        match table.sets.look_up(key, flags)? {
            Lookup::Existing(id) => {
                let set = table.sets.get(id)?;
                if count > set.semaphores.len() {
                    return Err(Errno::EINVAL);
                }
                set.owner.check(credentials, flags)?;
                Ok(id)
            }
            Lookup::Create if count == 0 => Err(Errno::EINVAL),
            Lookup::Create => {
                if table.used() + count > SEMMNS as usize {
                    return Err(Errno::ENOSPC);
                }
                let set = Set::new(Owner::new(key, flags, credentials), count);
                table.sets.insert(key, set)
            }
        }
    }

    /// Does `ops` at once, or has them wait.
    ///
    /// # Errors
    /// EINVAL, EFBIG (no such semaphore), EACCES, EAGAIN, ERANGE.
    pub fn operate(
        &self,
        id: i32,
        ops: Vec<Sembuf>,
        pid: Pid,
        credentials: &Credentials,
    ) -> Result<Operated<'_>, Errno> {
        let mut woken = Vec::new();
        let result = {
            let mut table = self.table.lock();
            let Table { sets, undo } = &mut *table;
            let set = sets.get(id)?;
            if ops.iter().any(|op| usize::from(op.num) >= set.semaphores.len()) {
                return Err(Errno::EFBIG);
            }
            set.owner.check(credentials, if alters(&ops) { WRITE } else { READ })?;
            match set.perform(id, &ops, pid, undo) {
                Outcome::Done => {
                    if alters(&ops) {
                        set.update(id, undo, &mut woken);
                    }
                    Ok(Operated::Done)
                }
                Outcome::Fails(errno) => Err(errno),
                Outcome::Blocks(blocking) => {
                    let waiter = Arc::<Waiter>::default();
                    let pending = Pending { ops, pid, waiter: waiter.clone(), blocking };
                    set.pending.push_back(pending);
                    Ok(Operated::Waits(Waiting { semaphores: self, id, waiter }))
                }
            }
        };
        wake(woken);
        result
    }

    /// The facts that `IPC_STAT` shows of set `id`. Errors: EINVAL, EACCES.
    pub fn stat(&self, id: i32, credentials: &Credentials) -> Result<SemidDs, Errno> {
        let mut table = self.table.lock();
        let set = table.sets.get(id)?;
        set.owner.check(credentials, READ)?;
        Ok(facts(id, set))
    }

    /// `SEM_STAT`: of the set at `index`, with its id. Without credentials nothing is checked.
    pub fn stat_at(
        &self,
        index: i32,
        credentials: Option<&Credentials>,
    ) -> Result<(i32, SemidDs), Errno> {
        let mut table = self.table.lock();
        let (id, set) = table.sets.at(index)?;
        if let Some(credentials) = credentials {
            set.owner.check(credentials, READ)?;
        }
        Ok((id, facts(id, set)))
    }

    /// All sets.
    pub fn list(&self) -> Vec<(i32, SemidDs)> {
        self.table.lock().sets.iter().map(|(id, set)| (id, facts(id, set))).collect()
    }

    /// Numbers of sets, of semaphores, and the highest index in use.
    pub fn usage(&self) -> (usize, usize, usize) {
        let table = self.table.lock();
        (table.sets.len(), table.used(), table.sets.highest_index())
    }

    /// One fact about semaphore `number` of a set: value, last process, or how many wait.
    ///
    /// # Errors
    /// EINVAL, EACCES.
    pub fn query(
        &self,
        id: i32,
        number: i32,
        credentials: &Credentials,
        fact: Fact,
    ) -> Result<usize, Errno> {
        let mut table = self.table.lock();
        let set = table.sets.get(id)?;
        set.owner.check(credentials, READ)?;
        let number = usize::try_from(number).map_err(|_| Errno::EINVAL)?;
        let semaphore = *set.semaphores.get(number).ok_or(Errno::EINVAL)?;
        Ok(match fact {
            Fact::Value => semaphore.value as usize,
            Fact::Pid => semaphore.pid as usize,
            Fact::WaitingForZero => set.waiting(number, true),
            Fact::WaitingToGrow => set.waiting(number, false),
        })
    }

    /// All values of a set. Errors: EINVAL, EACCES.
    pub fn values(&self, id: i32, credentials: &Credentials) -> Result<Vec<u16>, Errno> {
        let mut table = self.table.lock();
        let set = table.sets.get(id)?;
        set.owner.check(credentials, READ)?;
        Ok(set.semaphores.iter().map(|one| one.value as u16).collect())
    }

    /// How many semaphores set `id` has, for who may change it. Errors: EINVAL, EACCES.
    pub fn count(&self, id: i32, credentials: &Credentials) -> Result<usize, Errno> {
        let mut table = self.table.lock();
        let set = table.sets.get(id)?;
        set.owner.check(credentials, WRITE)?;
        Ok(set.semaphores.len())
    }

    /// Sets values from semaphore `first` on (`SETVAL`, `SETALL`); forgets what was to be undone.
    ///
    /// # Errors
    /// EINVAL, EACCES, ERANGE.
    pub fn set_values(
        &self,
        id: i32,
        first: i32,
        values: &[i32],
        pid: Pid,
        credentials: &Credentials,
    ) -> Result<(), Errno> {
        if values.iter().any(|value| !(0..=SEMVMX).contains(value)) {
            return Err(Errno::ERANGE);
        }
        let mut woken = Vec::new();
        {
            let mut table = self.table.lock();
            let Table { sets, undo } = &mut *table;
            let set = sets.get(id)?;
            let first = usize::try_from(first).map_err(|_| Errno::EINVAL)?;
            let range = first..first + values.len();
            let semaphores = set.semaphores.get_mut(range.clone()).ok_or(Errno::EINVAL)?;
            set.owner.check(credentials, WRITE)?;
            for (semaphore, value) in semaphores.iter_mut().zip(values) {
                semaphore.value = *value;
                semaphore.pid = pid;
            }
            for ((_, other), adjustments) in undo.iter_mut() {
                if *other == id {
                    adjustments[range.clone()].fill(0);
                }
            }
            set.changed = now().sec;
            set.update(id, undo, &mut woken);
        }
        wake(woken);
        Ok(())
    }

    /// `IPC_SET`. Errors: EINVAL, EPERM.
    pub fn change(&self, id: i32, wanted: &IpcPerm, who: &Credentials) -> Result<(), Errno> {
        let mut table = self.table.lock();
        let set = table.sets.get(id)?;
        set.owner.check_control(who)?;
        set.owner.change(wanted)?;
        set.changed = now().sec;
        Ok(())
    }

    /// `IPC_RMID`: whoever waits gets EIDRM. Errors: EINVAL, EPERM.
    pub fn remove(&self, id: i32, credentials: &Credentials) -> Result<(), Errno> {
        let set = {
            let mut table = self.table.lock();
            table.sets.get(id)?.owner.check_control(credentials)?;
            table.undo.retain(|(_, other), _| *other != id);
            table.sets.remove(id)?
        };
        for pending in set.pending {
            pending.waiter.finish(Err(Errno::EIDRM));
            pending.waiter.wake();
        }
        Ok(())
    }

    /// Undoes what process `pid` did with `SEM_UNDO` (Linux: `exit_sem`).
    pub fn undo_all(&self, pid: Pid) {
        let mut woken = Vec::new();
        {
            let mut table = self.table.lock();
            let Table { sets, undo } = &mut *table;
            let ids: Vec<i32> =
                undo.keys().filter(|(who, _)| *who == pid).map(|(_, id)| *id).collect();
            for id in ids {
                let (Some(adjustments), Ok(set)) = (undo.remove(&(pid, id)), sets.get(id)) else {
                    continue;
                };
                for (semaphore, change) in set.semaphores.iter_mut().zip(adjustments) {
                    if change != 0 {
                        semaphore.value = (semaphore.value + i32::from(change)).clamp(0, SEMVMX);
                        semaphore.pid = pid;
                    }
                }
                set.operated = now().sec;
                set.update(id, undo, &mut woken);
            }
        }
        wake(woken);
    }
}

/// What [`Semaphores::query`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    Value,
    Pid,
    WaitingForZero,
    WaitingToGrow,
}

impl Table {
    fn used(&self) -> usize {
        self.sets.iter().map(|(_, set)| set.semaphores.len()).sum()
    }
}

fn facts(id: i32, set: &Set) -> SemidDs {
    SemidDs {
        perm: set.owner.to_perm(id),
        otime: set.operated,
        ctime: set.changed,
        nsems: set.semaphores.len() as u64,
        ..SemidDs::default()
    }
}

fn wake(woken: Vec<Arc<Waiter>>) {
    for waiter in woken {
        waiter.wake();
    }
}

impl Waiting<'_> {
    /// Waits until the operations are done or the set is removed (EIDRM), or one turns out to be
    /// impossible (ERANGE).
    pub async fn wait(&self) -> Result<(), Errno> {
        self.waiter.wait().await
    }

    /// Stops waiting; `reason` is the error unless the operations have been done meanwhile.
    pub fn give_up(self, reason: Errno) -> Result<(), Errno> {
        self.cancel();
        self.waiter.take().unwrap_or(Err(reason))
    }

    fn cancel(&self) {
        let mut table = self.semaphores.table.lock();
        if let Ok(set) = table.sets.get(self.id) {
            set.pending.retain(|pending| !Arc::ptr_eq(&pending.waiter, &self.waiter));
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.cancel();
    }
}
