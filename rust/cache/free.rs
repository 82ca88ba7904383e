// SPDX-License-Identifier: GPL-2.0

//! Freeing, at once or after a grace period.
//!
//! Both go by this CPU's sheaves where they can and by the slab's state bits where they cannot:
//! in an interrupt that found the section open, where a lock must not be waited for, where no
//! empty sheaf can be had, and once the cache is being destroyed. The bits need no memory and no
//! lock, so neither kind of free can fail.

use super::bits;
use super::core::{Core, CpuCache};
use super::debug;
use super::service;
use super::slab::Slab;
use crate::percpu::{self, NoPreempt, Section};
use crate::rcu::queue::{self, null_batch, Batch, Queue};
use crate::sys::{self, Misuse};
use core::ptr::null_mut;
use kernel::sync::atomic::Relaxed;

/// Slabs seen empty before somebody looks whether pages can be given back.
const TRIM_AFTER: u32 = 8;

/// Frees `obj`.
///
/// Context: Any context, NMI included. Never sleeps, never fails.
///
/// # Safety
///
/// `obj` must be an object of `core` that the caller gives up.
#[inline(always)]
pub(crate) unsafe fn free(core: *const Core, obj: *mut u8) {
    // SAFETY: The object keeps the core.
    let core = unsafe { &*core };
    if core.checked() && !debug::on_free(core, obj) {
        return;
    }
    match core.open() {
        Some((section, share)) => {
            // SAFETY: The share is the section's.
            if unsafe { !Batch::push((*share).main, obj) } {
                slow(core, section, share, obj);
            }
        }
        None => by_bits(core, obj),
    }
}

#[cold]
#[inline(never)]
fn slow(core: &Core, section: Section, share: *mut CpuCache, obj: *mut u8) {
    let spin = percpu::may_spin();
    let (mut section, mut share) = (section, share);
    let mut tried = false;
    loop {
        if !core.is_live() {
            break;
        }
        let s = share;
        // SAFETY: Sheaves of the share are the section's, those of the barn the lock's. The share
        // is only reached by raw pointer, as its sealed batches are another lock's.
        unsafe {
            if Batch::push((*s).main, obj) {
                return;
            }
            if Batch::push((*s).spare, obj) {
                core::mem::swap(&mut (*s).main, &mut (*s).spare);
                return;
            }
            // Each is full or missing; if one is missing, let it be the spare.
            if (*s).main == null_batch() {
                core::mem::swap(&mut (*s).main, &mut (*s).spare);
            }
            let missing = (*s).spare == null_batch();
            let node = core.local_node();
            let Some(mut inner) = node.lock_if(&section, spin) else {
                break;
            };
            let wanted = missing || node.wants_full(&inner);
            if wanted {
                let empty = node.take_empty(&mut inner);
                if !empty.is_null() {
                    let full = core::mem::replace(&mut (*s).spare, empty);
                    if !missing {
                        node.put_full(&mut inner, full);
                    }
                    continue;
                }
            }
            drop(inner);
            if wanted && !tried && percpu::may_allocate() {
                tried = true;
                drop(section);
                let sheaf = queue::new_batch(core.capacity, sys::gs_sys_gfp_nowait());
                let Some(again) = core.open() else {
                    if !sheaf.is_null() {
                        queue::free_batch(sheaf);
                    }
                    by_bits(core, obj);
                    return;
                };
                (section, share) = again;
                if !sheaf.is_null() {
                    let node = core.local_node();
                    node.keep_empty(&mut node.lock(&section), sheaf);
                }
                continue;
            }
            if (*s).main == null_batch() {
                break;
            }
            // The barn has enough, or no empty sheaf is to be had: this one's objects go back
            // to their slabs.
            flush(core, (*s).main);
            Batch::push((*s).main, obj);
            return;
        }
    }
    drop(section);
    by_bits(core, obj);
}

/// Gives all objects of `sheaf` back to their slabs, and leaves it empty.
///
/// # Safety
///
/// The caller owns `sheaf`; its objects are free.
pub(crate) unsafe fn flush(core: &Core, sheaf: *mut Batch) {
    let _reader = NoPreempt::new();
    // SAFETY: By the function's requirements.
    unsafe {
        for &mut obj in Batch::objects(sheaf) {
            put(core, obj);
        }
        (*sheaf).truncate(0);
    }
}

/// Frees `obj` by its slab's bit.
///
/// Context: Any context, NMI included.
#[cold]
#[inline(never)]
pub(crate) fn by_bits(core: &Core, obj: *mut u8) {
    core.bit_frees.fetch_add(1, Relaxed);
    let _reader = NoPreempt::new();
    put(core, obj);
}

/// The slab and index of `obj`, if it is an object of `core`; reports it if not.
pub(crate) fn find<'a>(core: &Core, obj: *mut u8) -> Option<(&'a Slab, usize)> {
    let slab = Slab::of(obj);
    let Some(i) = slab.and_then(|s| s.index_of(obj)) else {
        core.misuse(Misuse::BadPointer, obj, None);
        return None;
    };
    let slab = slab?;
    if !core::ptr::eq(slab.core, core) {
        // SAFETY: A slab's core is alive.
        core.misuse(Misuse::WrongCache, obj, Some(unsafe { &*slab.core }));
        return None;
    }
    Some((slab, i))
}

/// Sets the free bit of `obj`, with preemption off.
pub(crate) fn put(core: &Core, obj: *mut u8) {
    if let Some((slab, i)) = find(core, obj) {
        put_index(core, slab, i);
    }
}

