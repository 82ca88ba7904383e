// SPDX-License-Identifier: GPL-2.0

//! [`Cache`]: a cache of objects of one type.

use super::cbox::CBox;
use crate::cache::stats::Stats;
use crate::capi::RawArgs;
use core::marker::PhantomData;
use core::mem::{needs_drop, ManuallyDrop};
use core::ptr::NonNull;
use kernel::alloc::{AllocError, Flags};
use kernel::error::from_err_ptr;
use kernel::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
use kernel::prelude::*;

/// The C side's opaque `struct gs_cache`.
pub(crate) type RawCache = c_void;

extern "C" {
    fn gs_cache_create(
        name: *const c_char,
        size: c_uint,
        args: *const RawArgs,
        flags: c_ulong,
    ) -> *mut RawCache;
    fn gs_cache_destroy(c: *mut RawCache) -> c_int;
    fn gs_cache_alloc(c: *mut RawCache, gfp: u32) -> *mut c_void;
    fn gs_cache_free(c: *mut RawCache, obj: *mut c_void);
    fn gs_cache_barrier(c: *mut RawCache);
    fn gs_cache_shrink(c: *mut RawCache) -> c_uint;
    fn gs_cache_stats(c: *mut RawCache, out: *mut Stats) -> c_int;
}

/// What a cache may be told about its objects.
#[derive(Clone, Copy, Debug, Default)]
pub struct Args {
    /// Alignment beyond the type's own: a power of two, or 0.
    pub align: u32,
    /// Objects per sheaf; 0 for the default of the object's size.
    pub sheaf_capacity: u32,
    /// Any of [`flags`].
    pub flags: usize,
}

/// Flags of a cache, as `include/graceslab.h` documents them.
pub mod flags {
    /// Start each object on a cache line of its own where its size allows.
    pub const HWCACHE_ALIGN: usize = 1 << 0;
    /// Charge slab pages to the allocating task's memory cgroup.
    pub const ACCOUNT: usize = 1 << 2;
    /// One state byte per object: double and misdirected frees are caught.
    pub const CONSISTENCY: usize = 1 << 6;
}

/// A destroyed cache had objects that are still in use: they stay valid, and are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaked;

impl From<Leaked> for Error {
    #[inline]
    fn from(_: Leaked) -> Error {
        EBUSY
    }
}

/// A cache of `T`s.
///
/// Dropping it destroys it, as [`Cache::destroy`] does, and warns on a leak.
///
/// # Invariants
///
/// The pointer is to a live cache that this handle alone destroys. Its objects have room and
/// alignment for a `T`, and its destructor is that of `T`.
pub struct Cache<T> {
    raw: NonNull<RawCache>,
    _objects: PhantomData<fn() -> T>,
}

// SAFETY: The cache's functions may be called from any thread; the handle itself holds no `T`,
// and a `T` only changes threads through `CBox`, which asks for `T: Send`.
unsafe impl<T> Send for Cache<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Cache<T> {}

/// The destructor of a cache of `T`s.
///
/// # Safety
///
/// `obj` must be a `T` that nobody else has.
unsafe extern "C" fn drop_object<T>(obj: *mut c_void) {
    // SAFETY: By the function's requirement.
    unsafe { core::ptr::drop_in_place(obj.cast::<T>()) }
}

impl<T> Cache<T> {
    /// Creates a cache called `name`.
    ///
    /// Errors: `EEXIST` if a cache of that name exists, `EINVAL` for an alignment that is no power
    /// of two, a `T` of more than 64 KiB or an unknown flag, `ENOMEM`. Objects of a zero-sized
    /// type take a byte each.
    ///
    /// Context: Process context, may sleep.
    pub fn new(name: &CStr, args: Args) -> Result<Self> {
        let own = align_of::<T>() as u32;
        if args.align != 0 && !args.align.is_power_of_two() {
            return Err(EINVAL);
        }
        let size = c_uint::try_from(size_of::<T>()).map_err(|_| EINVAL)?;
        let raw = RawArgs {
            align: args.align.max(own),
            sheaf_capacity: args.sheaf_capacity,
            ctor: None,
            rcu_dtor: if needs_drop::<T>() {
                Some(drop_object::<T>)
            } else {
                None
            },
        };
        // SAFETY: The name is a string and `raw` valid; both are read before the call returns.
        let raw = from_err_ptr(unsafe {
            gs_cache_create(name.as_char_ptr(), size.max(1), &raw, args.flags)
        })?;
        // INVARIANT: Just created, with the size, alignment and destructor of `T`.
        Ok(Self {
            raw: NonNull::new(raw).ok_or(EINVAL)?,
            _objects: PhantomData,
        })
    }

