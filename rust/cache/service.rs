// SPDX-License-Identifier: GPL-2.0

//! What a cache needs done in process context: pending bits, destructors, what kmemleak is owed,
//! empty slabs, zombies.
//!
//! A free by the bits, in whatever context, asks for *attention*: a flag in the core, a push to a
//! global stack, and an irq_work where that stack was empty. A worker then queues each such
//! core's own work, so that one cache's destructors hold up no other cache. Who leaves slabs empty
//! asks for a *trim* in the same way, which is queued a little later.

use super::barn;
use super::bits;
use super::core::{Core, KMEMLEAK, ZOMBIE};
use super::debug;
use super::dtor;
use super::free;
use super::slab::Slab;
use crate::list::Stack;
use crate::lock::Mutex;
use crate::percpu::{Cpu, NoPreempt};
use crate::rcu::barrier;
use crate::rcu::cookie::Cookie;
use crate::rcu::doorbell;
use crate::rcu::queue::Batch;
use crate::sys;
use core::mem::offset_of;
use core::ptr::null_mut;
use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Full, Relaxed};

type Attention = Stack<Core, { offset_of!(Core, attention_next) }>;
type Trims = Stack<Core, { offset_of!(Core, trim_next) }>;

/// Cores that want their work queued; each has a reference for it.
static ATTENTION: Attention = Stack::new();
/// Those that want it queued when the burst that left slabs empty may be over; likewise.
static TRIMS: Trims = Stack::new();

/// Whether [`gs_rs_attend`] has something to do.
pub(crate) fn attention_wanted() -> bool {
    !ATTENTION.is_empty()
}

/// Whether [`gs_rs_trims`] has something to do.
pub(crate) fn trims_wanted() -> bool {
    !TRIMS.is_empty()
}

/// Puts `core` on `list`, unless `asked` says that it is there already.
///
/// Context: Any context, NMI included, with preemption off or a reference.
fn ask<const OFF: usize>(list: &Stack<Core, OFF>, core: &Core, asked: &Atomic<bool>) {
    // A core that is being retired has no reference to give, and nothing left to be done. Pairs
    // with the exchange in `queue_works`.
    if asked.load(Relaxed) || asked.xchg(true, Full) || !core.get() {
        return;
    }
    // SAFETY: The flag makes this the only push, and the reference keeps the core.
    if unsafe { list.push((&raw const *core).cast_mut()) } {
        // SAFETY: irq_work may be queued in any context.
        unsafe { sys::gs_sys_kick() };
    }
}

/// Queues the work of each core on `list`, to which `asked` belongs. Process context.
fn queue_works<const OFF: usize>(list: &Stack<Core, OFF>, asked: impl Fn(&Core) -> &Atomic<bool>) {
    let mut taken = list.take();
    loop {
        // SAFETY: Each core taken comes with a reference, which goes to its work.
        unsafe {
            let core = Stack::<Core, OFF>::pop_taken(&mut taken);
            if core.is_null() {
                return;
            }
            // Who has something to be done from here on asks again. Pairs with the exchange in
            // `ask`.
            asked(&*core).xchg(false, Full);
            Core::queue_work(core);
        }
    }
}

/// Has the work of `core` queued soon.
///
/// Context: Any context, NMI included, with preemption off or a reference.
pub(crate) fn attend(core: &Core) {
    ask(&ATTENTION, core, &core.attention)
}

/// Has the work of `core` queued 10 ms later: who empties slabs may empty more, and then take them
/// again.
///
/// Context: As for [`attend`].
pub(super) fn trim_soon(core: &Core) {
    ask(&TRIMS, core, &core.trim)
}

/// Has the service come by `slab`, of which a bit in [`Slab::pending`] was set.
///
/// Context: Any context, NMI included, with preemption off since before the bit was set.
pub(super) fn make_pending(slab: &Slab) {
    // SAFETY: The object whose bit it is keeps the core, or kept it when preemption was off already.
    let core = unsafe { &*slab.core };
    if slab.tokens.acquire(bits::PENDING) {
        // SAFETY: The token's holder alone links the slab, and a slab that is pending is not
        // released.
        unsafe { core.pending_slabs.push((&raw const *slab).cast_mut()) };
        attend(core);
    }
}

