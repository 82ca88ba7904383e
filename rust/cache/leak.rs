// SPDX-License-Identifier: GPL-2.0

//! What a destroyed cache's users still have.

use super::barn;
use super::bits;
use super::core::Core;
use super::debug;
use super::slab::Slab;
use crate::percpu::Section;
use crate::sys;
use crate::trace;

/// Objects that a report names one by one.
const NAMED: usize = 16;

/// Calls `f` with every slab of `core`, its node locked.
fn for_each_slab(core: &Core, mut f: impl FnMut(&Slab)) {
    for node in core.nodes() {
        let (section, _) = Section::open_task();
        let mut inner = node.lock(&section);
        // Those that an interrupt has added are on no list yet.
        node.splice(&mut inner);
        let mut slab = inner.all.front();
        while !slab.is_null() {
            // SAFETY: A slab on the list is alive.
            unsafe {
                f(&*slab);
                slab = inner.all.next(slab);
            }
        }
    }
}

/// Slabs that `core` has.
pub(crate) fn slabs(core: &Core) -> usize {
    core.nodes().iter().map(|node| barn::figures(node).0).sum()
}

/// Reports the objects that are not free: a line each for the first ones, with whoever allocated
/// it where that is known, and a summary. False if there are none.
///
/// Context: Process context. The cache is destroyed.
pub(crate) fn report(core: &Core) -> bool {
    let (mut leaked, mut total) = (0, 0);
    let mut named = [core::ptr::null_mut::<u8>(); NAMED];
    for_each_slab(core, |slab| {
        total += slab.objects();
        for i in 0..slab.objects() {
            if !bits::test(slab.free(), i) {
                if leaked < NAMED {
                    named[leaked] = slab.object(i);
                }
                leaked += 1;
                trace::leak(core, slab.object(i));
            }
        }
    });
    if leaked == 0 {
        return false;
    }
    // SAFETY: The name ends in NUL and outlives the calls.
    unsafe {
        for obj in &named[..leaked.min(NAMED)] {
            sys::gs_sys_leak_line(core.name_ptr(), (*obj).cast());
            debug::describe_leaked(core, *obj);
        }
        if leaked > NAMED {
            sys::gs_sys_leak_more(core.name_ptr(), leaked - NAMED);
        }
        sys::gs_sys_leak_summary(core.name_ptr(), leaked, total);
    }
    true
}

/// At the module's exit: forgets `core`, whose objects stay where they are. Returns their number.
///
/// # Safety
///
/// `core` is off the registry, and nobody uses the module any more.
pub(crate) unsafe fn abandon(core: *mut Core) -> usize {
    // SAFETY: By the function's requirements.
    unsafe {
        let mut leaked = 0;
        for node in (*core).nodes() {
            let mut slab = node.take_all_slabs();
            while !slab.is_null() {
                let next = (*slab).incoming_next;
                leaked += (*slab).objects() - bits::count((*slab).free());
                Slab::abandon(slab);
                slab = next;
            }
        }
        // Those of a cache that was never destroyed.
        (*(*core).aliases.get()).clear();
        // Its root may be gone already.
        (*core).family.take_root();
        Core::free_now(core);
        leaked
    }
}
