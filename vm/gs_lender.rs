// SPDX-License-Identifier: GPL-2.0

//! Makes a cache, leaves its objects to `gs_heir`, and goes.

use graceslab::{
    Args,
    CBox,
    Cache, //
};
use kernel::{
    ffi::c_void,
    prelude::*,
    sync::{
        atomic::Atomic,
        Arc, //
    }, //
};

module! {
    type: Lender,
    name: "gs_lender",
    authors: ["The graceslab developers"],
    description: "Leaves objects to another module",
    license: "GPL",
}

extern "C" {
    fn gs_heir_take(n: usize, object: *mut c_void, witness: *mut c_void);
}

struct Lender {
    _objects: Cache<Arc<Atomic<u32>>>,
}

impl kernel::Module for Lender {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let objects = Cache::new(c"gs_lender", Args::default())?;
        for n in 0..3 {
            let witness = Arc::new(Atomic::new(n as u32), GFP_KERNEL)?;
            let object = objects.alloc(witness.clone(), GFP_KERNEL)?;
            let witness = witness.into_raw().cast_mut();
            // SAFETY: As `gs_heir` asks for.
            unsafe { gs_heir_take(n, CBox::into_raw(object).cast(), witness.cast()) };
        }
        Ok(Self { _objects: objects })
    }
}
