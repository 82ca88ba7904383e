// SPDX-License-Identifier: GPL-2.0

//! Pointers that are not ours: kmalloc, vmalloc, any `kmem_cache`.
//!
//! Per CPU and channel a page of pointers is the open batch. It is sealed, ripens and is freed as
//! a cache's batches are, in bulk. When a page is full, the next pointer is served by the first of
//! these that can be had:
//!
//! ```text
//!   a page of a CPU's reserve ─► a page by gfp ─► a wrapper of the reserve ─► a wrapper by gfp
//!     ─► the caller may sleep: it waits for the grace period     (gs_kvfree_rcu, a blocking gfp)
//!     ─► the caller gets its pointer back: -ENOMEM               (gs_try_kvfree_rcu)
//!     ─► the object's own head links it                          (gs_kvfree_rcu_head, _nolock)
//! ```
//!
//! So freeing never fails for want of memory, and never waits for memory to be freed.

use super::cookie::Cookie;
use super::domain::{Domain, Kind, FOREIGN};
use super::head;
use super::pressure;
use super::queue::{self, null_batch, Batch, Queue};
use super::reserve::{self, Size};
use super::steps::{self, Step};
use super::twice;
use crate::cache::free;
use crate::cache::slab::Slab;
use crate::percpu::{self, Cpu, Section};
use crate::sys::{self, Gfp, Misuse};
use crate::watch;
use core::ptr::{null, null_mut};
use kernel::ffi::c_void;
use kernel::prelude::*;

/// What a pointer is.
enum Class {
    /// NULL, or what a kmalloc of no bytes gives.
    Nothing,
    /// An object of one of our caches.
    Own(*mut Slab),
    /// To be queued on this channel.
    Other(usize),
    /// No allocator's: on a stack, in a static variable.
    Bad,
}

/// The channel of objects of the kernel's slabs.
const SLAB_OBJECTS: usize = 0;

/// Whether `p` is an object of the kernel's slabs, as most of others' pointers are: asked first,
/// for the fast paths; what it is else, [`classify`] tells.
#[inline(always)]
fn is_slab_object(p: *const c_void) -> bool {
    // SAFETY: Any pointer may be asked for.
    unsafe { sys::gs_sys_is_slab_object(p) }
}

fn classify(p: *const c_void) -> Class {
    if (p as usize) <= 16 {
        return Class::Nothing;
    }
    let mut slab = null_mut();
    // SAFETY: Any pointer may be asked for.
    match unsafe { sys::gs_sys_kind(p, &mut slab) } {
        kind @ (0 | 1) => Class::Other(kind as usize),
        2 => Class::Own(slab.cast()),
        _ => Class::Bad,
    }
}

#[cold]
fn misuse(what: Misuse, p: *const c_void) {
    // SAFETY: The strings are not used by these reports.
    unsafe { sys::gs_sys_misuse(what as u32, null(), p, null()) }
}

/// Frees `p`, whatever allocator it came from, after a grace period. NULL is fine.
///
/// Context: Process context, may sleep.
///
/// # Safety
///
/// `p` must be the caller's to free, and not reachable for new readers.
pub(crate) unsafe fn kvfree_rcu(p: *const c_void) {
    // SAFETY: May be called where it is true; a debugging kernel sees more than we do.
    unsafe { sys::gs_sys_would_sleep() };
    if !is_slab_object(p) {
        // SAFETY: By the function's requirements.
        return unsafe { kvfree_rcu_other(p) };
    }
    // SAFETY: By the function's requirements.
    unsafe { push_in_task(SLAB_OBJECTS, p as *mut u8) }
}

/// # Safety
///
/// As for [`kvfree_rcu`].
#[inline(never)]
unsafe fn kvfree_rcu_other(p: *const c_void) {
    match classify(p) {
        Class::Nothing => {}
        // SAFETY: `p` lies in this slab, and is the caller's.
        Class::Own(slab) => unsafe { free::free_rcu((*slab).core, p as *mut u8) },
        Class::Other(index) => {
            if watch::admit(index, p as *mut u8) {
                // SAFETY: By the function's requirements.
                unsafe { push_in_task(index, p as *mut u8) }
            }
        }
        Class::Bad => misuse(Misuse::NotAllocated, p),
    }
}