/// Sets the free bit of object `i`, with preemption off.
///
/// From the moment that the bit is published, slab and core are only there because this is an
/// RCU reader.
pub(crate) fn put_index(core: &Core, slab: &Slab, i: usize) {
    let n = slab.objects();
    // Before the bit: once that is set, a release may put the field to another use.
    let node = &core.nodes()[slab.node as usize];
    let set = bits::set(slab.free(), n, i);
    if set.was_set {
        core.misuse(Misuse::DoubleFree, slab.object(i), None);
        return;
    }
    if slab.tokens.acquire(bits::LISTED) {
        node.incoming(slab);
    }
    if !core.is_live() {
        // What is being destroyed, or was with objects left, waits for this.
        service::attend(core);
    } else if set.filled
        && bits::all(slab.free(), n)
        && core.empties.fetch_add(1, Relaxed) + 1 == TRIM_AFTER
    {
        service::attend(core);
    }
}

/// Frees `obj` after a grace period.
///
/// Context: Any context, NMI included. Never sleeps, allocates to succeed, or fails.
///
/// # Safety
///
/// As for [`free`]; readers may still look at the object.
#[inline(always)]
pub(crate) unsafe fn free_rcu(core: *const Core, obj: *mut u8) {
    // SAFETY: The object keeps the core.
    let core = unsafe { &*core };
    if core.checked() && !debug::on_free_rcu(core, obj) {
        return;
    }
    match core.open() {
        Some((section, share)) => {
            // SAFETY: The share is the section's.
            if unsafe { !Queue::push_more(&raw mut (*share).queue, obj) } {
                rcu_slow(core, section, share, obj);
            }
        }
        None => rcu_by_bits(core, obj),
    }
}

#[cold]
#[inline(never)]
fn rcu_slow(core: &Core, section: Section, share: *mut CpuCache, obj: *mut u8) {
    let spin = percpu::may_spin();
    let (mut section, mut share) = (section, share);
    let mut arm = 0;
    let mut tried = false;
    loop {
        if !core.is_live() {
            break;
        }
        let cpu = section.cpu();
        // SAFETY: Share and open batch are the section's, the barn's sheaves the lock's.
        unsafe {
            let s = share;
            let q = &raw mut (*s).queue;
            if (*(*s).queue.open).is_full() && (*s).queue.open != null_batch() {
                // Sealing it failed for want of the lock.
                arm |= Queue::seal(q, cpu, &section, spin);
            }
            if (*s).queue.open == null_batch() {
                if (*s).spare != null_batch() && (*(*s).spare).len() == 0 {
                    core::mem::swap(&mut (*s).queue.open, &mut (*s).spare);
                } else if let Some(mut inner) = core.local_node().lock_if(&section, spin) {
                    let empty = core.local_node().take_empty(&mut inner);
                    if !empty.is_null() {
                        (*s).queue.open = empty;
                    }
                }
            }
            if !(*(*s).queue.open).is_full() {
                arm |= Queue::push(q, cpu, &section, obj, spin);
                drop(section);
                queue::arm(cpu, arm, spin);
                return;
            }
            if tried || (*s).queue.open != null_batch() || !percpu::may_allocate() {
                break;
            }
            tried = true;
            drop(section);
            queue::arm(cpu, core::mem::take(&mut arm), spin);
            let sheaf = queue::new_batch(core.capacity, sys::gs_sys_gfp_nowait());
            let Some(again) = core.open() else {
                if !sheaf.is_null() {
                    queue::free_batch(sheaf);
                }
                rcu_by_bits(core, obj);
                return;
            };
            (section, share) = again;
            if !sheaf.is_null() {
                let node = core.local_node();
                node.keep_empty(&mut node.lock(&section), sheaf);
            }
        }
    }
    let cpu = section.cpu();
    drop(section);
    queue::arm(cpu, arm, spin);
    rcu_by_bits(core, obj);
}

/// Defers the free of `obj` by its slab's bit.
///
/// Context: Any context, NMI included.
#[cold]
#[inline(never)]
fn rcu_by_bits(core: &Core, obj: *mut u8) {
    core.bit_frees.fetch_add(1, Relaxed);
    let _reader = NoPreempt::new();
    let Some((slab, i)) = find(core, obj) else {
        return;
    };
    // Counted before it is published.
    core.domain.count_in(1);
    // Looked at first: once the bit is set, the service may promote it at any moment.
    let elsewhere = bits::test(slab.wait(), i) || bits::test(slab.free(), i);
    if elsewhere || bits::set(slab.next(), slab.objects(), i).was_set {
        core.domain.count_out(1);
        core.misuse(Misuse::DoubleFreeRcu, obj, None);
        return;
    }
    if slab.tokens.acquire(bits::PENDING) {
        // SAFETY: The token's holder alone links the slab, and a slab that is pending is not
        // released.
        unsafe {
            core.pending_slabs.push((&raw const *slab).cast_mut());
        }
        service::attend(core);
    }
}

/// Frees all of `p`.
///
/// Context: Any context, NMI included.
///
/// # Safety
///
/// As for [`free`], of each.
pub(crate) unsafe fn free_bulk(core: &Core, p: &mut [*mut u8]) {
    for obj in p {
        // SAFETY: By the function's requirements.
        unsafe { free(core, core::mem::replace(obj, null_mut())) };
    }
}
