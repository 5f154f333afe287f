//! Descriptor tables.
//!
//! Lock: rank `FdTable`. Descriptions are never dropped under it, because dropping the last
//! reference closes the file.

use std::sync::Arc;

use linux_abi::Errno;
use platform::{Descriptors, Disturbed, ServedFile};

use super::description::close_descriptor;
use super::self_served::Told;
use super::{FileDescription, LockOwner};
use crate::sync::{Mutex, Rank};

/// Most descriptors a process may ever have (`fs.nr_open`), whatever its limit.
pub const NR_OPEN: u64 = 1 << 20;

/// The open descriptors of a process.
pub struct FdTable {
    slots: Mutex<Slots>,
    /// Tells this table's record locks from others'.
    identity: Arc<()>,
}

#[derive(Default)]
struct Slots {
    entries: Vec<Slot>,
    /// Bit n of word m: descriptor 64m+n is taken.
    taken: Vec<u64>,
    /// No descriptor below this one is free.
    first_free: usize,
    told: Told,
}

#[derive(Clone, Default)]
enum Slot {
    #[default]
    Free,
    /// Promised to an open that has not finished.
    Reserved,
    Open {
        description: Arc<FileDescription>,
        is_cloexec: bool,
    },
}

impl Slot {
    fn description(&self) -> Option<&Arc<FileDescription>> {
        match self {
            Slot::Open { description, .. } => Some(description),
            _ => None,
        }
    }
}

/// A descriptor number held for an open that may still fail.
pub struct Reservation {
    table: Arc<FdTable>,
    fd: i32,
    is_used: bool,
}

impl Default for FdTable {
    fn default() -> FdTable {
        FdTable::with_slots(Slots::default())
    }
}

impl FdTable {
    pub fn new() -> Arc<FdTable> {
        Arc::default()
    }

    fn with_slots(slots: Slots) -> FdTable {
        FdTable { slots: Mutex::new(Rank::FdTable, slots), identity: Arc::new(()) }
    }

    /// The owner of the record locks that are taken through this table.
    pub fn lock_owner(&self) -> LockOwner {
        LockOwner::Table(Arc::as_ptr(&self.identity).addr())
    }

    /// The description behind `fd`, whatever it is good for. Errors: EBADF.
    ///
    /// Most calls want [`FdTable::get_usable`], which refuses `O_PATH` descriptors.
    pub fn get(&self, fd: impl Into<i32>) -> Result<Arc<FileDescription>, Errno> {
        let slots = self.slots.lock();
        match usize::try_from(fd.into()).ok().and_then(|index| slots.entries.get(index)) {
            Some(Slot::Open { description, .. }) => Ok(description.clone()),
            _ => Err(Errno::EBADF),
        }
    }

    /// The description behind `fd`. Errors: EBADF, also for one opened with `O_PATH`.
    pub fn get_usable(&self, fd: impl Into<i32>) -> Result<Arc<FileDescription>, Errno> {
        let description = self.get(fd)?;
        if description.is_path() { Err(Errno::EBADF) } else { Ok(description) }
    }

    /// Gives `description` the lowest free number from `min` on, below `limit` (`RLIMIT_NOFILE`).
    ///
    /// Errors: EMFILE. (`min` at or beyond `limit` is the caller's EINVAL.)
    pub fn insert(
        &self,
        description: Arc<FileDescription>,
        is_cloexec: bool,
        min: i32,
        limit: u64,
    ) -> Result<i32, Errno> {
        let mut slots = self.slots.lock();
        let fd = slots.allocate(min, limit)?;
        slots.entries[fd] = Slot::Open { description, is_cloexec };
        Ok(fd as i32)
    }

    /// Holds the lowest free number below `limit` until the file is open. Errors: EMFILE.
    pub fn reserve(self: &Arc<Self>, limit: u64) -> Result<Reservation, Errno> {
        let mut slots = self.slots.lock();
        let fd = slots.allocate(0, limit)?;
        slots.entries[fd] = Slot::Reserved;
        drop(slots);
        Ok(Reservation { table: self.clone(), fd: fd as i32, is_used: false })
    }

