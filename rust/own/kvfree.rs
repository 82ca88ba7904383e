// SPDX-License-Identifier: GPL-2.0

//! [`kvfree_rcu`] and [`try_kvfree_rcu`], for the kernel's own boxes and vectors.

use super::{
    gfp,
    sealed::Sealed, //
};
use core::{
    mem::needs_drop,
    result::Result as CoreResult, //
};
use kernel::{
    alloc::Flags,
    bindings::gfp_t,
    ffi::{
        c_int,
        c_void, //
    }, //
};

extern "C" {
    fn gs_kvfree_rcu(p: *const c_void);
    fn gs_try_kvfree_rcu(p: *const c_void, gfp: gfp_t) -> c_int;
    fn gs_barrier();
}

/// What [`kvfree_rcu`] takes: the kernel's `KBox`, `VBox`, `KVBox`, `KVec`, `VVec` and `KVVec`,
/// whose memory is of kmalloc, vmalloc or kvmalloc.
///
/// # Safety
///
/// Unless null, what [`KvFree::memory`] returns is an allocation that the value owns, and that
/// `kvfree()` frees.
///
/// # Examples
///
/// ```
/// use graceslab::KvFree;
/// use kernel::prelude::*;
///
/// /// Frees both after a grace period.
/// fn free_both<P: KvFree, Q: KvFree>(p: P, q: Q) {
///     graceslab::kvfree_rcu(p);
///     graceslab::kvfree_rcu(q);
/// }
///
/// free_both(
///     KBox::new(1u64, GFP_KERNEL)?,
///     KVec::<u8>::with_capacity(100, GFP_KERNEL)?,
/// );
/// # Ok::<(), Error>(())
/// ```
pub unsafe trait KvFree: Sealed + Sized {
    /// What is in it: nothing that needs dropping.
    type Item;

    /// What it is made of.
    #[doc(hidden)]
    type Parts: Copy;

    /// Takes it apart.
    #[doc(hidden)]
    fn into_parts(self) -> Self::Parts;

    /// Puts it together again.
    ///
    /// # Safety
    ///
    /// `parts` must come from [`KvFree::into_parts`], and its memory not have been given away.
    #[doc(hidden)]
    unsafe fn from_parts(parts: Self::Parts) -> Self;

    /// Its memory; null where it has none.
    #[doc(hidden)]
    fn memory(parts: Self::Parts) -> *const c_void;
}

/// Frees `p` after a grace period: RCU readers that still have it keep it until then.
///
/// Only the memory is freed, so it does not matter when, nor in which thread: what is in it need
/// not be [`Send`]. It must not need dropping, for nobody would drop it; that is checked when the
/// call is compiled. A vector of capacity 0 and a zero-sized value have no memory, and nothing is
/// queued for them.
///
/// To wait for the grace period, [`barrier`] is there; a module need not do so before it goes.
///
/// Readers that have it are a matter of `unsafe` code. Where they are not, see
/// [`Rcu`](super::rcu::Rcu).
///
/// Context: Process context, may sleep, also for a grace period: not while a
/// [`Guard`](kernel::sync::rcu::Guard) is held. Never fails.
///
/// # Examples
///
/// ```
/// use kernel::prelude::*;
///
/// let mut table = KVVec::<u64>::with_capacity(1024, GFP_KERNEL)?;
/// table.push(1, GFP_KERNEL)?;
/// graceslab::kvfree_rcu(table);
/// # Ok::<(), Error>(())
/// ```
#[inline]
pub fn kvfree_rcu<P: KvFree>(p: P) {
    const { assert!(!needs_drop::<P::Item>(), "kvfree_rcu() drops nothing") };
    // SAFETY: The memory was the box's or vector's, and is nobody's now.
    unsafe { gs_kvfree_rcu(P::memory(p.into_parts())) }
}

/// Frees `p` after a grace period, or gives it back where that takes memory and there is none.
///
/// What can be freed, and what happens to it, is as with [`kvfree_rcu`]. The flags are for memory
/// that keeps track of it; with flags that allow sleeping, the call waits for the grace period
/// itself rather than fail.
///
/// Context: as `flags` allow: with [`GFP_ATOMIC`] or [`GFP_NOWAIT`] any but NMI, also while a
/// [`Guard`](kernel::sync::rcu::Guard) is held.
///
/// [`GFP_ATOMIC`]: kernel::alloc::flags::GFP_ATOMIC
/// [`GFP_NOWAIT`]: kernel::alloc::flags::GFP_NOWAIT
///
/// # Errors
///
/// Without memory, and where nobody may sleep: `p`, as it was.
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, sync::rcu};
///
/// let table = KVec::<u64>::with_capacity(16, GFP_KERNEL)?;
/// let guard = rcu::read_lock();
/// // Nothing may sleep here.
/// let left = graceslab::try_kvfree_rcu(table, GFP_NOWAIT | __GFP_NOWARN).err();
/// drop(guard);
/// // Here it may: what could not be queued then is now.
/// if let Some(table) = left {
///     graceslab::kvfree_rcu(table);
/// }
/// # Ok::<(), Error>(())
/// ```
#[inline]
pub fn try_kvfree_rcu<P: KvFree>(p: P, flags: Flags) -> CoreResult<(), P> {
    const { assert!(!needs_drop::<P::Item>(), "try_kvfree_rcu() drops nothing") };
    let parts = p.into_parts();
    let memory = P::memory(parts);
    // SAFETY: The memory was the box's or vector's, and is nobody's now.
    if memory.is_null() || unsafe { gs_try_kvfree_rcu(memory, gfp::raw(flags)) } == 0 {
        Ok(())
    } else {
        // SAFETY: Just taken apart; its memory was not taken, and so is nobody's still.
        Err(unsafe { P::from_parts(parts) })
    }
}

/// Waits for every pending free of every kind that was queued before the call.
///
/// [`Cache::barrier`](super::cache::Cache::barrier) waits for one cache's own only. No grace
/// period where nothing is pending.
///
/// Context: Process context, may sleep. Not from the `Drop` of an object of a cache.
///
/// # Examples
///
/// ```
/// use kernel::prelude::*;
///
/// graceslab::kvfree_rcu(KBox::new([0u8; 100], GFP_KERNEL)?);
/// graceslab::barrier();
/// // Its memory is back.
/// # Ok::<(), Error>(())
/// ```
#[inline]
pub fn barrier() {
    // SAFETY: No requirements beyond the context.
    unsafe { gs_barrier() }
}
