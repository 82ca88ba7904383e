// SPDX-License-Identifier: GPL-2.0

//! Has boxes whose cache was made by a module that has gone, `gs_lender`: it has the code of
//! their `Drop` as well, and drops them by that.

use graceslab::CBox;
use kernel::{
    ffi::c_void,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full, //
        },
        Arc, //
    }, //
};

module! {
    type: Heir,
    name: "gs_heir",
    authors: ["The graceslab developers"],
    description: "Drops objects of a module that has gone",
    license: "GPL",
}

/// Its drop is seen by another [`Arc`] of the same.
type Object = Arc<Atomic<u32>>;

extern "C" {
    fn gs_object_free_rcu(obj: *mut c_void);
}

const N: usize = 3;

/// What was given to us: boxes, and for each a witness.
static BOXES: [Atomic<*mut Object>; N] = [const { Atomic::new(core::ptr::null_mut()) }; N];
static WITNESSES: [Atomic<*mut Atomic<u32>>; N] = [const { Atomic::new(core::ptr::null_mut()) }; N];

/// Takes box `n`, and a witness of its drop.
///
/// # Safety
///
/// `object` is from [`CBox::into_raw`] of a box of an `Object`, and `witness` from
/// [`Arc::into_raw`] of the same.
#[no_mangle]
unsafe extern "C" fn gs_heir_take(n: usize, object: *mut c_void, witness: *mut c_void) {
    BOXES[n].store(object.cast(), kernel::sync::atomic::Release);
    WITNESSES[n].store(witness.cast(), kernel::sync::atomic::Release);
}

struct Heir;

impl kernel::Module for Heir {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}

/// Whether the object of witness `n` was dropped.
fn dropped(n: usize) -> bool {
    let witness = WITNESSES[n].xchg(core::ptr::null_mut(), Full);
    // SAFETY: From `into_raw`, by the requirement of `gs_heir_take`, and taken once.
    Arc::into_unique_or_drop(unsafe { Arc::from_raw(witness) }).is_some()
}

impl Drop for Heir {
    fn drop(&mut self) {
        let raw = BOXES
            .each_ref()
            .map(|b| b.xchg(core::ptr::null_mut(), Full));
        if raw.iter().any(|b| b.is_null()) {
            pr_err!("there is nothing to inherit\n");
            return;
        }
        // By one who does not know what it is: it must not be used again, not having been dropped.
        // SAFETY: It is a box's that is given up here.
        unsafe { gs_object_free_rcu(raw[0].cast()) };
        graceslab::barrier();
        let lost = !dropped(0);
        // SAFETY: From `into_raw`, by the requirement of `gs_heir_take`, and taken once.
        let [one, other] = [raw[1], raw[2]].map(|b| unsafe { CBox::<Object>::from_raw(b) });
        one.free_rcu();
        graceslab::barrier();
        let inherited = dropped(1);
        drop(other);
        let at_once = dropped(2);
        pr_info!("lost {lost}, inherited {inherited}, at once {at_once}\n");
    }
}