    /// Puts `description` at `fd` exactly and closes what was there (`dup2`).
    ///
    /// Errors: EBADF (at or beyond `limit`), EBUSY (just being opened by another thread).
    pub fn replace(
        &self,
        fd: i32,
        description: Arc<FileDescription>,
        is_cloexec: bool,
        limit: u64,
    ) -> Result<(), Errno> {
        let index = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        if index as u64 >= limit.min(NR_OPEN) {
            return Err(Errno::EBADF);
        }
        let (old, disturbed) = {
            let mut slots = self.slots.lock();
            slots.grow_to(index + 1);
            if matches!(slots.entries[index], Slot::Reserved) {
                return Err(Errno::EBUSY);
            }
            slots.take_number(index);
            let old = std::mem::replace(
                &mut slots.entries[index],
                Slot::Open { description, is_cloexec },
            );
            slots.told.forget(index, old.description());
            (old, slots.told.disturbed())
        };
        disturbed.into_iter().for_each(Disturbed::tell);
        if let Slot::Open { description, .. } = old {
            // Linux: dup2 ignores the errors of the close.
            let _ = close_descriptor(&description, self.lock_owner());
        }
        Ok(())
    }

    /// Takes `fd` out; the caller closes it with [`close_descriptor`]. Errors: EBADF.
    fn remove(&self, fd: i32) -> Result<Arc<FileDescription>, Errno> {
        let index = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        let mut slots = self.slots.lock();
        if !matches!(slots.entries.get(index), Some(Slot::Open { .. })) {
            return Err(Errno::EBADF);
        }
        let (old, disturbed) = (slots.free(index), slots.told.disturbed());
        drop(slots);
        disturbed.into_iter().for_each(Disturbed::tell);
        match old {
            Slot::Open { description, .. } => Ok(description),
            _ => Err(Errno::EBADF),
        }
    }

    /// `close(2)`. Errors: EBADF, and the file's own from writing back (the descriptor is gone all the same).
    pub fn close(&self, fd: i32) -> Result<(), Errno> {
        let description = self.remove(fd)?;
        close_descriptor(&description, self.lock_owner())
    }

    /// Whether `fd` closes at `execve`. Errors: EBADF.
    pub fn is_cloexec(&self, fd: i32) -> Result<bool, Errno> {
        let slots = self.slots.lock();
        match usize::try_from(fd).ok().and_then(|index| slots.entries.get(index)) {
            Some(Slot::Open { is_cloexec, .. }) => Ok(*is_cloexec),
            _ => Err(Errno::EBADF),
        }
    }

    pub fn set_cloexec(&self, fd: i32, new: bool) -> Result<(), Errno> {
        let mut slots = self.slots.lock();
        match usize::try_from(fd).ok().and_then(|index| slots.entries.get_mut(index)) {
            Some(Slot::Open { is_cloexec, .. }) => {
                *is_cloexec = new;
                Ok(())
            }
            _ => Err(Errno::EBADF),
        }
    }

    /// Sets close-on-exec on all descriptors from `first` to `last`.
    pub fn set_cloexec_range(&self, first: u32, last: u32) {
        let mut slots = self.slots.lock();
        let end = slots.entries.len().min((last as usize).saturating_add(1));
        for slot in slots.entries.get_mut(first as usize..end).unwrap_or_default() {
            if let Slot::Open { is_cloexec, .. } = slot {
                *is_cloexec = true;
            }
        }
    }

    /// Closes all descriptors from `first` to `last`.
    pub fn close_range(&self, first: u32, last: u32) {
        let (first, last) = (first as usize, last as usize);
        self.close_where(|fd, _| (first..=last).contains(&fd));
    }

    /// Closes what is marked close-on-exec (`execve`).
    pub fn close_on_exec(&self) {
        self.close_where(|_, is_cloexec| is_cloexec);
    }

    fn close_where(&self, mut shall_close: impl FnMut(usize, bool) -> bool) {
        let mut closed = Vec::new();
        let disturbed = {
            let mut slots = self.slots.lock();
            for fd in 0..slots.entries.len() {
                let Slot::Open { is_cloexec, .. } = &slots.entries[fd] else { continue };
                if shall_close(fd, *is_cloexec)
                    && let Slot::Open { description, .. } = slots.free(fd)
                {
                    closed.push(description);
                }
            }
            slots.told.disturbed()
        };
        disturbed.into_iter().for_each(Disturbed::tell);
        for description in closed {
            let _ = close_descriptor(&description, self.lock_owner());
        }
    }

