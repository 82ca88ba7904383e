// SPDX-License-Identifier: GPL-2.0

//! Freeing, at once or after a grace period.
//!
//! Both go by this CPU's sheaves where they can and by the slab's state bits where they cannot:
//! in an interrupt that found the section open, where a lock must not be waited for, where no
//! empty sheaf can be had, and once the cache is being destroyed. The bits need no memory and no
//! lock, so neither kind of free can fail.

use super::bits;
use super::core::{Core, FAMILY};
use super::debug;
use super::home;
use super::service;
use super::slab::Slab;
use crate::percpu::{self, NoPreempt, Section};
use crate::rcu::queue::{self, null_batch, Batch, Queue};
use crate::sys::{self, Misuse};
use crate::trace;
use crate::word::BITS;
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
    let Some(section) = Section::open() else {
        return reentrant(core, obj);
    };
    // SAFETY: The sheaf is the section's.
    if unsafe { !Batch::push(core.fast_to(&section), obj) } {
        return checked_slow(core, obj, section);
    }
    if section.close() {
        return percpu::serve();
    }
    percpu::preempt_enable()
}

/// The cache that `obj`, which is freed to `core`, goes back to: another one of the family it may
/// be. What is no object of the family is found out later.
fn home(core: &Core, obj: *mut u8) -> &Core {
    if !core.has(FAMILY) {
        return core;
    }
    // SAFETY: The object is the caller's still, so its slab's core is alive.
    let other = Slab::of(obj).map(|slab| unsafe { &*slab.core });
    other.filter(|other| other.is_kin(core)).unwrap_or(core)
}

/// [`free`] for those who seldom do it: one copy of it.
///
/// # Safety
///
/// As for [`free`].
#[cold]
#[inline(never)]
pub(super) unsafe fn free_rarely(core: *const Core, obj: *mut u8) {
    // SAFETY: By the function's requirement.
    unsafe { free(core, obj) }
}

#[cold]
#[inline(never)]
fn reentrant(core: &Core, obj: *mut u8) {
    trace::free(core, obj);
    if !core.checked() || debug::on_free(core, obj) {
        by_bits(home(core, obj), obj)
    }
}

#[cold]
#[inline(never)]
fn checked_slow(mut core: &Core, obj: *mut u8, mut section: Section) {
    trace::free(core, obj);
    if core.looks() {
        drop(section);
        if core.checked() && !debug::on_free(core, obj) {
            return;
        }
        core = home(core, obj);
        let Some(again) = Section::open() else {
            return by_bits(core, obj);
        };
        section = again;
    }
    slow(core, section, obj)
}

