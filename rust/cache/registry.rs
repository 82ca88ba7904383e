// SPDX-License-Identifier: GPL-2.0

//! All caches: names, and finding a cache by its address.
//!
//! The registry mutex protects the list, the names and the states. It is held for short looks
//! only, never across a grace period.

use super::core::{Core, Spec, LIVE};
use crate::list::List;
use crate::lock::GlobalMutex;
use crate::sys::{self, Misuse};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::ptr::null_mut;
use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Relaxed};

struct Registry {
    caches: List<Core, { offset_of!(Core, link) }>,
    next_id: u64,
}

struct Locked(UnsafeCell<Registry>);

// SAFETY: Only reached under the registry mutex.
unsafe impl Sync for Locked {}

static REGISTRY: Locked = Locked(UnsafeCell::new(Registry {
    caches: List::new(),
    next_id: 1,
}));

/// Destroyed caches with objects still out.
pub(crate) static ZOMBIES: Atomic<u32> = Atomic::new(0);

fn with<R>(f: impl FnOnce(&mut Registry) -> R) -> R {
    let _lock = GlobalMutex::lock(sys::REGISTRY);
    // SAFETY: The registry mutex is held.
    f(unsafe { &mut *REGISTRY.0.get() })
}

impl Registry {
    fn first(&self, mut wanted: impl FnMut(&Core) -> bool) -> *mut Core {
        let mut core = self.caches.front();
        // SAFETY: A core on the list has the handle's reference.
        while !core.is_null() && unsafe { !wanted(&*core) } {
            // SAFETY: As above.
            core = unsafe { self.caches.next(core) };
        }
        core
    }
}

/// Makes a cache and enters it under its name; EEXIST if a live one has that name.
pub(crate) fn create(spec: Spec) -> Result<*mut Core> {
    let core = Core::new(spec)?;
    let entered = with(|r| {
        // SAFETY: `core` was just made.
        let name = unsafe { (*core).name() };
        if !r.first(|c| c.is_live() && c.name() == name).is_null() {
            return false;
        }
        // SAFETY: As above; nobody else has it yet.
        unsafe {
            (*core).id = r.next_id;
            r.caches.push_back(core);
        }
        r.next_id += 1;
        true
    });
    // SAFETY: Nobody else has the cache yet, or it was refused and has no slabs.
    unsafe {
        if !entered {
            Core::put_handle(core);
            return Err(EEXIST);
        }
        *(*core).files.get() = crate::debugfs::cache_files((*core).name_cstr(), (*core).id);
    }
    Ok(core)
}

/// Marks the cache at `addr` as one that is going: its name is free. Null, with a warning, if no
/// live cache is there.
pub(crate) fn begin_destroy(addr: *const Core) -> *mut Core {
    let core = with(|r| {
        let core = r.first(|c| core::ptr::eq(c, addr) && c.is_live() && !c.claimed.get());
        if !core.is_null() {
            // SAFETY: It is on the list.
            unsafe { (*core).claimed.set(true) };
        }
        core
    });
    if core.is_null() {
        unknown(addr);
        return core;
    }
    // The directory goes before the name is free, and outside of the mutex that its readers take.
    // SAFETY: The claim makes the caller its owner.
    unsafe {
        *(*core).files.get() = None;
        set_state(&*core, super::core::DYING);
    }
    core
}

/// Moves the life of `core` on, under the registry mutex.
pub(crate) fn set_state(core: &Core, state: u32) {
    with(|_| core.set_state(state));
}

/// Takes `core` off the list; false if somebody else has.
///
/// # Safety
///
/// The caller has a reference, or is `destroy`.
pub(crate) unsafe fn remove(core: *mut Core) -> bool {
    // SAFETY: By the function's requirement.
    with(|r| unsafe {
        let linked = (*core).link.is_linked();
        if linked {
            r.caches.remove(core);
        }
        linked
    })
}

fn unknown(addr: *const Core) {
    // SAFETY: The strings are not used by this report.
    unsafe {
        sys::gs_sys_misuse(
            Misuse::UnknownCache as u32,
            core::ptr::null(),
            addr.cast(),
            core::ptr::null(),
        )
    }
}

/// Calls `f` with the live cache at `addr`, or warns: for functions that may be called with a
/// stale pointer and can afford to look.
///
/// Context: Process context, may sleep.
pub(crate) fn with_live<R>(addr: *const Core, f: impl FnOnce(&Core) -> R) -> Option<R> {
    let core = with(|r| {
        let core = r.first(|c| core::ptr::eq(c, addr) && c.state() == LIVE);
        // SAFETY: A core on the list is alive, so the reference is had.
        if !core.is_null() && unsafe { (*core).get() } {
            core
        } else {
            null_mut()
        }
    });
    if core.is_null() {
        unknown(addr);
        return None;
    }
    // SAFETY: The reference taken above keeps the core.
    let ret = f(unsafe { &*core });
    // SAFETY: As above.
    unsafe { Core::put(core) };
    Some(ret)
}

/// Calls `f` with the cache of number `id`, if it is there.
///
/// Context: Process context, may sleep.
pub(crate) fn with_id<R>(id: u64, f: impl FnOnce(&Core) -> R) -> Option<R> {
    let core = with(|r| r.first(|c| c.id == id && c.get()));
    if core.is_null() {
        return None;
    }
    // SAFETY: The reference taken above keeps the core.
    let ret = f(unsafe { &*core });
    // SAFETY: As above.
    unsafe { Core::put(core) };
    Some(ret)
}

/// Calls `f` with every cache that exists, oldest first, destroyed ones with objects or frees
/// left included. The mutex is not held meanwhile.
///
/// Context: Process context, may sleep.
pub(crate) fn for_each(mut f: impl FnMut(&Core)) {
    let mut after = 0;
    loop {
        let core = with(|r| r.first(|c| c.id > after && c.get()));
        if core.is_null() {
            return;
        }
        // SAFETY: The reference taken above keeps the core.
        unsafe {
            after = (*core).id;
            f(&*core);
            Core::put(core);
        }
    }
}

/// Takes the first cache off the list, or null: for the module's exit.
pub(crate) fn pop() -> *mut Core {
    with(|r| r.caches.pop_front())
}

/// A module is going: runs the destructors whose code goes with it, and forgets them.
#[no_mangle]
extern "C" fn gs_rs_module_going(module: *const kernel::ffi::c_void) {
    let goes = |core: &Core| {
        let dtor = core.dtor_addr();
        // SAFETY: Addresses are only compared; the module is being taken down, not freed yet.
        dtor != 0 && unsafe { sys::gs_sys_within_module(dtor as *const _, module) }
    };
    // A destructor may queue into its own cache, or into another one of the module's.
    let mut again = true;
    while again {
        again = false;
        for_each(|core| {
            if goes(core) && core.pending() != 0 {
                crate::rcu::barrier::cache(core);
                again = true;
            }
        });
    }
    for_each(|core| {
        if goes(core) {
            core.orphan();
            // Others may have queued since; a worker may have read the destructor before.
            crate::rcu::barrier::cache(core);
        }
    });
}

/// Number of destroyed caches with objects still out.
pub(crate) fn zombies() -> u32 {
    ZOMBIES.load(Relaxed)
}