    /// A copy for a thread that stops sharing, or has other memory: the same descriptions.
    pub fn copy(&self) -> Arc<FdTable> {
        self.copy_telling(false)
    }

    /// A copy for `fork`; [`FdTable::adopt`] tells it to the copy of the address space.
    pub fn fork(&self) -> Arc<FdTable> {
        self.copy_telling(true)
    }

    fn copy_telling(&self, keeps_served: bool) -> Arc<FdTable> {
        let slots = self.slots.lock();
        let Slots { entries, taken, first_free, told } = &*slots;
        let told = if keeps_served { told.copy_files() } else { Told::default() };
        let mut copy =
            Slots { entries: entries.clone(), taken: taken.clone(), first_free: *first_free, told };
        drop(slots);
        copy.drop_reservations();
        Arc::new(FdTable::with_slots(copy))
    }

    /// Lets guest code in an address space serve `fd` by itself, as long as it is this description.
    /// `false` if that is no longer so, or the address space goes by another table.
    pub fn serve(
        &self,
        fd: i32,
        description: &FileDescription,
        file: ServedFile,
        descriptors: &Descriptors,
    ) -> bool {
        let mut slots = self.slots.lock();
        let Ok(index) = usize::try_from(fd) else { return false };
        let is_it = matches!(slots.entries.get(index), Some(Slot::Open { description: open, .. })
            if std::ptr::eq(Arc::as_ptr(open), description));
        is_it && slots.told.serve(index, file, descriptors, &self.identity)
    }

    /// Has what the original of a [`FdTable::fork`] serves served in the copy's address space;
    /// `false` if that is nothing.
    pub fn adopt(&self, descriptors: &Descriptors) -> bool {
        self.slots.lock().told.adopt(descriptors, &self.identity)
    }

    /// Whether an address space serves this table's descriptors.
    pub fn is_served_by(&self, descriptors: &Descriptors) -> bool {
        self.slots.lock().told.is_told_to(descriptors)
    }

    /// A copy without the descriptors from `first` to `last` (`CLOSE_RANGE_UNSHARE`).
    pub fn copy_without(&self, first: u32, last: u32) -> Arc<FdTable> {
        let copy = self.copy();
        copy.close_range(first, last);
        copy
    }

    /// Open descriptors in ascending order, for `/proc/[pid]/fd`.
    pub fn list(&self) -> Vec<(i32, Arc<FileDescription>)> {
        let slots = self.slots.lock();
        let open = slots.entries.iter().enumerate().filter_map(|(fd, slot)| match slot {
            Slot::Open { description, .. } => Some((fd as i32, description.clone())),
            _ => None,
        });
        open.collect()
    }

    /// Slots that the table has room for (`FDSize` of `/proc/[pid]/status`).
    pub fn capacity(&self) -> usize {
        self.slots.lock().entries.len().next_multiple_of(64)
    }
}

impl Slots {
    fn grow_to(&mut self, len: usize) {
        if self.entries.len() < len {
            self.entries.resize_with(len, Slot::default);
        }
        let words = len.div_ceil(64);
        if self.taken.len() < words {
            self.taken.resize(words, 0);
        }
    }

    /// Takes the lowest free number from `min` on. Errors: EMFILE.
    fn allocate(&mut self, min: i32, limit: u64) -> Result<usize, Errno> {
        let min = usize::try_from(min).unwrap_or(0);
        let fd = self.find_free(min.max(self.first_free));
        if fd as u64 >= limit.min(NR_OPEN) {
            return Err(Errno::EMFILE);
        }
        self.grow_to(fd + 1);
        self.take_number(fd);
        if min <= self.first_free {
            self.first_free = fd + 1;
        }
        Ok(fd)
    }

    fn find_free(&self, from: usize) -> usize {
        let mut word = from / 64;
        // Numbers below `from` count as taken.
        let mut skip = (1_u64 << (from % 64)) - 1;
        while let Some(taken) = self.taken.get(word) {
            let free = !(taken | skip);
            if free != 0 {
                return word * 64 + free.trailing_zeros() as usize;
            }
            skip = 0;
            word += 1;
        }
        from.max(word * 64)
    }

    fn take_number(&mut self, fd: usize) {
        self.taken[fd / 64] |= 1 << (fd % 64);
    }

