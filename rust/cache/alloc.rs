// SPDX-License-Identifier: GPL-2.0

//! Allocation: `main` → `spare` → this CPU's oldest ripe batch → barn → partial slab → new slab.

use super::barn::Node;
use super::bits;
use super::core::{Core, CpuCache};
use super::debug;
use super::home;
use super::service;
use super::slab::Slab;
use crate::percpu::{self, NoPreempt, Section};
use crate::rcu::queue::{self, null_batch, Batch, Queue};
use crate::sys::{self, Gfp, Misuse};
use crate::trace;
use core::ptr::null_mut;

/// Allocates an object, or null.
///
/// Context: as `gfp` allows; without a reclaim bit in it, any context, NMI included.
#[inline(always)]
pub(crate) fn alloc(core: &Core, gfp: Gfp) -> *mut u8 {
    let obj = alloc_plain(core, gfp);
    if gfp & kernel::bindings::__GFP_ZERO != 0 {
        return zero(core, obj);
    }
    obj
}

/// [`alloc`] for a `gfp` without `__GFP_ZERO`, or for what [`zero`] is to be called for.
#[inline(always)]
pub(crate) fn alloc_plain(core: &Core, gfp: Gfp) -> *mut u8 {
    let Some(section) = Section::open() else {
        return reentrant_finish(core, gfp);
    };
    // SAFETY: The sheaf is the section's.
    let Some(obj) = (unsafe { Batch::pop_some(core.fast_from(&section)) }) else {
        return slow_finish(core, gfp, section);
    };
    if section.close() {
        return serve_after(obj);
    }
    percpu::preempt_enable();
    obj
}

// What is rare ends in a call of its own, with the arguments where they are, so that the common
// way keeps and moves no registers for it.

#[cold]
#[inline(never)]
fn slow_finish(core: &Core, gfp: Gfp, section: Section) -> *mut u8 {
    let obj = slow(core, section, gfp);
    prepare(core, obj, gfp)
}

#[cold]
#[inline(never)]
fn serve_after(obj: *mut u8) -> *mut u8 {
    percpu::serve();
    // Not known to be what it was, so that the caller need not keep it.
    core::hint::black_box(obj)
}

#[cold]
#[inline(never)]
fn reentrant_finish(core: &Core, gfp: Gfp) -> *mut u8 {
    let obj = reentrant(core, gfp);
    prepare(core, obj, gfp)
}

/// What is done to each object before it is handed out, where something is.
fn prepare(core: &Core, mut obj: *mut u8, gfp: Gfp) -> *mut u8 {
    while core.prepares() && !obj.is_null() && !debug::on_alloc(core, obj, gfp) {
        // It was in two places: leaked, and another one taken.
        obj = take_one(core, gfp);
    }
    if !obj.is_null() {
        trace::alloc(core, obj, gfp);
    }
    obj
}

/// What `__GFP_ZERO` asks for.
#[cold]
#[inline(never)]
fn zero(core: &Core, obj: *mut u8) -> *mut u8 {
    if obj.is_null() {
        return obj;
    }
    if core.ctor.is_some() {
        // The caller asked for two things that exclude each other.
        // SAFETY: The object was just allocated, and nobody has it.
        unsafe { super::free::free_rarely(core, obj) };
        return null_mut();
    }
    // SAFETY: The object is the caller's, and of this size.
    unsafe { obj.write_bytes(0, core.geometry.size as usize) };
    obj
}

/// What is done to an object before it is handed out, where something is.
#[cold]
#[inline(never)]
pub(super) fn finish(core: &Core, obj: *mut u8, gfp: Gfp) -> *mut u8 {
    let obj = prepare(core, obj, gfp);
    if gfp & kernel::bindings::__GFP_ZERO != 0 {
        return zero(core, obj);
    }
    obj
}

/// Allocates without checks.
#[cold]
fn take_one(core: &Core, gfp: Gfp) -> *mut u8 {
    match Section::open() {
        Some(section) => slow(core, section, gfp),
        None => reentrant(core, gfp),
    }
}

/// What a look at all that is at hand came to.
enum Look {
    Found(*mut u8),
    /// A sheaf is missing to put objects in.
    NoSheaf,
    /// No object is left in sheaves or slabs.
    Empty,
}