/// # Safety
///
/// As for [`kvfree_rcu`]; `p` is of channel `index`.
#[inline(always)]
unsafe fn push_in_task(index: usize, p: *mut u8) {
    // A bug of the caller's, who is told; better lost than corrupted.
    // SAFETY: May be called in any context.
    if unsafe { !sys::gs_sys_may_sleep() } {
        return misuse_in_task(p);
    }
    // SAFETY: By the function's requirements.
    unsafe { push_fast(index, p, (), |section| push_sleeping(p, index, section)) }
}

#[cold]
#[inline(never)]
fn misuse_in_task(p: *mut u8) {
    misuse(Misuse::AtomicKvfree, p.cast());
}

/// Queues a pointer that [`head`] had, in process context.
///
/// # Safety
///
/// `p` is a pointer of others', given to us to free.
pub(crate) unsafe fn queue_sleeping(p: *mut u8) {
    if let Class::Other(index) = classify(p.cast()) {
        // SAFETY: By the function's requirement.
        unsafe { push_sleeping(p, index, None) };
    }
}

/// Frees `p` after a grace period, if that takes no waiting or `gfp` allows it.
///
/// Returns ENOMEM, and `p` is still the caller's, where there is no memory and `gfp` does not allow
/// waiting; EINVAL, with a warning, if `p` is no allocator's.
///
/// Context: as `gfp` allows; not in NMI.
///
/// # Safety
///
/// As for [`kvfree_rcu`].
pub(crate) unsafe fn try_kvfree_rcu(p: *const c_void, gfp: Gfp) -> Result {
    if !is_slab_object(p) {
        // SAFETY: By the function's requirements.
        return unsafe { try_other(p, gfp) };
    }
    // SAFETY: By the function's requirements.
    unsafe { try_push(SLAB_OBJECTS, p as *mut u8, gfp) }
}

/// # Safety
///
/// As for [`kvfree_rcu`].
#[inline(never)]
unsafe fn try_other(p: *const c_void, gfp: Gfp) -> Result {
    match classify(p) {
        Class::Nothing => Ok(()),
        Class::Own(slab) => {
            // SAFETY: `p` lies in this slab, and is the caller's.
            unsafe { free::free_rcu((*slab).core, p as *mut u8) };
            Ok(())
        }
        Class::Other(index) => {
            let p = p as *mut u8;
            if !watch::admit(index, p) {
                return Ok(());
            }
            // SAFETY: By the function's requirements.
            unsafe { try_slow(p, gfp, index, None) }.inspect_err(|_| twice::forget(p))
        }
        Class::Bad => {
            misuse(Misuse::NotAllocated, p);
            Err(EINVAL)
        }
    }
}

/// # Safety
///
/// `p` is a pointer of channel `index` that is the caller's to free.
#[inline(always)]
unsafe fn try_push(index: usize, p: *mut u8, gfp: Gfp) -> Result {
    // SAFETY: By the function's requirements.
    unsafe { push_fast(index, p, Ok(()), |section| try_slow(p, gfp, index, section)) }
}

/// # Safety
///
/// As for [`try_push`].
#[cold]
#[inline(never)]
unsafe fn try_slow(p: *mut u8, gfp: Gfp, index: usize, section: Option<Section>) -> Result {
    drop(section);
    // SAFETY: By the function's requirements.
    if unsafe { push(index, p, gfp) } {
        return Ok(());
    }
    // SAFETY: Any gfp may be asked for, anywhere.
    if unsafe { sys::gs_sys_gfp_blocks(gfp) && sys::gs_sys_may_sleep() } {
        // SAFETY: The caller may sleep, and is no reader.
        unsafe { wait_and_free(p) };
        return Ok(());
    }
    steps::count(Step::Refused);
    Err(ENOMEM)
}

/// Frees `p`, which has a head `offset` bytes in, after a grace period. NULL is fine.
///
/// Context: Any context; NMI if `nolock`. Needs no memory, cannot fail.
///
/// # Safety
///
/// As for [`kvfree_rcu`]; the head is ours from here on.
#[inline(always)]
pub(crate) unsafe fn kvfree_rcu_head(p: *const c_void, offset: usize, nolock: bool) {
    if !is_slab_object(p) {
        // SAFETY: By the function's requirements.
        return unsafe { kvfree_rcu_head_other(p, offset, nolock) };
    }
    let p = p as *mut u8;
    // SAFETY: By the function's requirements.
    unsafe {
        push_fast(SLAB_OBJECTS, p, (), |section| {
            head_slow(p, offset, nolock, SLAB_OBJECTS, section)
        })
    }
}