    fn free(&mut self, fd: usize) -> Slot {
        self.taken[fd / 64] &= !(1 << (fd % 64));
        self.first_free = self.first_free.min(fd);
        let old = std::mem::take(&mut self.entries[fd]);
        self.told.forget(fd, old.description());
        old
    }

    fn drop_reservations(&mut self) {
        for fd in 0..self.entries.len() {
            if matches!(self.entries[fd], Slot::Reserved) {
                self.free(fd);
            }
        }
    }
}

impl Reservation {
    pub fn fd(&self) -> i32 {
        self.fd
    }

    /// Puts `description` where the number was held; answers with the number.
    pub fn fill(mut self, description: Arc<FileDescription>, is_cloexec: bool) -> i32 {
        let mut slots = self.table.slots.lock();
        slots.entries[self.fd as usize] = Slot::Open { description, is_cloexec };
        drop(slots);
        self.is_used = true;
        self.fd
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_used {
            self.table.slots.lock().free(self.fd as usize);
        }
    }
}

impl Drop for FdTable {
    fn drop(&mut self) {
        self.close_where(|_, _| true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::testing::open_nothing;

    const LIMIT: u64 = 1024;

    fn table_of(count: i32) -> Arc<FdTable> {
        let table = FdTable::new();
        for fd in 0..count {
            assert_eq!(table.insert(open_nothing(), false, 0, LIMIT), Ok(fd));
        }
        table
    }

    #[test]
    fn lowest_free_number_is_given_out() {
        let table = table_of(130);
        table.close(3).unwrap();
        table.close(70).unwrap();
        assert_eq!(table.insert(open_nothing(), false, 0, LIMIT), Ok(3));
        assert_eq!(table.insert(open_nothing(), false, 0, LIMIT), Ok(70));
        assert_eq!(table.insert(open_nothing(), false, 0, LIMIT), Ok(130));
        table.close(5).unwrap();
        assert_eq!(table.insert(open_nothing(), false, 100, LIMIT), Ok(131));
        assert_eq!(table.insert(open_nothing(), false, 0, LIMIT), Ok(5));
    }

    #[test]
    fn limit_is_emfile_and_for_dup2_ebadf() {
        let table = table_of(3);
        assert_eq!(table.insert(open_nothing(), false, 0, 3), Err(Errno::EMFILE));
        assert_eq!(table.replace(3, open_nothing(), false, 3), Err(Errno::EBADF));
        assert_eq!(table.replace(-1, open_nothing(), false, 3), Err(Errno::EBADF));
        assert_eq!(table.replace(2, open_nothing(), false, 3), Ok(()));
    }

    #[test]
    fn replace_far_beyond_leaves_the_numbers_between_free() {
        let table = table_of(1);
        table.replace(500, open_nothing(), true, LIMIT).unwrap();
        assert_eq!(table.insert(open_nothing(), false, 0, LIMIT), Ok(1));
        assert_eq!(table.insert(open_nothing(), false, 500, LIMIT), Ok(501));
        assert_eq!(table.is_cloexec(500), Ok(true));
    }

    #[test]
    fn reservation_is_closed_to_others_and_freed_when_dropped() {
        let table = table_of(1);
        let reservation = table.reserve(LIMIT).unwrap();
        assert_eq!(reservation.fd(), 1);
        assert!(table.get(1).is_err());
        assert_eq!(table.close(1), Err(Errno::EBADF));
        assert_eq!(table.replace(1, open_nothing(), false, LIMIT), Err(Errno::EBUSY));
        assert!(table.copy().get(1).is_err());
        drop(reservation);
        assert_eq!(table.reserve(LIMIT).unwrap().fill(open_nothing(), true), 1);
        assert_eq!(table.is_cloexec(1), Ok(true));
    }

    #[test]
    fn exec_closes_what_is_marked() {
        let table = table_of(4);
        table.set_cloexec(1, true).unwrap();
        table.set_cloexec_range(3, u32::MAX);
        let copy = table.copy();
        table.close_on_exec();
        let left: Vec<i32> = table.list().into_iter().map(|(fd, _)| fd).collect();
        assert_eq!(left, [0, 2]);
        assert_eq!(copy.list().len(), 4);
        copy.close_range(1, u32::MAX);
        assert_eq!(copy.list().len(), 1);
    }
}
