// SPDX-License-Identifier: GPL-2.0

//! Many objects at once: whole runs of pointers are moved to and from this CPU's sheaves.

use super::alloc;
use super::core::{Core, FAMILY};
use super::debug;
use super::free;
use crate::percpu::Section;
use crate::rcu::queue::Batch;
use crate::sys::Gfp;
use crate::trace;
use crate::watch;
use core::ptr::null_mut;

/// Fills `p` with objects that are not looked at yet; how many could be had.
///
/// Context: as for [`alloc::alloc`].
pub(super) fn take(core: &Core, gfp: Gfp, p: &mut [*mut u8]) -> usize {
    let mut got = 0;
    while got < p.len() {
        let rest = &mut p[got..];
        let one = match Section::open() {
            // SAFETY: The share's sheaves are the section's, which is only reached by raw
            // pointer; `rest` has this many places.
            Some(section) => unsafe {
                let share = core.share(&section);
                let mut n = Batch::pop_many((*share).main, rest.as_mut_ptr(), rest.len());
                n += Batch::pop_many((*share).spare, rest.as_mut_ptr().add(n), rest.len() - n);
                got += n;
                if n == rest.len() {
                    break;
                }
                // Both are empty: this fills one of them.
                alloc::slow(core, section, gfp)
            },
            None => alloc::reentrant(core, gfp),
        };
        if one.is_null() {
            break;
        }
        p[got] = one;
        got += 1;
    }
    got
}

/// Gives back objects that are free.
///
/// Context: Any context, NMI included.
///
/// # Safety
///
/// `p` are objects of `core` that the caller gives up.
pub(super) unsafe fn give(core: &Core, mut p: &[*mut u8]) {
    while let Some(&first) = p.first() {
        match Section::open() {
            // SAFETY: As in `take`; the objects are the caller's to give.
            Some(section) => unsafe {
                let share = core.share(&section);
                let mut n = Batch::push_many((*share).main, p.as_ptr(), p.len());
                if n < p.len() {
                    n += Batch::push_many((*share).spare, p.as_ptr().add(n), p.len() - n);
                }
                p = &p[n..];
                if let Some((&next, rest)) = p.split_first() {
                    // Both are full: this makes room.
                    free::slow(core, section, next);
                    p = rest;
                }
            },
            None => {
                free::by_bits(core, first);
                p = &p[1..];
            }
        }
    }
}

/// Allocates `p.len()` objects, or none.
///
/// Context: as for [`alloc::alloc`].
#[inline(always)]
pub(crate) fn alloc(core: &Core, gfp: Gfp, p: &mut [*mut u8]) -> bool {
    let mut got = 0;
    if gfp & kernel::bindings::__GFP_ZERO == 0 {
        if let Some(section) = Section::open() {
            // SAFETY: The sheaf is the section's; `p` has this many places.
            got = unsafe { Batch::pop_many(core.fast_from(&section), p.as_mut_ptr(), p.len()) };
            if got == p.len() {
                return true;
            }
        }
    }
    alloc_rest(core, gfp, p, got)
}

/// The same, where the first `had` are there already.
#[cold]
#[inline(never)]
fn alloc_rest(core: &Core, gfp: Gfp, p: &mut [*mut u8], had: usize) -> bool {
    let mut got = had + take(core, gfp, &mut p[had..]);
    if core.prepares() || watch::caches() || gfp & kernel::bindings::__GFP_ZERO != 0 {
        for i in had..got {
            p[i] = alloc::finish(core, p[i], gfp);
            if p[i].is_null() {
                // What follows was not handed out yet, and what came before was.
                // SAFETY: The objects are free.
                unsafe { give(core, &p[i + 1..got]) };
                got = i;
                break;
            }
        }
    }
    let all = got == p.len();
    if !all {
        // SAFETY: These were allocated above and nobody has seen them.
        unsafe { free_rest(core, &mut p[..got]) };
        p.fill(null_mut());
    }
    all
}

/// Frees all of `p`, which is NULL afterwards.
///
/// Context: Any context, NMI included.
///
/// # Safety
///
/// As for [`free::free`], of each; NULL is fine.
#[inline(always)]
pub(crate) unsafe fn free(core: &Core, p: &mut [*mut u8]) {
    let mut given = 0;
    if let Some(section) = Section::open() {
        // SAFETY: The sheaf is the section's; the objects are the caller's to give.
        given = unsafe { Batch::push_some(core.fast_to(&section), p) };
        if given == p.len() {
            return;
        }
    }
    // SAFETY: By the function's requirement.
    unsafe { free_rest(core, &mut p[given..]) }
}

/// The same, for what this CPU's sheaf has no room for, or is to be looked at.
///
/// # Safety
///
/// As for [`free`].
#[cold]
#[inline(never)]
unsafe fn free_rest(core: &Core, p: &mut [*mut u8]) {
    if core.has(FAMILY) {
        for obj in p.iter_mut().filter(|obj| !obj.is_null()) {
            // Each goes home.
            // SAFETY: By the function's requirement.
            unsafe { free::free_rarely(core, core::mem::replace(obj, null_mut())) };
        }
        return;
    }
    let n = if core.checked() || watch::caches() || p.iter().any(|obj| obj.is_null()) {
        sift(core, p)
    } else {
        p.len()
    };
    // SAFETY: By the function's requirement.
    unsafe { give(core, &p[..n]) };
    p.fill(null_mut());
}

/// Moves what is to be freed to the front; how many that are.
#[cold]
#[inline(never)]
fn sift(core: &Core, p: &mut [*mut u8]) -> usize {
    let mut n = 0;
    for i in 0..p.len() {
        if p[i].is_null() {
            continue;
        }
        trace::free(core, p[i]);
        // What must not be freed stays out.
        if !core.checked() || debug::on_free(core, p[i]) {
            p[n] = p[i];
            n += 1;
        }
    }
    n
}
