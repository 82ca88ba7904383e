// SPDX-License-Identifier: GPL-2.0

//! Pointers that are not ours: kmalloc, vmalloc, any `kmem_cache`.
//!
//! Per CPU and channel a page of pointers is the open batch. It is sealed, ripens and is freed as
//! a cache's batches are, in bulk. Without a page to be had, the caller, who may sleep, waits for
//! the grace period itself: freeing never fails for want of memory.

use super::domain::{Domain, Kind, FOREIGN};
use super::queue::{self, Batch, Queue};
use crate::cache::free;
use crate::inject;
use crate::percpu::Section;
use crate::sys;
use kernel::ffi::c_void;
use kernel::sync::atomic::{Atomic, Relaxed};

/// Pointers freed by a caller that waited for the grace period itself.
pub(crate) static WAITED: Atomic<u64> = Atomic::new(0);

/// Frees `p`, whatever allocator it came from, after a grace period. NULL is fine.
///
/// Context: Process context, may sleep.
///
/// # Safety
///
/// `p` must be the caller's to free, and not reachable for new readers.
pub(crate) unsafe fn kvfree_rcu(p: *const c_void) {
    if (p as usize) <= 16 {
        // NULL, or the pointer that a kmalloc of no bytes gives.
        return;
    }
    // SAFETY: Any pointer may be asked for.
    let slab: *mut crate::cache::slab::Slab = unsafe { sys::gs_sys_slab_of(p) }.cast();
    if !slab.is_null() {
        // SAFETY: `p` lies in this slab, and is the caller's.
        unsafe { free::free_rcu((*slab).core, p as *mut u8) };
        return;
    }
    // SAFETY: May be called in any context.
    if unsafe { !sys::gs_sys_may_sleep() } {
        // A bug of the caller's, who is told; better lost than corrupted.
        // SAFETY: The strings are not used by this report.
        unsafe {
            sys::gs_sys_misuse(
                sys::Misuse::AtomicKvfree as u32,
                core::ptr::null(),
                p,
                core::ptr::null(),
            )
        };
        return;
    }
    // SAFETY: May be called where it is true; a debugging kernel sees more than we do.
    unsafe { sys::gs_sys_might_sleep() };
    // SAFETY: Any pointer may be asked for.
    let index = unsafe { sys::gs_sys_is_vmalloc(p) } as usize;
    // SAFETY: By the function's requirements.
    if unsafe { !push(index, p as *mut u8) } {
        WAITED.fetch_add(1, Relaxed);
        // SAFETY: The caller may sleep, and `p` is nobody else's after the grace period.
        unsafe {
            sys::gs_sys_synchronize_rcu();
            sys::gs_sys_kvfree(p);
        }
    }
}

/// Queues `p`; false when no page can be had.
///
/// # Safety
///
/// `p` must be a pointer of channel `index` that is the caller's to free. The caller may sleep.
unsafe fn push(index: usize, p: *mut u8) -> bool {
    let mut page: *mut Batch = core::ptr::null_mut();
    loop {
        let (section, cpu) = Section::open_task();
        let q = (&raw const cpu.channels[index]).cast_mut();
        // SAFETY: The open batch is this CPU's, whose section is open.
        unsafe {
            if Queue::push_more(q, p) {
                break;
            }
            if (*(*q).open).cap() == 0 && !page.is_null() {
                (*q).open = page;
                page = core::ptr::null_mut();
            }
            if (*(*q).open).cap() != 0 {
                let arm = Queue::push(q, cpu, &section, p, true);
                drop(section);
                queue::arm(cpu, arm, true);
                break;
            }
        }
        drop(section);
        page = new_page();
        if page.is_null() {
            return false;
        }
    }
    if !page.is_null() {
        // Another CPU's batch had room after all.
        // SAFETY: The page was never used.
        unsafe { queue::free_batch(page) };
    }
    true
}

/// A page for pointers, or null. The caller may sleep.
fn new_page() -> *mut Batch {
    if inject::fails(inject::Point::Page) {
        return core::ptr::null_mut();
    }
    // SAFETY: May be called in any context.
    let (bytes, gfp) = unsafe { (sys::gs_sys_page_size() as usize, sys::gs_sys_gfp_try()) };
    queue::new_batch(Batch::fitting(bytes), gfp)
}

/// Frees what a ripe batch of others' pointers holds, and the batch.
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
        queue::free_batch(batch);
        domain.count_out(n);
    }
}

/// In and out of a channel.
pub(crate) fn in_out(index: usize) -> (u64, u64) {
    FOREIGN[index].in_out(|| Domain::channel(index))
}
