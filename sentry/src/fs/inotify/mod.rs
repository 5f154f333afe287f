//! File events as a file, inotify(7).
//!
//! An [`Inotify`] owns its watches; a watch hangs on its inode as a [`Watcher`] and keeps the inode
//! alive. Locks: the instance's state (rank `Ready`), never held while an inode's watches change.

mod queue;

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::fs::InotifyMask;
use linux_abi::poll::PollEvents;
use linux_abi::tty::FIONREAD;

use crate::fs::ioctl;
use crate::memory::IoDest;
use crate::sync::{Mutex, Rank, WaitQueue};
use crate::vfs::{File, Inode, IoContext, Watcher};
use queue::EventQueue;

/// Most watches of one instance (`fs.inotify.max_user_watches`).
const MAX_WATCHES: usize = 65_536;

/// An inotify instance.
pub struct Inotify {
    state: Mutex<State>,
    queue: WaitQueue,
    /// Itself, for its watches.
    this: Weak<Inotify>,
}

#[derive(Default)]
struct State {
    events: EventQueue,
    watches: HashMap<i32, Arc<Watch>>,
    /// Watches by the address of their inode, which they keep alive.
    by_inode: HashMap<usize, i32>,
    last_descriptor: i32,
}

/// A watch on one inode.
struct Watch {
    descriptor: i32,
    inode: Arc<dyn Inode>,
    /// Events that are wanted, `ONESHOT` included.
    mask: AtomicU32,
    instance: Weak<Inotify>,
}

/// The open file of an instance.
pub struct InotifyFile(Arc<Inotify>);

fn address(inode: &Arc<dyn Inode>) -> usize {
    Arc::as_ptr(inode).cast::<()>().addr()
}

impl Inotify {
    pub fn new() -> Arc<Inotify> {
        Arc::new_cyclic(|this| Inotify {
            state: Mutex::new(Rank::Ready, State::default()),
            queue: WaitQueue::new(),
            this: this.clone(),
        })
    }

    /// Watches `inode`; answers with the watch descriptor. `mask` holds events, `ONESHOT`, and what
    /// to do if there is a watch already (`MASK_ADD`, `MASK_CREATE`).
    ///
    /// # Errors
    /// EEXIST (`MASK_CREATE`), ENOSPC (too many watches).
    pub fn watch(&self, inode: Arc<dyn Inode>, mask: InotifyMask) -> Result<i32, Errno> {
        let kept =
            mask & (InotifyMask::ALL_EVENTS | InotifyMask::ONESHOT | InotifyMask::EXCL_UNLINK);
        let made = {
            let mut state = self.state.lock();
            let existing = state.by_inode.get(&address(&inode)).copied();
            if let Some(watch) = existing.and_then(|descriptor| state.watches.get(&descriptor)) {
                if mask.contains(InotifyMask::MASK_CREATE) {
                    return Err(Errno::EEXIST);
                }
                if mask.contains(InotifyMask::MASK_ADD) {
                    watch.mask.fetch_or(kept.bits(), Ordering::Relaxed);
                } else {
                    watch.mask.store(kept.bits(), Ordering::Relaxed);
                }
                return Ok(watch.descriptor);
            }
            if state.watches.len() >= MAX_WATCHES {
                return Err(Errno::ENOSPC);
            }
            state.last_descriptor += 1;
            let watch = Arc::new(Watch {
                descriptor: state.last_descriptor,
                inode: inode.clone(),
                mask: AtomicU32::new(kept.bits()),
                instance: self.this.clone(),
            });
            state.by_inode.insert(address(&inode), watch.descriptor);
            state.watches.insert(watch.descriptor, watch.clone());
            watch
        };
        let descriptor = made.descriptor;
        inode.common().watches().add(self.key(), made);
        Ok(descriptor)
    }

    /// Ends a watch. Errors: EINVAL (no such watch).
    pub fn remove(&self, descriptor: i32) -> Result<(), Errno> {
        let watch = self.take(descriptor).ok_or(Errno::EINVAL)?;
        watch.inode.common().watches().remove(self.key());
        self.push(descriptor, InotifyMask::IGNORED, 0, None);
        Ok(())
    }

    /// What its watches are registered under.
    fn key(&self) -> u64 {
        std::ptr::from_ref(self).addr() as u64
    }

    fn take(&self, descriptor: i32) -> Option<Arc<Watch>> {
        let mut state = self.state.lock();
        let watch = state.watches.remove(&descriptor)?;
        state.by_inode.remove(&address(&watch.inode));
        Some(watch)
    }

    fn push(&self, descriptor: i32, mask: InotifyMask, cookie: u32, name: Option<&[u8]>) {
        self.state.lock().events.push(descriptor, mask, cookie, name);
        self.queue.notify(PollEvents::IN | PollEvents::RDNORM);
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        let key = self.key();
        for watch in self.state.get_mut().watches.values() {
            watch.inode.common().watches().remove(key);
        }
    }
}

impl Watcher for Watch {
    fn event(&self, mask: InotifyMask, cookie: u32, name: Option<&[u8]>) {
        let wanted = InotifyMask::from_bits_retain(self.mask.load(Ordering::Relaxed));
        if !(mask & InotifyMask::ALL_EVENTS).intersects(wanted) {
            return;
        }
        let Some(instance) = self.instance.upgrade() else { return };
        instance.push(self.descriptor, mask, cookie, name);
        if wanted.contains(InotifyMask::ONESHOT) {
            // Gone already if two events come at the same time.
            let _ = instance.remove(self.descriptor);
        }
    }

    fn ended(&self) {
        let Some(instance) = self.instance.upgrade() else { return };
        if instance.take(self.descriptor).is_some() {
            instance.push(self.descriptor, InotifyMask::IGNORED, 0, None);
        }
    }
}

impl InotifyFile {
    pub fn new() -> InotifyFile {
        InotifyFile(Inotify::new())
    }

    pub fn instance(&self) -> &Arc<Inotify> {
        &self.0
    }
}

impl Default for InotifyFile {
    fn default() -> InotifyFile {
        InotifyFile::new()
    }
}

impl File for InotifyFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    /// As many events as fit. Errors: EINVAL when not even one does, EAGAIN, EFAULT.
    fn read(&self, dest: &mut IoDest<'_>, _: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        let bytes = self.0.state.lock().events.take(dest.remaining())?;
        match dest.put(&bytes)? {
            count if count == bytes.len() => Ok(count),
            // Linux: events that could not be copied are lost.
            _ => Err(Errno::EFAULT),
        }
    }

    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        match command {
            FIONREAD => {
                let waiting = self.0.state.lock().events.bytes() as i32;
                ioctl::put(io, argument, &waiting)
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    fn readiness(&self) -> PollEvents {
        if self.0.state.lock().events.is_empty() {
            PollEvents::empty()
        } else {
            PollEvents::IN | PollEvents::RDNORM
        }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.0.queue)
    }

    fn fdinfo(&self) -> String {
        let watches: Vec<Arc<Watch>> = self.0.state.lock().watches.values().cloned().collect();
        let mut lines: Vec<String> = watches
            .iter()
            .filter_map(|watch| {
                let attributes = watch.inode.attributes().ok()?;
                let mask = watch.mask.load(Ordering::Relaxed);
                let device = attributes.device;
                Some(format!(
                    "inotify wd:{:x} ino:{:x} sdev:{:x} mask:{mask:x} ignored_mask:0\n",
                    watch.descriptor,
                    attributes.inode,
                    device.major << 20 | device.minor,
                ))
            })
            .collect();
        lines.sort();
        lines.concat()
    }
}