/// # Safety
///
/// As for [`kvfree_rcu_head`].
#[inline(never)]
unsafe fn kvfree_rcu_head_other(p: *const c_void, offset: usize, nolock: bool) {
    match classify(p) {
        Class::Nothing => {}
        // SAFETY: `p` lies in this slab, and is the caller's.
        Class::Own(slab) => unsafe { free::free_rcu((*slab).core, p as *mut u8) },
        Class::Other(index) => {
            let p = p as *mut u8;
            if watch::admit(index, p) {
                // SAFETY: By the function's requirements.
                unsafe { head_slow(p, offset, nolock, index, None) }
            }
        }
        Class::Bad => misuse(Misuse::NotAllocated, p),
    }
}

/// # Safety
///
/// As for [`kvfree_rcu_head`]; `p` is of channel `index`.
#[cold]
#[inline(never)]
unsafe fn head_slow(
    p: *mut u8,
    offset: usize,
    nolock: bool,
    index: usize,
    section: Option<Section>,
) {
    drop(section);
    let gfp = if !nolock && percpu::may_allocate() {
        // SAFETY: May be called in any context.
        unsafe { sys::gs_sys_gfp_nowait() }
    } else {
        0
    };
    // SAFETY: By the function's requirements.
    unsafe {
        if (nolock && !percpu::may_spin()) || !push_batches(index, p, gfp, false) {
            head::link(p, offset);
        }
    }
}

/// Frees `p` after a grace period, where nothing may be waited for and nobody can be told of a
/// failure: in the last resort it is leaked, with a warning.
///
/// Context: Any context but NMI.
///
/// # Safety
///
/// As for [`kvfree_rcu`].
pub(crate) unsafe fn kvfree_rcu_defer(p: *const c_void) {
    let gfp = if percpu::may_allocate() {
        // SAFETY: May be called in any context.
        unsafe { sys::gs_sys_gfp_nowait() }
    } else {
        0
    };
    match classify(p) {
        Class::Nothing => {}
        // SAFETY: `p` lies in this slab, and is the caller's.
        Class::Own(slab) => unsafe { free::free_rcu((*slab).core, p as *mut u8) },
        Class::Other(index) => {
            let p = p as *mut u8;
            if !watch::admit(index, p) {
                return;
            }
            // SAFETY: By the function's requirements.
            if unsafe { !push(index, p, gfp) } && !head::slot(p) {
                steps::count(Step::Leaked);
                misuse(Misuse::NoMemory, p.cast());
            }
        }
        Class::Bad => misuse(Misuse::NotAllocated, p),
    }
}

/// Queues `p` where this CPU's page has some pointers and is not about to be full; else does
/// `otherwise`, which closes the section if there is one.
///
/// # Safety
///
/// `p` is a pointer of channel `index` that is the caller's to free.
#[inline(always)]
unsafe fn push_fast<R>(
    index: usize,
    p: *mut u8,
    done: R,
    otherwise: impl FnOnce(Option<Section>) -> R,
) -> R {
    let Some(section) = Section::open() else {
        return otherwise(None);
    };
    // SAFETY: The queues are this CPU's, whose section is open; `index` is below their number.
    let pushed = unsafe {
        let q: *mut Queue = Cpu::channel_area().cast::<Queue>().add(index);
        Queue::push_more(q, &section, p)
    };
    if !pushed {
        return otherwise(Some(section));
    }
    if section.close() {
        percpu::serve();
    } else {
        percpu::preempt_enable();
    }
    done
}

/// Queues `p`, or waits for the grace period. Process context, may sleep.
///
/// # Safety
///
/// As for [`push_fast`].
#[cold]
#[inline(never)]
unsafe fn push_sleeping(p: *mut u8, index: usize, section: Option<Section>) {
    drop(section);
    // SAFETY: By the function's requirements; the caller may sleep.
    unsafe {
        sys::gs_sys_might_sleep();
        if !push(index, p, sys::gs_sys_gfp_try()) {
            wait_and_free(p);
        }
    }
}

/// # Safety
///
/// The caller may sleep, is no RCU reader, and gives `p` up.
#[cold]
unsafe fn wait_and_free(p: *mut u8) {
    steps::count(Step::Waited);
    let mut cookie = Cookie::now();
    pressure::hurry(&mut cookie);
    cookie.wait();
    twice::forget(p);
    // SAFETY: By the function's requirements no reader is left.
    unsafe { sys::gs_sys_kvfree(p.cast()) };
}

