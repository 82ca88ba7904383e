// SPDX-License-Identifier: GPL-2.0

//! The end of a cache.
//!
//! ```text
//!   DYING: name free, no more lookups
//!   every CPU that used it hands over its sheaves and says so; frees go by the bits from here on
//!   until as many deferred frees are out as went in: barrier      (none pending: no grace period)
//!   claims of workers are over
//!   slabs without objects go; what is left is a leak
//! ```
//!
//! The core itself, and the descriptors, go a grace period later, and nobody waits for that.

use super::barn;
use super::children;
use super::core::{Core, DYING, ZOMBIE};
use super::dtor;
use super::leak;
use super::registry::{self, Going, Removed};
use super::service;
use crate::lock::Mutex;
use crate::percpu::NoPreempt;
use crate::rcu::barrier;
use crate::rcu::request::{self, Ask};
use crate::sys;
use crate::trace;
use kernel::prelude::*;
use kernel::sync::atomic::Relaxed;

/// Destroys the cache at `addr`: EBUSY, and a report, if objects are still out; EINVAL if no live
/// cache is there.
///
/// Context: Process context, may sleep. Not from a destructor of the same cache.
pub(crate) fn destroy(addr: *const Core) -> Result {
    if registry::with_live(addr, dtor::is_caller).unwrap_or(true) {
        // It would wait for itself; or there is no such cache.
        return Err(EINVAL);
    }
    let core = match registry::begin_destroy(addr) {
        Going::Cache(core) => core,
        Going::Handle => return Ok(()),
        Going::Unknown => return Err(EINVAL),
    };
    // SAFETY: The handle's reference, which was the caller's, keeps the core until `bury`.
    let c = unsafe { &*core };
    // The zombie's own work may bury it as soon as it is one.
    let referenced = c.get();
    debug_assert!(referenced);
    children::stop(c);
    registry::members(c, |child| registry::set_state(child, DYING));
    children::for_each(c, |c| request::users(c, Ask::Detach(c)));
    loop {
        // All of them share the wait, if there is one.
        children::wait(c);
        children::for_each(c, drain);
        let mut pending = 0;
        // What came home to one may have queued into another.
        children::for_each(c, |c| pending += c.pending());
        if pending == 0 {
            break;
        }
    }
    registry::ZOMBIES.fetch_add(1, Relaxed);
    children::for_each(c, |c| registry::set_state(c, ZOMBIE));
    let mut leaked = false;
    registry::members(c, |child| leaked |= lay_out(child));
    leaked |= lay_out(c);
    trace::destroy(c, leaked);
    // SAFETY: As above.
    unsafe { Core::put(core) };
    if leaked {
        Err(EBUSY)
    } else {
        Ok(())
    }
}

/// Gives back what a zombie has left, or reports that; true if it was reported.
fn lay_out(core: &Core) -> bool {
    // SAFETY: The caller has a reference.
    if unsafe { bury((&raw const *core).cast_mut()) } {
        return false;
    }
    let leaked = leak::report(core);
    // An object may have been freed since it was looked at.
    let _reader = NoPreempt::new();
    service::attend(core);
    leaked
}

/// At the module's exit: nobody can use `core` any more, so its files go and its sheaves empty.
pub(crate) fn prepare_exit(core: &Core) {
    // SAFETY: Nobody creates or destroys caches any more.
    unsafe { *core.files.get() = None };
    super::shrink::shrink_one(core);
}

/// Brings everything back that will come back. The state is not LIVE: all CPUs that used the cache
/// know, and others see it when they begin to.
pub(super) fn drain(core: &Core) {
    debug_assert!(core.state() == DYING);
    loop {
        service::flush_detached(core);
        barn::flush(core);
        if core.pending() == 0 {
            break;
        }
        // A destructor may have queued into its own cache: once more.
        barrier::cache(core);
    }
    // SAFETY: The core is alive, and so is its mutex.
    let _one = unsafe { Mutex::lock(core.barrier_mutex()) };
    core.domain.wait_claims();
}

/// Gives back what a zombie has left; true if that was all, and it is gone.
///
/// # Safety
///
/// The caller has a reference, or is `destroy`.
pub(crate) unsafe fn bury(core: *mut Core) -> bool {
    // SAFETY: By the function's requirement.
    let c = unsafe { &*core };
    loop {
        let mut busy = false;
        barn::trim(c, true, &mut busy);
        if !busy {
            break;
        }
        // A freer is between its bit and its push, with preemption off; or kmemleak is owed
        // something, and this may be the work that would tell it.
        service::settle(c);
        // SAFETY: Process context.
        unsafe { sys::gs_sys_sleep_tick() };
    }
    if leak::slabs(c) != 0 {
        return false;
    }
    // SAFETY: By the function's requirement.
    unsafe {
        match registry::remove(core) {
            Removed::Now => {
                if c.is_root() {
                    registry::ZOMBIES.fetch_sub(1, Relaxed);
                }
                Core::put_handle(core);
            }
            Removed::Before => {}
            Removed::NotYet => return false,
        }
    }
    true
}
