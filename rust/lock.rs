// SPDX-License-Identifier: GPL-2.0

//! Locks: raw ones, held only inside a per-CPU section, and mutexes of process context.
//!
//! Lock order, outermost first:
//!
//! ```text
//! a cache's barrier mutex > channel mutex > cpus_read_lock      (process context)
//!   > a cache's service mutex > a cache's trim mutex, offline mutex
//!     > registry mutex, a leaf of these
//!       > the per-CPU section (busy)
//!         > requests > sealed (one per CPU) > node (one per cache and NUMA node)
//! ```
//!
//! A raw lock is taken with a [`Section`] as proof that this CPU's section is open: an NMI that
//! arrives while the lock is held finds the CPU busy and takes the lock-free way, so it can never
//! wait for a lock that its own CPU holds. That also makes `try_lock` right on uniprocessor
//! kernels, where the lock itself is nothing.
//!
//! Interrupts are off while a lock is held, although the section would keep them from that lock.
//! They may wait for a lock of somebody else's, which another CPU holds with interrupts, or
//! bottom halves, off while it waits for ours. Only where no such CPU waits they stay on: see
//! [`RawLock::lock_own`].

use crate::percpu::Section;
use crate::sys;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use kernel::types::Opaque;

/// Lockdep classes, and the order in which they nest.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Class {
    /// The list of requests to all CPUs.
    Requests = 0,
    /// A CPU's sealed batches.
    Sealed = 1,
    /// A cache's slabs and barn on one node.
    Node = 2,
    /// Who runs a cache's destructors; a leaf.
    Dtors = 3,
    /// A CPU's reserve; a leaf.
    Reserve = 4,
    /// Who writes to a latch; a leaf, of users' threads.
    Latch = 5,
}

/// A raw spinlock that needs a [`Section`].
#[repr(C)]
pub(crate) struct RawLock<T> {
    raw: Opaque<sys::RawSpinLock>,
    data: UnsafeCell<T>,
}

// SAFETY: The data is only reached through the lock.
unsafe impl<T> Sync for RawLock<T> {}
// SAFETY: The data is plain state of the module; pointers in it are not bound to a thread.
unsafe impl<T> Send for RawLock<T> {}

impl<T> RawLock<T> {
    /// An unlocked lock around `data`; call [`Self::init`] once it is in place.
    pub(crate) const fn new(data: T) -> Self {
        Self {
            raw: Opaque::uninit(),
            data: UnsafeCell::new(data),
        }
    }

    /// Makes the lock usable, at the address where it stays.
    pub(crate) fn init(&self, class: Class) {
        // SAFETY: `raw` is memory for a raw spinlock that nobody uses yet.
        unsafe { sys::gs_sys_lock_init(self.raw.get(), class as u32) }
    }

    /// The data of a lock that nobody else can reach any more.
    ///
    /// # Safety
    ///
    /// Nobody else has, or can get, access to the lock.
    #[expect(clippy::mut_from_ref)]
    pub(crate) unsafe fn exclusive(&self) -> &mut T {
        // SAFETY: By the function's requirement.
        unsafe { &mut *self.data.get() }
    }

    /// What the lock protects, for a look without it.
    pub(crate) fn peek(&self) -> *const T {
        self.data.get()
    }

    /// Waits for the lock.
    pub(crate) fn lock<'a>(&'a self, _in: &'a Section) -> RawGuard<'a, T> {
        // SAFETY: The lock is initialised, and the section keeps this CPU from holding it.
        let flags = unsafe { sys::gs_sys_lock(self.raw.get()) };
        RawGuard { lock: self, flags }
    }

    /// Takes the lock if it is free: for callers that must not spin.
    pub(crate) fn try_lock<'a>(&'a self, _in: &'a Section) -> Option<RawGuard<'a, T>> {
        let mut flags = 0;
        // SAFETY: The lock is initialised, and the section keeps this CPU from holding it.
        if unsafe { sys::gs_sys_trylock(self.raw.get(), &mut flags) } {
            Some(RawGuard { lock: self, flags })
        } else {
            None
        }
    }

    /// [`Self::lock_if`], with interrupts as they are: for a lock of this CPU, or of one that is
    /// offline, for which other CPUs wait in process context only and where they may sleep. Who
    /// may sleep holds no lock that interrupts take.
    pub(crate) fn lock_own<'a>(&'a self, _in: &'a Section, spin: bool) -> Option<OwnGuard<'a, T>> {
        let mut flags = 0;
        // SAFETY: The lock is initialised, and the section keeps this CPU from holding it.
        unsafe { sys::gs_sys_lock_own(self.raw.get(), spin, &mut flags) }
            .then(|| OwnGuard { lock: self, flags })
    }

    /// [`Self::lock`] where `spin`, else [`Self::try_lock`].
    pub(crate) fn lock_if<'a>(
        &'a self,
        section: &'a Section,
        spin: bool,
    ) -> Option<RawGuard<'a, T>> {
        if spin {
            Some(self.lock(section))
        } else {
            self.try_lock(section)
        }
    }
}

/// Holds a [`RawLock`].
pub(crate) struct RawGuard<'a, T> {
    lock: &'a RawLock<T>,
    flags: kernel::ffi::c_ulong,
}

impl<T> Deref for RawGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The lock is held.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for RawGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The lock is held.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for RawGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: The guard's existence says that the lock is held, with these flags.
        unsafe { sys::gs_sys_unlock(self.lock.raw.get(), self.flags) }
    }
}

/// Holds a [`RawLock`] by [`RawLock::lock_own`].
pub(crate) struct OwnGuard<'a, T> {
    lock: &'a RawLock<T>,
    flags: kernel::ffi::c_ulong,
}

impl<T> Deref for OwnGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The lock is held.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for OwnGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The lock is held.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for OwnGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: The guard's existence says that the lock is held, with these flags.
        unsafe { sys::gs_sys_unlock_own(self.lock.raw.get(), self.flags) }
    }
}

/// Holds a C mutex.
pub(crate) struct Mutex(*mut kernel::bindings::mutex);

impl Mutex {
    /// Waits for `m`. May sleep.
    ///
    /// # Safety
    ///
    /// `m` must be an initialised mutex that outlives the guard.
    pub(crate) unsafe fn lock(m: *mut kernel::bindings::mutex) -> Self {
        // SAFETY: By the function's requirements.
        unsafe { sys::gs_sys_mutex_lock(m) };
        Self(m)
    }
}

impl Drop for Mutex {
    fn drop(&mut self) {
        // SAFETY: The guard's existence says that the mutex is held.
        unsafe { sys::gs_sys_mutex_unlock(self.0) }
    }
}

/// Holds one of the module's own mutexes.
pub(crate) struct GlobalMutex(u32);

impl GlobalMutex {
    /// Waits for mutex `which`. May sleep.
    pub(crate) fn lock(which: u32) -> Self {
        // SAFETY: `which` is one of the constants in `sys`.
        unsafe { sys::gs_sys_mutex_lock_global(which) };
        Self(which)
    }
}

impl Drop for GlobalMutex {
    fn drop(&mut self) {
        // SAFETY: The guard's existence says that the mutex is held.
        unsafe { sys::gs_sys_mutex_unlock_global(self.0) }
    }
}