/// Takes an object where `main` has none, which is filled on the way if anything is at hand.
#[cold]
#[inline(never)]
pub(super) fn slow(core: &Core, mut section: Section, gfp: Gfp) -> *mut u8 {
    // SAFETY: May be called in any context.
    let spin = unsafe { sys::gs_sys_gfp_spins(gfp) };
    let mut share = core.share(&section);
    let mut have_sheaf = true;
    loop {
        if !core.is_live() {
            // Destroyed under a reference, while the section was closed.
            drop(section);
            core.misuse(Misuse::DeadAlloc, null_mut(), None);
            return null_mut();
        }
        match look(core, &section, share, spin, have_sheaf) {
            Look::Found(obj) => return obj,
            Look::NoSheaf => {
                drop(section);
                let sheaf = if spin {
                    // SAFETY: Any gfp may be asked for.
                    queue::new_batch(core.capacity(), unsafe { sys::gs_sys_gfp_inner(gfp) })
                } else {
                    null_mut()
                };
                // Without a sheaf a single object will do.
                have_sheaf = !sheaf.is_null();
                let Some(again) = Section::open() else {
                    // SAFETY: The sheaf is empty and nobody's.
                    unsafe { drop_sheaf(sheaf) };
                    return reentrant(core, gfp);
                };
                section = again;
                share = core.share(&section);
                if have_sheaf {
                    // SAFETY: The share is the section's, the sheaf the caller's.
                    unsafe {
                        if core.is_stale(sheaf) {
                            core.retire_sheaf(sheaf);
                        } else if (*(*share).main).cap() == 0 && core.is_live() {
                            (*share).main = sheaf;
                        } else {
                            let node = core.local_node();
                            node.keep_empty(&mut node.lock(&section), sheaf);
                        }
                    }
                }
            }
            Look::Empty => {
                drop(section);
                let slab = Slab::new(core, gfp, -1);
                if slab.is_null() {
                    return null_mut();
                }
                let Some(again) = Section::open() else {
                    // Whole and unseen: any CPU may have it.
                    // SAFETY: The slab came from `Slab::new`.
                    return unsafe { add_reentrant(core, slab) };
                };
                section = again;
                share = core.share(&section);
                if !spin {
                    // SAFETY: The slab came from `Slab::new`.
                    return unsafe { add_reentrant(core, slab) };
                }
                // SAFETY: The slab came from `Slab::new`.
                unsafe {
                    let node = &core.nodes()[(*slab).node as usize];
                    if core.is_live() {
                        node.add(&mut node.lock(&section), slab);
                    } else {
                        // All its objects are free: the core's work gives it back.
                        node.incoming(&*slab);
                        service::attend(core);
                    }
                }
            }
        }
    }
}

/// # Safety
///
/// `sheaf` is the caller's and empty, or null.
unsafe fn drop_sheaf(sheaf: *mut Batch) {
    if !sheaf.is_null() {
        // SAFETY: By the function's requirement.
        unsafe { queue::free_batch(sheaf) }
    }
}

fn look(
    core: &Core,
    section: &Section,
    share: *mut CpuCache,
    spin: bool,
    have_sheaf: bool,
) -> Look {
    // SAFETY: The share's sheaves are the section's. It is only reached by raw pointer: its sealed
    // batches are the lock's, so a `&mut` to the whole would not be exclusive.
    unsafe {
        for _ in 0..2 {
            let obj = Batch::pop((*share).main);
            if !obj.is_null() {
                return Look::Found(obj);
            }
            swap_sheaves(share);
        }
        // Both are empty: the moment to part with those of another capacity.
        core.retire_stale(&raw mut (*share).main);
        core.retire_stale(&raw mut (*share).spare);
        if (*(*share).main).cap() == 0 {
            swap_sheaves(share);
        }
        if !core.has_hooks() && (*share).queue.has_sealed() {
            let obj = swap_ripe(core, section, share, spin);
            if !obj.is_null() {
                return Look::Found(obj);
            }
        }
        let node = core.local_node();
        if let Some(found) = look_node(core, node, section, share, spin, have_sheaf) {
            if matches!(found, Look::Found(_)) {
                core.strained();
            }
            return found;
        }
        for other in core.nodes() {
            if !core::ptr::eq(other, node) {
                if let Some(found) = look_node(core, other, section, share, spin, have_sheaf) {
                    return found;
                }
            }
        }
        Look::Empty
    }
}

/// # Safety
///
/// `share` is the section's.
unsafe fn swap_sheaves(share: *mut CpuCache) {
    // SAFETY: By the function's requirement.
    unsafe { core::ptr::swap(&raw mut (*share).main, &raw mut (*share).spare) }
}