    #[inline]
    fn alloc_raw(&self, flags: Flags) -> core::result::Result<NonNull<T>, AllocError> {
        // SAFETY: By the type's invariants.
        let obj = unsafe { gs_cache_alloc(self.raw.as_ptr(), super::cbox::raw_flags(flags)) };
        NonNull::new(obj.cast()).ok_or(AllocError)
    }

    /// Allocates an object that holds `value`.
    ///
    /// Context: as `flags` allow.
    #[inline]
    pub fn alloc(&self, value: T, flags: Flags) -> core::result::Result<CBox<T>, AllocError> {
        let obj = self.alloc_raw(flags)?;
        // SAFETY: The object has room and alignment for a `T`, and is nobody else's.
        unsafe {
            obj.write(value);
            Ok(CBox::from_raw(obj.as_ptr()))
        }
    }

    /// Allocates an object and initialises it in place.
    ///
    /// Context: as `flags` allow, and `init`.
    #[inline]
    pub fn alloc_pin_init<E>(
        &self,
        init: impl PinInit<T, E>,
        flags: Flags,
    ) -> core::result::Result<Pin<CBox<T>>, E>
    where
        E: From<AllocError>,
    {
        let obj = self.alloc_raw(flags)?;
        // SAFETY: The object has room and alignment for a `T`; if this fails it holds nothing.
        if let Err(e) = unsafe { init.__pinned_init(obj.as_ptr()) } {
            // SAFETY: It is an object of this cache that nobody has seen.
            unsafe { gs_cache_free(self.raw.as_ptr(), obj.as_ptr().cast()) };
            return Err(e);
        }
        // SAFETY: The object holds a `T` now, and does not move until it is dropped.
        Ok(unsafe { Pin::new_unchecked(CBox::from_raw(obj.as_ptr())) })
    }

    /// Waits until every object whose free was deferred before the call has been dropped and can
    /// be used again. No grace period where none is pending.
    ///
    /// Context: Process context, may sleep. Not from `T`'s own `Drop`.
    pub fn barrier(&self) {
        // SAFETY: By the type's invariants.
        unsafe { gs_cache_barrier(self.raw.as_ptr()) }
    }

    /// Gives unused memory back; returns pages.
    ///
    /// Context: Process context, may sleep.
    pub fn shrink(&self) -> usize {
        // SAFETY: By the type's invariants.
        unsafe { gs_cache_shrink(self.raw.as_ptr()) as usize }
    }

    /// Takes the cache's counters.
    ///
    /// Context: Process context, may sleep.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        // SAFETY: By the type's invariants; `stats` is valid for a write.
        unsafe { gs_cache_stats(self.raw.as_ptr(), &mut stats) };
        stats
    }

    /// Waits for the cache's own pending frees, and destroys it. Its name is free at once.
    ///
    /// Errors: [`Leaked`] if objects are still in use. They stay valid, and their memory is given
    /// back when they are freed.
    ///
    /// Context: Process context, may sleep. Not from `T`'s own `Drop`.
    pub fn destroy(self) -> core::result::Result<(), Leaked> {
        let this = ManuallyDrop::new(self);
        // SAFETY: By the type's invariants; the handle is not used again.
        match unsafe { gs_cache_destroy(this.raw.as_ptr()) } {
            0 => Ok(()),
            _ => Err(Leaked),
        }
    }
}

impl<T> Drop for Cache<T> {
    fn drop(&mut self) {
        // SAFETY: By the type's invariants; the handle is not used again.
        if unsafe { gs_cache_destroy(self.raw.as_ptr()) } != 0 {
            pr_warn!("graceslab: a cache was dropped with objects in use\n");
        }
    }
}
