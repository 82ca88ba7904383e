// SPDX-License-Identifier: GPL-2.0

//! [`Cache`]: a cache of objects of one type.

use super::{
    cbox::{
        drop_object,
        CBox,
        Exactly, //
    },
    gfp,
    rcubox::RcuBox, //
};
use crate::{
    cache::stats::Stats,
    capi::RawArgs, //
};
use core::{
    marker::PhantomData,
    mem::{
        needs_drop,
        ManuallyDrop, //
    },
    ptr::NonNull,
    result::Result as CoreResult, //
};
use kernel::{
    alloc::{
        AllocError,
        Flags, //
    },
    error::from_err_ptr,
    ffi::{
        c_char,
        c_int,
        c_uint,
        c_ulong,
        c_void, //
    },
    prelude::*, //
};

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
    fn gs_cache_barrier(c: *mut RawCache);
    fn gs_cache_shrink(c: *mut RawCache) -> c_uint;
    fn gs_cache_stats(c: *mut RawCache, out: *mut Stats) -> c_int;
}

/// What a cache may be told about its objects.
///
/// # Examples
///
/// ```
/// use graceslab::{flags, Args};
///
/// let args = Args {
///     align: 64,
///     flags: flags::CONSISTENCY,
///     ..Args::default()
/// };
/// # let _ = args;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Args {
    /// Alignment in bytes beyond the type's own: a power of two, or 0.
    pub align: u32,
    /// Objects per sheaf, at most 1020; 0 for the default of the object's size, which grows with
    /// use.
    pub sheaf_capacity: u32,
    /// Any of [`flags`].
    pub flags: usize,
}

impl Args {
    /// What every argument is by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::Args;
    ///
    /// const LARGE_SHEAVES: Args = Args {
    ///     sheaf_capacity: 200,
    ///     ..Args::new()
    /// };
    /// assert_eq!(LARGE_SHEAVES.align, 0);
    /// ```
    #[inline]
    pub const fn new() -> Self {
        Self {
            align: 0,
            sheaf_capacity: 0,
            flags: 0,
        }
    }
}

/// Flags of a cache, as `include/graceslab.h` documents them.
pub mod flags {
    /// Start each object on a cache line of its own where its size allows.
    pub const HWCACHE_ALIGN: usize = 1 << 0;
    /// Charge slab pages to the allocating task's memory cgroup.
    pub const ACCOUNT: usize = 1 << 2;
    /// Guard bytes around each object: writes beside it are caught.
    pub const RED_ZONE: usize = 1 << 4;
    /// A pattern in free objects: writes after the free are caught.
    pub const POISON: usize = 1 << 5;
    /// One state byte per object: double and misdirected frees are caught.
    pub const CONSISTENCY: usize = 1 << 6;
    /// Who allocated and freed each object is named in reports.
    pub const STORE_USER: usize = 1 << 7;

    /// All of them. C has more, which are not for safe code.
    pub(super) const ALL: usize =
        HWCACHE_ALIGN | ACCOUNT | RED_ZONE | POISON | CONSISTENCY | STORE_USER;
}

/// A destroyed cache had objects that are still in use: they stay valid, and are reported.
///
/// As an [`Error`] it is `EBUSY`.
///
/// # Examples
///
/// ```
/// use graceslab::{Args, Cache, Leaked};
/// use kernel::prelude::*;
///
/// let cache = Cache::<u64>::new(c"example_leaked", Args::default())?;
/// let number = cache.alloc(7, GFP_KERNEL)?;
/// assert_eq!(cache.destroy(), Err(Leaked));
/// // It is as good as ever; with it, the last of the cache goes.
/// assert_eq!(*number, 7);
/// # Ok::<(), Error>(())
/// ```
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
/// Dropping it destroys it, as [`Cache::destroy`] does: it waits, and objects that are still in
/// use are reported in the kernel's log.
///
/// # Forgetting a cache
///
/// A cache that is forgotten, by [`core::mem::forget`] or in a `static`, goes on without its
/// handle: its name stays taken and its pages allocated. When the module that holds the code of
/// `T`'s `Drop` goes, the objects that wait for it are dropped first. A module that has a box
/// then has the code as well, and drops the object by that; for what is freed while the first
/// one goes, see [`CBox::free_rcu`].
///
/// # In a `Drop` of its own
///
/// A `T` may have the cache that it is from, as by an [`Arc`](kernel::sync::Arc), and be the last
/// one to have it. Where such a `T` is dropped at once, its cache is destroyed with the object
/// still there, as with any object that outlives it. Where it is dropped after a grace period, the
/// cache cannot wait for that drop to end: there is a warning, and the cache stays for good.
///
/// # Threads
///
/// The handle can be sent and shared whatever `T` is: it has no `T`. A `T` goes from thread to
/// thread in a [`CBox`], which is [`Send`] if `T` is, or by [`CBox::free_rcu`], which asks for
/// that itself.
///
/// # Invariants
///
/// The pointer is to a live cache that this handle alone destroys. Its objects have room and
/// alignment for a `T`, and its destructor is that of exactly this `T`: the type is invariant in
/// `T`, for of two types of which one is a subtype of the other (`for<'a> fn(&'a u8)` and
/// `fn(&'static u8)`) each can have a `Drop` of its own.
///
/// # Examples
///
/// ```
/// use graceslab::{Args, Cache};
/// use kernel::prelude::*;
///
/// struct Session {
///     id: u64,
///     peer: KVec<u8>,
/// }
///
/// let sessions = Cache::<Session>::new(c"example_session", Args::default())?;
/// let session = sessions.alloc(
///     Session {
///         id: 7,
///         peer: KVec::new(),
///     },
///     GFP_KERNEL,
/// )?;
/// assert!(session.id == 7 && session.peer.is_empty());
/// // To its readers, the session is there until they are done. Its drop frees the vector.
/// session.free_rcu();
/// // No need to wait for that: the cache does.
/// sessions.destroy()?;
/// # Ok::<(), Error>(())
/// ```
pub struct Cache<T> {
    raw: NonNull<RawCache>,
    _objects: PhantomData<Exactly<T>>,
}

