// SPDX-License-Identifier: GPL-2.0

//! Others' pointers that are given a second time while they wait, for debugging.
//!
//! A pointer of ours has its slab's bits and a state byte; another allocator's has nothing that we
//! could look at. With `debug=F` each is entered in a table when it is given to us and taken out
//! right before it is freed, whatever way it takes in between. One that is in the table already is
//! reported with the stacks of both, and the second time comes to nothing.
//!
//! The table needs no lock and no memory, so that it works wherever pointers are given. A pointer
//! has a few places that it can be in; if all of them are taken, it goes unseen, and is counted.

use crate::cache::debug;
use crate::sys::{self, Misuse};
use core::ptr::null_mut;
use kernel::ffi::c_void;
use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Full, Relaxed};

/// Places that a pointer can be in.
const WAYS: usize = 8;
/// Groups of them, a power of two.
const GROUPS: usize = 4096;
/// `GS_FREED_RCU` of the shim.
const FREED_RCU: u32 = 2;

/// A place in the table; its track lies in an array of its own.
struct Place(Atomic<usize>);

/// The table, once there is one; it stays until the module goes.
static PLACES: Atomic<*mut Place> = Atomic::new(null_mut());
static TRACKS: Atomic<*mut u8> = Atomic::new(null_mut());
static ON: Atomic<bool> = Atomic::new(false);

/// Pointers for which there was no place.
pub(crate) static UNSEEN: Atomic<u64> = Atomic::new(0);

/// Whether pointers are entered.
pub(crate) fn is_on() -> bool {
    ON.load(Relaxed)
}

/// Enters pointers from here on, or does not any more. Those that wait already were not entered,
/// or stay until they are freed. Process context.
pub(crate) fn set(on: bool) {
    if on && PLACES.load(Relaxed).is_null() {
        // SAFETY: Plain allocations; a table of zeroes is one of free places.
        unsafe {
            let places = sys::gs_sys_vzalloc(GROUPS * WAYS * size_of::<Place>());
            let tracks = sys::gs_sys_vzalloc(GROUPS * WAYS * sys::gs_sys_tracks_bytes());
            if places.is_null() || tracks.is_null() || sys::gs_sys_tracks_init() != 0 {
                sys::gs_sys_kvfree(places);
                sys::gs_sys_kvfree(tracks);
                pr_warn!("no memory to see pointers that are given to gs_kvfree_rcu() twice\n");
                return;
            }
            TRACKS.store(tracks.cast(), Relaxed);
            // Pairs with itself: whoever sees the table sees what it was filled with.
            PLACES.xchg(places.cast(), Full);
        }
    }
    ON.store(on, Relaxed);
}

/// Frees the table. Nobody uses the module any more.
pub(crate) fn free() {
    // SAFETY: By the function's contract.
    unsafe {
        sys::gs_sys_kvfree(PLACES.xchg(null_mut(), Full).cast());
        sys::gs_sys_kvfree(TRACKS.xchg(null_mut(), Full).cast());
    }
}

/// The places of `p`, and the number of the first one.
fn places(p: *mut u8) -> Option<(&'static [Place], usize)> {
    let table = PLACES.load(Relaxed);
    if table.is_null() {
        return None;
    }
    // Objects start at multiples of 8 at least; neighbours go to different groups.
    let group = (p as usize >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52 & (GROUPS - 1);
    let first = group * WAYS;
    // SAFETY: The table has this many places, and stays as long as anyone calls.
    let places = unsafe { core::slice::from_raw_parts(table.add(first), WAYS) };
    Some((places, first))
}

/// `p`, by which an object that was linked by its head is known as well.
fn untagged(p: *mut u8) -> *mut u8 {
    // SAFETY: The address is only computed.
    unsafe { sys::gs_sys_untagged(p.cast()).cast() }
}

/// The tracks of a place.
fn track(number: usize) -> *mut c_void {
    // SAFETY: There are as many as places.
    unsafe {
        TRACKS
            .load(Relaxed)
            .add(number * sys::gs_sys_tracks_bytes())
            .cast()
    }
}

/// Reports `p`, which is in place `number` as well.
#[cold]
fn report(p: *mut u8, number: usize) {
    // SAFETY: The strings end in NUL; the shim reads tracks without faulting.
    unsafe {
        sys::gs_sys_misuse(
            Misuse::GivenTwice as u32,
            c"pointer".as_char_ptr(),
            p.cast(),
            c"".as_char_ptr(),
        );
        sys::gs_sys_tracks_print(c"pointer".as_char_ptr(), p.cast(), track(number));
    }
}

/// Enters `p`; false, with a report, if it is there already.
///
/// Context: Any context, NMI included.
pub(crate) fn admit(p: *mut u8) -> bool {
    if !is_on() {
        return true;
    }
    let p = untagged(p);
    let Some((places, first)) = places(p) else {
        return true;
    };
    let at = |other: usize| {
        places
            .iter()
            .enumerate()
            .position(|(i, place)| i != other && place.0.load(Relaxed) == p as usize)
    };
    if let Some(i) = at(WAYS) {
        report(p, first + i);
        return false;
    }
    // 1 is no pointer: taken, and not entered yet. Pairs with itself.
    let taken = places
        .iter()
        .position(|place| place.0.load(Relaxed) == 0 && place.0.cmpxchg(0, 1, Full).is_ok());
    let Some(i) = taken else {
        UNSEEN.fetch_add(1, Relaxed);
        return true;
    };
    // SAFETY: The place is ours.
    unsafe { sys::gs_sys_track_set(track(first + i), FREED_RCU, debug::gfp_here()) };
    // Of two that come at once, at least one sees the other: pairs with itself.
    places[i].0.xchg(p as usize, Full);
    if let Some(k) = at(i) {
        places[i].0.xchg(0, Full);
        report(p, first + k);
        return false;
    }
    true
}

/// Takes `p` out: it is about to be freed, or its caller's again.
///
/// Context: Any context.
pub(crate) fn forget(p: *mut u8) {
    let p = untagged(p);
    if let Some((places, _)) = places(p) {
        for place in places {
            // Pairs with the exchanges in `admit`.
            if place.0.load(Relaxed) == p as usize && place.0.cmpxchg(p as usize, 0, Full).is_ok() {
                return;
            }
        }
    }
}

/// [`forget`], of all of them.
pub(crate) fn forget_all(pointers: &[*mut u8]) {
    if !PLACES.load(Relaxed).is_null() {
        pointers.iter().for_each(|&p| forget(p));
    }
}

/// The module's flags for debugging have been changed, or it is about to start. Process context.
#[no_mangle]
extern "C" fn gs_rs_debug_changed() {
    // SAFETY: May be called in any context.
    let flags = unsafe { sys::gs_sys_debug_flags() };
    set(flags & crate::cache::core::CONSISTENCY != 0);
    crate::watch::fit_pointers();
}