/// Takes this CPU's oldest sealed batch for `main`, if its grace period is over: no callback, and
/// no slab is touched.
///
/// # Safety
///
/// `share` is the section's; `main` and `spare` are empty.
unsafe fn swap_ripe(core: &Core, section: &Section, share: *mut CpuCache, spin: bool) -> *mut u8 {
    let cpu = section.cpu();
    // SAFETY: The queue is this CPU's and its lock is held; sheaves are the section's.
    unsafe {
        let batch = {
            // As in `Queue::seal`.
            let Some(mut sealed) = cpu.sealed.lock_own(section, spin) else {
                return null_mut();
            };
            Queue::pop_ripe(&raw mut (*share).queue, &mut sealed)
        };
        if batch.is_null() {
            return null_mut();
        }
        let ripe = u64::from((*batch).len());
        // What is of other nodes goes home: few objects may be left, or none.
        home::keep_local(core, batch);
        (*share).queue.done.add(ripe);
        (*share).swapped.add(1);
        let empty = core::mem::replace(&mut (*share).main, batch);
        if empty != null_batch() {
            if (*(*share).queue.open).cap() == 0 {
                (*share).queue.open = empty;
            } else if (*share).spare == null_batch() {
                (*share).spare = empty;
            } else if let Some(mut inner) = core.local_node().lock_if(section, spin) {
                // Over the barn's limit if need be: a batch that opens takes it from there.
                core.local_node().keep_empty(&mut inner, empty);
            } else {
                core.detached.push(empty);
            }
        }
        Batch::pop(batch)
    }
}

/// # Safety
///
/// `share` is the section's; `main` and `spare` are empty.
unsafe fn look_node(
    core: &Core,
    node: &Node,
    section: &Section,
    share: *mut CpuCache,
    spin: bool,
    have_sheaf: bool,
) -> Option<Look> {
    let mut inner = node.lock_if(section, spin)?;
    // SAFETY: Sheaves of the share are the section's, those of the barn the lock's.
    unsafe {
        let full = node.exchange_empty(&mut inner, (*share).main);
        if !full.is_null() {
            (*share).main = full;
            return Some(Look::Found(Batch::pop(full)));
        }
        if (*(*share).main).cap() == 0 {
            let empty = node.take_empty(core, &mut inner);
            if !empty.is_null() {
                (*share).main = empty;
            } else if have_sheaf {
                return Some(Look::NoSheaf);
            } else {
                let mut one = null_mut();
                return (node.take(&mut inner, 1, |obj| one = obj) == 1)
                    .then_some(Look::Found(one));
            }
        }
        let main = (*share).main;
        let n = node.fill(&mut inner, main);
        (n != 0).then(|| Look::Found(Batch::pop(main)))
    }
}

/// Allocates for an interrupt or NMI that found its CPU's section open: from slabs that frees have
/// just made available, or from a new one where `gfp` can give it.
#[cold]
#[inline(never)]
pub(super) fn reentrant(core: &Core, gfp: Gfp) -> *mut u8 {
    if !core.is_live_reentrant() {
        core.misuse(Misuse::DeadAlloc, null_mut(), None);
        return null_mut();
    }
    let found = {
        let _reader = NoPreempt::new();
        let mut found: *mut u8 = null_mut();
        for node in core.nodes() {
            let mut taken = node.take_incoming();
            while !taken.is_null() {
                // SAFETY: The slabs taken carry their tokens; each is given back, or its token
                // is released.
                unsafe {
                    let slab = Node::next_incoming(&mut taken);
                    if found.is_null() {
                        bits::take((*slab).free(), 1, |i| found = (*slab).object(i));
                    }
                    // A slab that no lock holder has seen yet must reach the list of all slabs.
                    if bits::any((*slab).free())
                        || !(*slab).all.is_linked()
                        || !(*slab).tokens.release(bits::LISTED, (*slab).free())
                    {
                        node.incoming(&*slab);
                    }
                }
            }
            if !found.is_null() {
                break;
            }
        }
        found
    };
    if !found.is_null() {
        return found;
    }
    let slab = Slab::new(core, gfp, -1);
    if slab.is_null() {
        return null_mut();
    }
    // SAFETY: The slab came from `Slab::new`.
    unsafe { add_reentrant(core, slab) }
}

/// Takes the first object of a new slab, and puts the slab where a lock holder will find it.
///
/// # Safety
///
/// `slab` must come from [`Slab::new`].
unsafe fn add_reentrant(core: &Core, slab: *mut Slab) -> *mut u8 {
    let _reader = NoPreempt::new();
    let mut one = null_mut();
    // SAFETY: By the function's requirement the slab, and its token, are the caller's.
    unsafe {
        let live = core.is_live();
        if live {
            bits::take((*slab).free(), 1, |i| one = (*slab).object(i));
        }
        core.nodes()[(*slab).node as usize].incoming(&*slab);
        if !live {
            service::attend(core);
            core.misuse(Misuse::DeadAlloc, null_mut(), None);
        }
    }
    one
}