/// Has kmemleak told soon of object `i` of `slab`, which is the caller's.
///
/// Context: Any context, NMI included.
#[cold]
pub(super) fn owe(slab: &Slab, i: usize) {
    // A barrier may have to wait for who has the token, as for a deferred free.
    let _reader = NoPreempt::new();
    bits::set(slab.owed(), slab.objects(), i);
    make_pending(slab);
}

/// Queues the work of each core that asked for attention. Process context.
#[no_mangle]
extern "C" fn gs_rs_attend() {
    queue_works(&ATTENTION, |core| &core.attention)
}

/// Queues the work of each core that is to be trimmed. Process context.
#[no_mangle]
extern "C" fn gs_rs_trims() {
    queue_works(&TRIMS, |core| &core.trim)
}

/// The core's work. Process context; the caller has a reference.
///
/// # Safety
///
/// The caller has a reference to `core`.
pub(crate) unsafe fn work(core: *mut Core) {
    // SAFETY: By the function's requirement.
    let c = unsafe { &*core };
    // In this order: what has waited makes room for what has not begun to.
    collect(c);
    promote(c);
    if c.has(KMEMLEAK) {
        // Slabs that were there only for what was owed are done with.
        collect(c);
    }
    if has_waiting(c) {
        ring(c);
    }
    barrier::drain(c);
    // The doorbell that sent this work saw ripe batches only; the others need one still.
    for cpu in Cpu::possible() {
        // SAFETY: The share lives as long as the core, and only the hint is read.
        if unsafe { (*c.on_cpu(cpu.id)).queue.has_sealed() } {
            doorbell::ring(cpu);
        }
    }
    {
        // Who shrinks the cache waits for what is in hand here.
        // SAFETY: The core is alive, and so is its mutex.
        let _one = unsafe { Mutex::lock(c.trim_mutex()) };
        flush_detached(c);
        c.empties.store(0, Relaxed);
        let mut busy = false;
        barn::trim(c, !c.is_live(), &mut busy);
    }
    if c.state() == ZOMBIE {
        // SAFETY: The caller has a reference.
        unsafe { super::destroy::bury(core) };
    }
}

/// Rings the core's own doorbell, unless it is ringing.
fn ring(core: &Core) {
    // Pairs with the barrier in `gs_rs_core_bell`.
    if !core.bell_armed.xchg(true, Full) && core.get() {
        // SAFETY: The reference keeps the core until its bell's work is done.
        unsafe { sys::gs_sys_core_bell(Core::sys((&raw const *core).cast_mut())) };
    }
}

/// Tells kmemleak what it could not be told in other contexts. Process context, not in a destructor
/// of the cache's.
pub(super) fn settle(core: &Core) {
    if core.has(KMEMLEAK) {
        promote(core);
        collect(core);
    }
}

/// Promotes pending bits wherever none wait already; true if some could not be. kmemleak is told
/// what it is owed of those slabs.
pub(crate) fn promote(core: &Core) -> bool {
    // SAFETY: The core is alive, and so is its mutex.
    let _service = unsafe { Mutex::lock(core.service_mutex()) };
    let mut deferred = false;
    let mut taken = core.pending_slabs.take();
    loop {
        // SAFETY: The slabs taken carry their tokens; the list is the mutex's.
        unsafe {
            let slab = PendingSlabs::pop_taken(&mut taken);
            if slab.is_null() {
                break;
            }
            (*slab).pending_next = *core.waiting.get();
            *core.waiting.get() = slab;
        }
    }
    // SAFETY: The list is the mutex's.
    let mut slab = unsafe { *core.waiting.get() };
    while !slab.is_null() {
        // SAFETY: A slab with the token is not released; its cookie is the mutex's.
        unsafe {
            let s = &*slab;
            if core.has(KMEMLEAK) {
                bits::drain(s.owed(), |i| debug::settle(s, i));
            }
            if bits::any(s.wait()) {
                deferred |= bits::any(s.next());
            } else if bits::promote(s.next(), s.wait()) {
                (*slab).cookie = Cookie::now();
            }
            slab = s.pending_next;
        }
    }
    deferred
}