/// [`push_batches`], and where an interrupt has met its CPU's section open, a slot.
///
/// # Safety
///
/// As for [`push_fast`].
#[cold]
#[inline(never)]
unsafe fn push(index: usize, p: *mut u8, gfp: Gfp) -> bool {
    // SAFETY: By the function's requirements.
    unsafe { push_batches(index, p, gfp, true) }
}

/// Queues `p` on a page or wrapper; false when none can be had.
///
/// Context: as `gfp` allows; with 0, any context.
///
/// # Safety
///
/// As for [`push_fast`].
unsafe fn push_batches(index: usize, p: *mut u8, gfp: Gfp, slots: bool) -> bool {
    /// What is asked for next.
    #[derive(Clone, Copy)]
    enum Ask {
        CachedPage,
        Wrapper,
        Nothing,
    }
    // Flags that cannot be had for bookkeeping are left out, and so is all where gfp, or this
    // context, does not allow to ask.
    // SAFETY: May be called in any context.
    let gfp = unsafe { sys::gs_sys_gfp_pointers(gfp) };
    let spin = percpu::may_spin();
    let mut ask = Ask::CachedPage;
    let mut fresh: *mut Batch = null_mut();
    let done = loop {
        let Some(section) = Section::open() else {
            break slots && head::slot(p);
        };
        let queues = section.here(Cpu::channel_area());
        let cpu = section.cpu();
        let mut arm = 0;
        // SAFETY: The open batch is this CPU's, whose section is open.
        unsafe {
            let q = queues.cast::<Queue>().add(index);
            if (*q).open != null_batch() && (*(*q).open).is_full() {
                // Sealing it failed for want of the lock.
                arm |= Queue::seal(q, cpu, &section, spin);
            }
            if (*q).open == null_batch() {
                if fresh.is_null() {
                    let (size, step) = match ask {
                        Ask::CachedPage => (Size::Page, Step::CachedPage),
                        _ => (Size::Wrapper, Step::ReserveWrapper),
                    };
                    if !matches!(ask, Ask::Nothing) {
                        fresh = reserve::take(cpu, &section, size, spin);
                    }
                    if !fresh.is_null() {
                        steps::count(step);
                    }
                }
                if !fresh.is_null() {
                    (*q).open = core::mem::replace(&mut fresh, null_mut());
                }
            }
            let room = !(*(*q).open).is_full();
            if room {
                arm |= Queue::push(q, cpu, &section, p, spin);
            }
            queue::close(section, cpu, arm, spin);
            if room {
                break true;
            }
        }
        let (size, step, next) = match ask {
            Ask::CachedPage => (Size::Page, Step::Page, Ask::Wrapper),
            Ask::Wrapper => (Size::Wrapper, Step::Wrapper, Ask::Nothing),
            Ask::Nothing => break false,
        };
        if gfp != 0 && fresh.is_null() {
            fresh = reserve::allocate(size, gfp);
            if !fresh.is_null() {
                steps::count(step);
            }
        }
        ask = next;
    };
    if !fresh.is_null() {
        // Another CPU's batch had room after all.
        // SAFETY: The batch was never used; it was allocated here, or taken where `spin` allows.
        unsafe { queue::free_batch(fresh) };
    }
    done
}

/// Frees what a ripe batch of others' pointers holds, and keeps the batch for others.
///
/// Context: Process context, may sleep (vfree does).
///
/// # Safety
///
/// The caller owns `batch`, which is ripe and of `domain`.
pub(crate) unsafe fn reclaim_batch(domain: &Domain, batch: *mut Batch) {
    // SAFETY: The pointers were given to us to free, and no reader is left.
    unsafe {
        let pointers = Batch::objects(batch);
        twice::forget_all(pointers);
        match domain.kind {
            Kind::Vmalloc => {
                for p in pointers.iter() {
                    sys::gs_sys_kvfree((*p).cast());
                    sys::gs_sys_cond_resched();
                }
            }
            _ => sys::gs_sys_kfree_bulk(pointers.len(), pointers.as_mut_ptr()),
        }
        let n = pointers.len() as u64;
        (*batch).truncate(0);
        reserve::give(batch);
        domain.count_out(n);
    }
}

/// In and out of a channel.
pub(crate) fn in_out(index: usize) -> (u64, u64) {
    FOREIGN[index].in_out(|| Domain::channel(index))
}