#[cold]
#[inline(never)]
pub(super) fn slow(core: &Core, mut section: Section, obj: *mut u8) {
    let spin = percpu::may_spin();
    let mut share = core.share(&section);
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
            // The spare is for the barn, which has what is of its own node alone.
            if home::keep_local(core, (*s).spare) != 0 {
                continue;
            }
            core.strained();
            let node = core.local_node();
            let Some(mut inner) = node.lock_if(&section, spin) else {
                break;
            };
            let wanted = missing || node.wants_full(core, &inner);
            if wanted {
                let empty = node.take_empty(core, &mut inner);
                if !empty.is_null() {
                    let full = core::mem::replace(&mut (*s).spare, empty);
                    if !missing {
                        node.put_full(&mut inner, full);
                    }
                    continue;
                }
            }
            drop(inner);
            if wanted && !tried && percpu::may_allocate_after(&section) {
                tried = true;
                drop(section);
                let sheaf = queue::new_batch(core.capacity(), sys::gs_sys_gfp_nowait());
                let Some(again) = Section::open() else {
                    if !sheaf.is_null() {
                        queue::free_batch(sheaf);
                    }
                    by_bits(core, obj);
                    return;
                };
                section = again;
                share = core.share(&section);
                if sheaf.is_null() {
                    continue;
                }
                let s = share;
                if core.is_stale(sheaf) {
                    core.retire_sheaf(sheaf);
                } else if core.is_live() && (*s).spare == null_batch() {
                    (*s).spare = sheaf;
                } else {
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
            if core.is_stale((*s).main) {
                core.retire_stale(&raw mut (*s).main);
                continue;
            }
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
    // SAFETY: By the function's requirements.
    unsafe {
        to_slabs(core, Batch::objects(sheaf));
        (*sheaf).truncate(0);
    }
}

/// Gives `objects`, which are free, back to their slabs.
///
/// Context: Any context, NMI included.
pub(super) fn to_slabs(core: &Core, objects: &[*mut u8]) {
    let _reader = NoPreempt::new();
    let mut rest = objects;
    while let Some((&first, more)) = rest.split_first() {
        rest = more;
        let Some((slab, i)) = find(core, first) else {
            continue;
        };
        // Neighbours mostly come together, one behind the other: as many as share a word of bits
        // take one operation.
        let (w, mut bit, mut last) = (i / BITS, 1 << (i % BITS), first);
        let in_order = rest
            .first()
            .is_some_and(|&next| slab.is_behind(next, first));
        // Bits that the word may have, and those of them that are not to be set yet.
        let all = if in_order {
            slab.word_mask(w)
        } else {
            usize::MAX
        };
        let mut left: usize = all ^ bit;
        while let Some((&next, more)) = rest.split_first() {
            bit = if in_order && slab.is_behind(next, last) {
                bit << 1
            } else {
                match slab.index_of(next) {
                    Some(k) if k / BITS == w => 1 << (k % BITS),
                    _ => break,
                }
            };
            // One that comes twice is left for the next round, which sees it, as is what may lie
            // behind the last object or in the next word.
            if bit & left == 0 {
                break;
            }
            left ^= bit;
            last = next;
            rest = more;
        }
        put_word(slab, w, all ^ left);
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

/// The slab and index of `obj`, if it is an object of `core` or its family; reports it if not.
pub(crate) fn find<'a>(core: &Core, obj: *mut u8) -> Option<(&'a Slab, usize)> {
    let slab = Slab::of(obj);
    let Some(i) = slab.and_then(|s| s.index_of(obj)) else {
        core.misuse(Misuse::BadPointer, obj, None);
        if let Some(slab) = slab {
            debug::describe(slab, slab.index_around(obj));
        }
        return None;
    };
    let slab = slab?;
    // SAFETY: A slab's core is alive.
    if !core::ptr::eq(slab.core, core) && unsafe { !(*slab.core).is_kin(core) } {
        // SAFETY: A slab's core is alive.
        core.misuse(Misuse::WrongCache, obj, Some(unsafe { &*slab.core }));
        debug::describe(slab, i);
        return None;
    }
    Some((slab, i))
}

/// Sets the free bit of `obj`, with preemption off.
pub(crate) fn put(core: &Core, obj: *mut u8) {
    if let Some((slab, i)) = find(core, obj) {
        put_index(slab, i);
    }
}

/// Sets the free bit of object `i`, with preemption off.
///
/// From the moment that the bit is published, slab and core are only there because this is an
/// RCU reader.
pub(crate) fn put_index(slab: &Slab, i: usize) {
    put_word(slab, i / BITS, 1 << (i % BITS));
}

/// Sets the free bits `some` of word `w`, as [`put_index`] sets one.
fn put_word(slab: &Slab, w: usize, some: usize) {
    let n = slab.objects();
    // The slab's own, whatever member of its family the objects came by.
    // SAFETY: The objects keep the core, and preemption is off.
    let core = unsafe { &*slab.core };
    // Before the bits: once they are set, a release may put the field to another use.
    let node = &core.nodes()[slab.node as usize];
    let set = bits::set_many(slab.free(), n, w, some);
    if set.were_set != 0 {
        twice(core, slab, w, set.were_set);
        if set.were_set == some {
            return;
        }
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
        service::trim_soon(core);
    }
}

/// Reports objects that were free already.
#[cold]
fn twice(core: &Core, slab: &Slab, w: usize, mut were_set: usize) {
    while were_set != 0 {
        let i = w * BITS + were_set.trailing_zeros() as usize;
        core.misuse(Misuse::DoubleFree, slab.object(i), None);
        debug::describe(slab, i);
        were_set &= were_set - 1;
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
    let Some(section) = Section::open() else {
        return rcu_reentrant(core, obj);
    };
    // SAFETY: The queue is the section's.
    if unsafe { !Queue::push_more(core.fast_queue(), &section, obj) } {
        return rcu_checked_slow(core, obj, section);
    }
    if section.close() {
        return percpu::serve();
    }
    percpu::preempt_enable()
}

#[cold]
#[inline(never)]
fn rcu_reentrant(core: &Core, obj: *mut u8) {
    trace::free_rcu(&core.domain, obj);
    if !core.checked() || debug::on_free_rcu(core, obj) {
        rcu_by_bits(home(core, obj), obj)
    }
}

#[cold]
#[inline(never)]
fn rcu_checked_slow(mut core: &Core, obj: *mut u8, mut section: Section) {
    trace::free_rcu(&core.domain, obj);
    if core.looks() {
        drop(section);
        if core.checked() && !debug::on_free_rcu(core, obj) {
            return;
        }
        core = home(core, obj);
        let Some(again) = Section::open() else {
            return rcu_by_bits(core, obj);
        };
        section = again;
    }
    rcu_slow(core, section, obj)
}

#[cold]
#[inline(never)]
fn rcu_slow(core: &Core, mut section: Section, obj: *mut u8) {
    let spin = percpu::may_spin();
    let mut share = core.share(&section);
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
                } else {
                    core.strained();
                }
                if (*s).queue.open == null_batch() && core.local_node().may_have_empty() {
                    if let Some(mut inner) = core.local_node().lock_if(&section, spin) {
                        let empty = core.local_node().take_empty(core, &mut inner);
                        if !empty.is_null() {
                            (*s).queue.open = empty;
                        }
                    }
                }
            }
            if !(*(*s).queue.open).is_full() {
                arm |= Queue::push(q, cpu, &section, obj, spin);
                queue::close(section, cpu, arm, spin);
                return;
            }
            if tried || (*s).queue.open != null_batch() || !percpu::may_allocate_after(&section) {
                break;
            }
            tried = true;
            queue::close(section, cpu, core::mem::take(&mut arm), spin);
            let sheaf = queue::new_batch(core.capacity(), sys::gs_sys_gfp_nowait());
            let Some(again) = Section::open() else {
                if !sheaf.is_null() {
                    queue::free_batch(sheaf);
                }
                rcu_by_bits(core, obj);
                return;
            };
            section = again;
            share = core.share(&section);
            if sheaf.is_null() {
                continue;
            }
            if core.is_stale(sheaf) {
                core.retire_sheaf(sheaf);
            } else if core.is_live() && (*share).queue.open == null_batch() {
                (*share).queue.open = sheaf;
            } else {
                let node = core.local_node();
                node.keep_empty(&mut node.lock(&section), sheaf);
            }
        }
    }
    let cpu = section.cpu();
    queue::close(section, cpu, arm, spin);
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
    // As in `put_word`.
    // SAFETY: The object keeps the core.
    let core = unsafe { &*slab.core };
    // Counted before it is published.
    core.domain.count_in(1);
    // Looked at first: once the bit is set, the service may promote it at any moment.
    let elsewhere = bits::test(slab.wait(), i) || bits::test(slab.free(), i);
    if elsewhere || bits::set(slab.next(), slab.objects(), i).was_set {
        core.domain.count_out(1);
        core.misuse(Misuse::DoubleFreeRcu, obj, None);
        debug::describe(slab, i);
        return;
    }
    service::make_pending(slab);
}