type PendingSlabs = Stack<Slab, { offset_of!(Slab, pending_next) }>;

/// Whether slabs with pending bits are left.
pub(crate) fn has_waiting(core: &Core) -> bool {
    // SAFETY: The core is alive, and so is its mutex, whose the list is.
    unsafe {
        let _service = Mutex::lock(core.service_mutex());
        !(*core.waiting.get()).is_null() || !core.pending_slabs.is_empty()
    }
}

/// Frees the objects whose bits have waited long enough.
pub(crate) fn collect(core: &Core) {
    // SAFETY: The core is alive, and so is its mutex.
    let _service = unsafe { Mutex::lock(core.service_mutex()) };
    let mut kept: *mut Slab = null_mut();
    // SAFETY: The list is the mutex's.
    let mut slab = unsafe { core::mem::replace(&mut *core.waiting.get(), null_mut()) };
    while !slab.is_null() {
        // SAFETY: A slab with the token is not released; list and cookie are the mutex's.
        unsafe {
            let s = &*slab;
            let after = s.pending_next;
            if bits::any(s.wait()) && (*slab).cookie.poll() {
                let mut n = 0;
                dtor::run(core, || {
                    bits::drain(s.wait(), |i| {
                        if destroy_object(core, s.object(i)) {
                            let _reader = NoPreempt::new();
                            free::put_index(s, i);
                        }
                        n += 1;
                    });
                });
                core.domain.count_out(n);
            }
            // Once the token is given back, the slab is only there for RCU readers.
            let reader = NoPreempt::new();
            let keep = bits::any(s.wait()) || !s.tokens.release(bits::PENDING, s.pending());
            drop(reader);
            if keep {
                (*slab).pending_next = kept;
                kept = slab;
            }
            slab = after;
        }
    }
    // SAFETY: The list is the mutex's.
    unsafe { *core.waiting.get() = kept };
}

/// Ends an object's life after its grace period; false if that cannot be done any more, and the
/// object is leaked. Process context.
fn destroy_object(core: &Core, obj: *mut u8) -> bool {
    // SAFETY: The object went through a grace period and is nobody's.
    let destroyed = unsafe { core.destruct(obj.cast()) };
    if !destroyed {
        orphan_leaked(core);
    } else if core.checked() {
        debug::on_reclaim(core, obj);
    }
    destroyed
}

/// Says so, once.
#[cold]
fn orphan_leaked(core: &Core) {
    static SAID: Atomic<bool> = Atomic::new(false);

    if !SAID.xchg(true, Relaxed) {
        pr_warn!(
            "{}: an object is leaked, as the module that has its destructor is gone\n",
            core.name_cstr()
        );
    }
}

/// Gives the objects of a ripe batch back. Process context.
///
/// # Safety
///
/// The caller owns `batch`, which is ripe and of `core`.
pub(crate) unsafe fn reclaim_batch(core: &Core, batch: *mut Batch) {
    // SAFETY: By the function's requirements.
    unsafe {
        let n = u64::from((*batch).len());
        if core.has_hooks() {
            dtor::run(core, || {
                let objects = Batch::objects(batch);
                let mut kept = 0;
                for i in 0..objects.len() {
                    if destroy_object(core, objects[i]) {
                        objects[kept] = objects[i];
                        kept += 1;
                    }
                }
                (*batch).truncate(kept as u32);
            });
        }
        barn::put_objects(core, batch, true);
        core.domain.count_out(n);
    }
}

/// Gives the objects of sheaves that CPUs handed over back to the slabs. Process context.
pub(crate) fn flush_detached(core: &Core) {
    // `destroy` waits for whoever has sheaves in hand, so the claim comes before they are taken.
    let claim = core.domain.claim();
    let mut taken = core.detached.take();
    loop {
        // SAFETY: The sheaves taken are the caller's.
        unsafe {
            let sheaf = Stack::<Batch, { offset_of!(Batch, next) }>::pop_taken(&mut taken);
            if sheaf.is_null() {
                break;
            }
            free::flush(core, sheaf);
            barn::recycle(core, sheaf);
        }
    }
    core.domain.unclaim(claim);
}
