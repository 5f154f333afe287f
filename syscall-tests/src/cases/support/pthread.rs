//! Priority-inheriting locks of the C library.

use super::check::check_eq;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

/// Calls a function of the C library on what the types here hold.
macro_rules! call {
    ($function:ident($($argument:expr),+)) => {
        // SAFETY: what is pointed to is of the right type and was initialised, unless that is what
        // the function does; nobody moves it.
        unsafe { libc::$function($($argument),+) }
    };
}

/// A mutex that lies where it is told, for as long as the case runs.
#[derive(Clone, Copy)]
pub struct Mutex(*mut libc::pthread_mutex_t);

// SAFETY: that is what it is for.
unsafe impl Send for Mutex {}
// SAFETY: as above.
unsafe impl Sync for Mutex {}

impl Mutex {
    /// Makes one at an address where there is room and which stays mapped.
    #[track_caller]
    pub fn inheriting(at: usize, is_shared: bool, is_robust: bool) -> Mutex {
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let (attributes, place) = (attributes.as_mut_ptr(), at as *mut libc::pthread_mutex_t);
        check_eq!(call!(pthread_mutexattr_init(attributes)), 0);
        let inherit = libc::PTHREAD_PRIO_INHERIT;
        check_eq!(call!(pthread_mutexattr_setprotocol(attributes, inherit)), 0);
        if is_shared {
            let shared = libc::PTHREAD_PROCESS_SHARED;
            check_eq!(call!(pthread_mutexattr_setpshared(attributes, shared)), 0);
        }
        if is_robust {
            let robust = libc::PTHREAD_MUTEX_ROBUST;
            check_eq!(call!(pthread_mutexattr_setrobust(attributes, robust)), 0);
        }
        check_eq!(call!(pthread_mutex_init(place, attributes)), 0);
        Mutex(place)
    }

    /// Takes it; answers with 0 or an errno.
    pub fn lock(self) -> i32 {
        call!(pthread_mutex_lock(self.0))
    }

    /// Takes it if it is free.
    pub fn try_lock(self) -> i32 {
        call!(pthread_mutex_trylock(self.0))
    }

    /// Takes it before a time of the realtime clock.
    pub fn timed_lock(self, end: &libc::timespec) -> i32 {
        call!(pthread_mutex_timedlock(self.0, end))
    }

    /// Gives it back.
    #[track_caller]
    pub fn unlock(self) {
        check_eq!(call!(pthread_mutex_unlock(self.0)), 0);
    }

    /// Says that what it protects is in order again after the owner's death.
    #[track_caller]
    pub fn make_consistent(self) {
        check_eq!(call!(pthread_mutex_consistent(self.0)), 0);
    }
}

/// A condition variable.
pub struct Condition(UnsafeCell<libc::pthread_cond_t>);

// SAFETY: that is what it is for.
unsafe impl Sync for Condition {}

impl Condition {
    /// Makes one.
    pub const fn new() -> Condition {
        Condition(UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER))
    }

    /// Waits with the mutex given back.
    #[track_caller]
    pub fn wait(&self, mutex: Mutex) {
        check_eq!(call!(pthread_cond_wait(self.0.get(), mutex.0)), 0);
    }

    /// Wakes one.
    #[track_caller]
    pub fn signal(&self) {
        check_eq!(call!(pthread_cond_signal(self.0.get())), 0);
    }

    /// Wakes all.
    #[track_caller]
    pub fn broadcast(&self) {
        check_eq!(call!(pthread_cond_broadcast(self.0.get())), 0);
    }
}
