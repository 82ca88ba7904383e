// SPDX-License-Identifier: GPL-2.0

//! Sheaves filled beforehand, for callers that must not fail where they cannot wait.
//!
//! Such a sheaf is its caller's, who uses it in one place at a time: there is no lock and no
//! section. One of the cache's own capacity goes back to the cache as it is; a larger one, for a
//! caller that wants more, is made for it and freed after it.

use super::bulk;
use super::core::Core;
use super::debug;
use super::free;
use super::home;
use super::service;
use crate::percpu::{self, NoPreempt, Section};
use crate::rcu::queue::{self, Batch};
use crate::sys::{self, Gfp};
use crate::trace;
use core::ptr::null_mut;
use kernel::prelude::*;

/// Largest number of objects that a sheaf is filled with.
const MAX: u32 = 1 << 16;

/// An empty sheaf for at least `n` objects, or null. Context: as `gfp` allows.
fn empty_sheaf(core: &Core, gfp: Gfp, n: u32) -> *mut Batch {
    if n <= core.capacity() {
        if let Some(section) = Section::open() {
            let node = core.local_node();
            // SAFETY: May be called in any context.
            let spin = unsafe { sys::gs_sys_gfp_spins(gfp) } && percpu::may_spin();
            if let Some(mut inner) = node.lock_if(&section, spin) {
                let sheaf = node.take_empty(core, &mut inner);
                if !sheaf.is_null() {
                    // SAFETY: The sheaf was just taken.
                    unsafe {
                        if (*sheaf).cap() >= n {
                            return sheaf;
                        }
                        // The capacity has changed since it was looked at.
                        node.keep_empty(&mut inner, sheaf);
                    }
                }
            }
        }
    }
    // SAFETY: Any gfp may be asked for.
    unsafe {
        if n > MAX || !sys::gs_sys_gfp_spins(gfp) {
            return null_mut();
        }
        queue::new_batch(n.max(core.capacity()), sys::gs_sys_gfp_inner(gfp))
    }
}

/// Fills `sheaf` up to `n` objects at least; false, and it has what could be had, if that failed.
///
/// # Safety
///
/// `sheaf` is the caller's and has room for `n`.
unsafe fn fill(core: &Core, gfp: Gfp, sheaf: *mut Batch, n: u32) -> bool {
    // SAFETY: By the function's requirement.
    unsafe {
        while (*sheaf).len() < n {
            let mut some = [null_mut(); 32];
            let want = some.len().min((n - (*sheaf).len()) as usize);
            let got = bulk::take(core, gfp, &mut some[..want]);
            some[..got]
                .iter()
                .for_each(|&obj| trace::alloc(core, obj, gfp));
            Batch::push_many(sheaf, some.as_ptr(), got);
            if got < want {
                return false;
            }
        }
        true
    }
}

/// Whether `gfp` asks for what a sheaf cannot keep: it does not know which of its objects were to
/// be zero.
fn refuses(gfp: Gfp) -> bool {
    gfp & kernel::bindings::__GFP_ZERO != 0
}

/// A sheaf with at least `n` objects, or null.
///
/// Context: as `gfp` allows.
pub(crate) fn prefill(core: &Core, gfp: Gfp, n: u32) -> *mut Batch {
    if refuses(gfp) {
        return null_mut();
    }
    let sheaf = empty_sheaf(core, gfp, n);
    // SAFETY: The sheaf is the caller's, and was asked for with that much room.
    unsafe {
        if !sheaf.is_null() && !fill(core, gfp, sheaf, n) {
            give_back(core, sheaf);
            return null_mut();
        }
    }
    sheaf
}

/// Fills `*sheaf` up to at least `n` objects again; it may be another one afterwards. ENOMEM, and
/// it has what it had at least, if that failed.
///
/// Context: as `gfp` allows.
///
/// # Safety
///
/// `*sheaf` is the caller's, and of `core`.
pub(crate) unsafe fn refill(core: &Core, gfp: Gfp, sheaf: &mut *mut Batch, n: u32) -> Result {
    if refuses(gfp) {
        return Err(EINVAL);
    }
    // SAFETY: By the function's requirement.
    unsafe {
        if n > (**sheaf).cap() {
            let larger = empty_sheaf(core, gfp, n);
            if larger.is_null() {
                return Err(ENOMEM);
            }
            let objects = Batch::objects(*sheaf);
            Batch::push_many(larger, objects.as_ptr(), objects.len());
            (**sheaf).truncate(0);
            give_back(core, core::mem::replace(sheaf, larger));
        }
        if fill(core, gfp, *sheaf, n) {
            Ok(())
        } else {
            Err(ENOMEM)
        }
    }
}

/// Takes an object from `sheaf`, or null from an empty one.
///
/// Context: Any context.
///
/// # Safety
///
/// `sheaf` is the caller's, and of `core`.
pub(crate) unsafe fn take(core: &Core, sheaf: *mut Batch) -> *mut u8 {
    loop {
        // SAFETY: By the function's requirement.
        let obj = unsafe { Batch::pop(sheaf) };
        if obj.is_null() || !core.prepares() {
            return obj;
        }
        // One that was in two places is leaked.
        if debug::on_alloc(core, obj, debug::gfp_here()) {
            return obj;
        }
    }
}

/// Gives a sheaf back, with what is left in it.
///
/// Context: Any context.
///
/// # Safety
///
/// `sheaf` is the caller's to give, and of `core`.
pub(crate) unsafe fn give_back(core: &Core, sheaf: *mut Batch) {
    // SAFETY: By the function's requirement.
    let left = unsafe { Batch::objects(sheaf) };
    left.iter().for_each(|&obj| trace::free(core, obj));
    // The sheaf's objects may be all that keeps a cache which is being destroyed.
    let reader = NoPreempt::new();
    // SAFETY: By the function's requirement.
    unsafe {
        home::keep_local(core, sheaf);
        if (*sheaf).len() < core.growth.worth() {
            free::flush(core, sheaf);
        }
        if keep(core, sheaf) {
            return;
        }
        free::flush(core, sheaf);
        if !percpu::may_free_after(&reader) {
            core.detached.push(sheaf);
            service::attend(core);
            return;
        }
        drop(reader);
        queue::free_batch(sheaf);
    }
}

/// Puts a sheaf in the barn, if that wants it.
///
/// # Safety
///
/// As for [`give_back`].
unsafe fn keep(core: &Core, sheaf: *mut Batch) -> bool {
    // SAFETY: By the function's requirement.
    unsafe {
        if core.is_stale(sheaf) {
            return false;
        }
        let Some(section) = Section::open() else {
            return false;
        };
        let node = core.local_node();
        let Some(mut inner) = node.lock_if(&section, percpu::may_spin()) else {
            return false;
        };
        // Looked at under the section: a cache that is being destroyed waits for those that saw it
        // live before it empties its barns.
        if !core.is_live_in(&section) {
            return false;
        }
        if (*sheaf).len() == 0 {
            return node.put_empty(&mut inner, sheaf);
        }
        let wanted = node.wants_full(core, &inner);
        if wanted {
            node.put_full(&mut inner, sheaf);
            let surplus = node.take_surplus(core, &mut inner);
            if !surplus.is_null() {
                core.retire_sheaf(surplus);
            }
        }
        wanted
    }
}