// SAFETY: The cache's functions may be called from any thread; the handle itself holds no `T`,
// and a `T` only changes threads through `CBox`, which asks for `T: Send`.
unsafe impl<T> Send for Cache<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Cache<T> {}

impl<T> Cache<T> {
    /// The handle of the cache at `raw`.
    ///
    /// # Safety
    ///
    /// `raw` comes from [`Cache::into_raw`] of a cache of exactly this type, and no more than one
    /// handle made of it is dropped.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: NonNull<RawCache>) -> Self {
        // INVARIANT: By the function's requirements.
        Self {
            raw,
            _objects: PhantomData,
        }
    }

    /// Gives the handle up.
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<RawCache> {
        ManuallyDrop::new(self).raw
    }

    /// Creates a cache called `name`.
    ///
    /// Objects of a zero-sized type take at least a byte each: every object has an address of its
    /// own.
    ///
    /// Context: Process context, may sleep.
    ///
    /// # Errors
    ///
    /// - `EEXIST` if a cache of that name exists;
    /// - `EINVAL` for a name that is empty or of 64 bytes or more, a `T` of more than 64 KiB, an
    ///   alignment that is no power of two or, be it `T`'s own, of more than a page, a sheaf of
    ///   more than 1020 objects, or a flag that is none of [`flags`];
    /// - `ENOMEM`.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::{Args, Cache};
    /// use kernel::prelude::*;
    ///
    /// let cache = Cache::<u64>::new(c"example_new", Args::new())?;
    /// let again = Cache::<u64>::new(c"example_new", Args::new());
    /// assert_eq!(again.err(), Some(EEXIST));
    /// drop(cache);
    /// // A name is free as soon as its cache is destroyed.
    /// Cache::<u64>::new(c"example_new", Args::new())?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn new(name: &CStr, args: Args) -> Result<Self> {
        let own = align_of::<T>() as u32;
        if args.align != 0 && !args.align.is_power_of_two() || args.flags & !flags::ALL != 0 {
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
        // INVARIANT: Just created, with the size, alignment and destructor of `T`; alignments are
        // powers of two, so that a multiple of the larger one is one of both.
        Ok(Self {
            raw: NonNull::new(raw).ok_or(EINVAL)?,
            _objects: PhantomData,
        })
    }

    #[inline]
    pub(crate) fn alloc_raw(&self, flags: Flags) -> CoreResult<NonNull<T>, AllocError> {
        // SAFETY: By the type's invariants.
        let obj = unsafe { gs_cache_alloc(self.raw.as_ptr(), gfp::raw(flags)) };
        NonNull::new(obj.cast()).ok_or(AllocError)
    }

    /// Allocates an object that holds `value`.
    ///
    /// A large `T` is better made in place, by [`Cache::alloc_pin_init`]: the stack is small.
    ///
    /// Context: as `flags` allow.
    ///
    /// # Errors
    ///
    /// [`AllocError`] without memory; `value` is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::{Args, Cache};
    /// use kernel::prelude::*;
    ///
    /// let pairs = Cache::<(u32, u32)>::new(c"example_alloc", Args::new())?;
    /// let pair = pairs.alloc((1, 2), GFP_KERNEL)?;
    /// assert_eq!(pair.0 + pair.1, 3);
    /// // Where nobody may sleep:
    /// let another = pairs.alloc((3, 4), GFP_NOWAIT);
    /// drop(another);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn alloc(&self, value: T, flags: Flags) -> CoreResult<CBox<T>, AllocError> {
        let obj = self.alloc_raw(flags)?;
        // SAFETY: Just allocated, from a cache of exactly `T`s.
        Ok(unsafe { CBox::fill(obj, value) })
    }

    /// Allocates an object that holds `value`, to be shared with RCU readers.
    ///
    /// Context: as `flags` allow.
    ///
    /// # Errors
    ///
    /// [`AllocError`] without memory; `value` is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::{Args, Cache, Rcu};
    /// use kernel::{prelude::*, sync::rcu};
    ///
    /// let ports = Cache::<u16>::new(c"example_alloc_rcu", Args::new())?;
    /// let port = Rcu::new(ports.alloc_rcu(80, GFP_KERNEL)?);
    /// assert_eq!(port.dereference(&rcu::read_lock()), Some(&80));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn alloc_rcu(&self, value: T, flags: Flags) -> CoreResult<RcuBox<T>, AllocError>
    where
        T: Send + Sync + 'static,
    {
        Ok(self.alloc(value, flags)?.into())
    }

    /// Allocates an object and initialises it in place.
    ///
    /// Context: as `flags` allow, and `init`.
    ///
    /// # Errors
    ///
    /// [`AllocError`] without memory, as an `E`, and whatever `init` returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::{Args, CBox, Cache};
    /// use kernel::{new_mutex, prelude::*, sync::Mutex};
    ///
    /// #[pin_data]
    /// struct Counter {
    ///     #[pin]
    ///     value: Mutex<u64>,
    /// }
    ///
    /// let counters = Cache::<Counter>::new(c"example_counter", Args::default())?;
    /// let counter = counters.alloc_pin_init(
    ///     try_pin_init!(Counter {
    ///         value <- new_mutex!(1),
    ///     }),
    ///     GFP_KERNEL,
    /// )?;
    /// *counter.value.lock() += 1;
    /// assert_eq!(*counter.value.lock(), 2);
    /// CBox::free_rcu_pinned(counter);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn alloc_pin_init<E>(
        &self,
        init: impl PinInit<T, E>,
        flags: Flags,
    ) -> CoreResult<Pin<CBox<T>>, E>
    where
        E: From<AllocError>,
    {
        let obj = self.alloc_raw(flags)?;
        // SAFETY: Just allocated, from a cache of exactly `T`s.
        unsafe { CBox::fill_with(obj, init) }
    }

    /// Waits until every object whose free was deferred before the call has been dropped and can
    /// be used again. No grace period where none is pending.
    ///
    /// Context: Process context, may sleep. Not from `T`'s own `Drop`.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::{Args, Cache};
    /// use kernel::prelude::*;
    ///
    /// let cache = Cache::<u64>::new(c"example_barrier", Args::new())?;
    /// cache.alloc(1, GFP_KERNEL)?.free_rcu();
    /// cache.barrier();
    /// assert_eq!(cache.stats().live, 0);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn barrier(&self) {
        // SAFETY: By the type's invariants.
        unsafe { gs_cache_barrier(self.raw.as_ptr()) }
    }

    /// Gives unused memory back; returns pages, but for those that the cache's own worker was just
    /// giving back, which are waited for.
    ///
    /// Context: Process context, may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::{Args, Cache};
    /// use kernel::prelude::*;
    ///
    /// let cache = Cache::<[u8; 2048]>::new(c"example_shrink", Args::new())?;
    /// drop(cache.alloc([0; 2048], GFP_KERNEL)?);
    /// assert!(cache.shrink() > 0);
    /// assert_eq!(cache.shrink(), 0);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn shrink(&self) -> usize {
        // SAFETY: By the type's invariants.
        unsafe { gs_cache_shrink(self.raw.as_ptr()) as usize }
    }

    /// Takes the cache's counters.
    ///
    /// Context: Process context, may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::{Args, Cache};
    /// use kernel::prelude::*;
    ///
    /// let cache = Cache::<u64>::new(c"example_stats", Args::new())?;
    /// let number = cache.alloc(1, GFP_KERNEL)?;
    /// let stats = cache.stats();
    /// assert_eq!((stats.live, stats.queued), (1, 0));
    /// assert!(stats.object_size >= size_of_val(&*number));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        // SAFETY: By the type's invariants; `stats` is valid for a write.
        unsafe { gs_cache_stats(self.raw.as_ptr(), &mut stats) };
        stats
    }

    /// Waits for the cache's own pending frees, and destroys it. Its name is free at once.
    ///
    /// Context: Process context, may sleep. Not from `T`'s own `Drop`.
    ///
    /// # Errors
    ///
    /// [`Leaked`] if objects are still in use: the cache is gone, but they stay valid, and their
    /// memory is given back when they are freed. They are reported in the kernel's log.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::{Args, Cache};
    /// use kernel::prelude::*;
    ///
    /// let cache = Cache::<u64>::new(c"example_destroy", Args::new())?;
    /// cache.alloc(1, GFP_KERNEL)?.free_rcu();
    /// // Nobody need have waited before.
    /// cache.destroy()?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn destroy(self) -> CoreResult<(), Leaked> {
        let this = ManuallyDrop::new(self);
        // SAFETY: By the type's invariants; the handle is not used again.
        match unsafe { gs_cache_destroy(this.raw.as_ptr()) } {
            0 => Ok(()),
            _ => Err(Leaked),
        }
    }
}

impl<T> Drop for Cache<T> {
    #[inline]
    fn drop(&mut self) {
        // A leak is reported there.
        // SAFETY: By the type's invariants; the handle is not used again.
        unsafe { gs_cache_destroy(self.raw.as_ptr()) };
    }
}
