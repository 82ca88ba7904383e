// SPDX-License-Identifier: GPL-2.0

//! [`static_cache!`](crate::static_cache): a cache that lives as long as its module.
//!
//! ```text
//!              init                        guard dropped
//!   nothing ─────────► there, for everybody ──────────► going ──────► nothing
//!     ▲                                    (who uses it is waited for)   │
//!     └──────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A static cannot be dropped, and anybody may use it at any time: before it was initialised, and
//! while it goes. So each use finds out whether the cache is there, and whoever takes it away
//! waits for those that found it:
//!
//! - an allocation that need not wait for memory is one in an RCU read-side section, which is
//!   waited for by a grace period; it writes to nothing that other CPUs write to;
//! - what may sleep counts itself among the *users*.
//!
//! | One side | Other side | What it keeps |
//! |---|---|---|
//! | `users` counted up (full), then the pointer | pointer taken away (full), then `users` | Who goes on to use the cache is waited for |
//! | `users` counted down (release) | `users` found 0 (acquire) | The use is over before the cache goes |
//! | pointer published (release) | pointer loaded (acquire) | The cache is seen whole |

use super::{
    cache::{
        Args,
        Cache,
        Leaked,
        RawCache, //
    },
    cbox::{
        CBox,
        Exactly, //
    },
    gfp,
    rcubox::RcuBox, //
};
use crate::cache::stats::Stats;
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{
        null_mut,
        NonNull, //
    },
    result::Result as CoreResult, //
};
use kernel::{
    alloc::{
        AllocError,
        Flags, //
    },
    bindings,
    ffi::c_void,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Release, //
        },
        rcu, //
    },
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

extern "C" {
    fn gs_cache_alloc(c: *mut RawCache, gfp: bindings::gfp_t) -> *mut c_void;
}

/// Defines caches that live as long as their module.
///
/// Each is a [`StaticCache`], given its name and, if need be, its [`Args`]. There is nothing in it
/// until [`StaticCache::init`] was called, as a rule in the module's own `init()`, whose guard the
/// module keeps.
///
/// # Examples
///
/// ```
/// use graceslab::{flags, Args, StaticGuard};
/// use kernel::prelude::*;
///
/// pub(crate) struct Session(u64);
/// struct Route([u64; 4]);
///
/// graceslab::static_cache! {
///     /// The sessions that are open.
///     pub(crate) static SESSIONS: Cache<Session> = c"example_sessions";
///
///     static ROUTES: Cache<Route> = c"example_routes", Args {
///         flags: flags::HWCACHE_ALIGN,
///         ..Args::new()
///     };
/// }
///
/// struct Example {
///     _sessions: StaticGuard<Session>,
///     _routes: StaticGuard<Route>,
/// }
///
/// impl kernel::Module for Example {
///     fn init(_module: &'static ThisModule) -> Result<Self> {
///         Ok(Self {
///             _sessions: SESSIONS.init()?,
///             _routes: ROUTES.init()?,
///         })
///     }
/// }
///
/// fn open(id: u64) -> Result {
///     let session = SESSIONS.alloc(Session(id), GFP_KERNEL)?;
///     assert_eq!(session.0, id);
///     session.free_rcu();
///     Ok(())
/// }
///
/// # // As the kernel does with a module.
/// # let module = Example {
/// #     _sessions: SESSIONS.init()?,
/// #     _routes: ROUTES.init()?,
/// # };
/// # assert_eq!(ROUTES.alloc(Route([1; 4]), GFP_KERNEL)?.0, [1; 4]);
/// # open(3)?;
/// # drop(module);
/// # assert!(open(4).is_err());
/// # Ok::<(), Error>(())
/// ```
#[macro_export]
macro_rules! static_cache {
    (@args) => {
        $crate::Args::new()
    };
    (@args $args:expr) => {
        $args
    };
    ($(
        $(#[$meta:meta])*
        $vis:vis static $cache:ident: Cache<$object:ty> = $name:expr $(, $args:expr)?;
    )*) => {$(
        $(#[$meta])*
        $vis static $cache: $crate::StaticCache<$object> =
            $crate::StaticCache::new($name, $crate::static_cache!(@args $($args)?));
    )*};
}

/// A cache in a `static`, there from [`StaticCache::init`] until the guard of that is dropped.
///
/// It is made by [`static_cache!`](crate::static_cache), and used as a [`Cache`] is. Before and
/// after that time there is nothing to allocate from: an allocation returns [`AllocError`]. No
/// use of it, at whatever time, does harm.
///
/// # Threads
///
/// As a [`Cache`] it can be shared whatever `T` is.
///
/// # Invariants
///
/// The pointer is null or from [`Cache::into_raw`] of a `Cache<T>`, which the guard of the `init`
/// that published it destroys, after it has taken the pointer away, a grace period later and once
/// `users` was 0.
///
/// # Examples
///
/// ```
/// use kernel::prelude::*;
///
/// graceslab::static_cache! {
///     static NUMBERS: Cache<u64> = c"example_numbers";
/// }
///
/// assert!(NUMBERS.alloc(1, GFP_KERNEL).is_err());
/// let guard = NUMBERS.init()?;
/// let number = NUMBERS.alloc(1, GFP_KERNEL)?;
/// number.free_rcu();
/// // This waits for what is pending.
/// drop(guard);
/// assert!(NUMBERS.alloc(1, GFP_KERNEL).is_err());
/// # Ok::<(), Error>(())
/// ```
pub struct StaticCache<T> {
    name: &'static CStr,
    args: Args,
    raw: Atomic<*mut RawCache>,
    users: Atomic<isize>,
    _objects: PhantomData<Exactly<T>>,
}

// SAFETY: As for `Cache`; the pointer is shared as its invariant says.
unsafe impl<T> Sync for StaticCache<T> {}
// SAFETY: As above.
unsafe impl<T> Send for StaticCache<T> {}

impl<T> StaticCache<T> {
    /// One that is not there yet.
    ///
    /// Context: Any context.
    #[inline]
    pub const fn new(name: &'static CStr, args: Args) -> Self {
        // INVARIANT: Null.
        Self {
            name,
            args,
            raw: Atomic::new(null_mut()),
            users: Atomic::new(0),
            _objects: PhantomData,
        }
    }

    /// Creates the cache, which is there until the guard is dropped. After that, it may be
    /// created again.
    ///
    /// A guard that is forgotten leaves a cache that was forgotten, as [`Cache`] documents it.
    ///
    /// Context: Process context, may sleep.
    ///
    /// # Errors
    ///
    /// Those of [`Cache::new`]: `EEXIST` if it is there already.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::prelude::*;
    ///
    /// graceslab::static_cache! {
    ///     static ONCE: Cache<u64> = c"example_once";
    /// }
    ///
    /// let guard = ONCE.init()?;
    /// assert_eq!(ONCE.init().err(), Some(EEXIST));
    /// drop(guard);
    /// assert!(ONCE.init().is_ok());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn init(&'static self) -> Result<StaticGuard<T>> {
        let raw = Cache::<T>::new(self.name, self.args)?.into_raw();
        // ORDERING: The release half pairs with the acquiring loads of those who use it.
        if self.raw.cmpxchg(null_mut(), raw.as_ptr(), Full).is_err() {
            // One that is there has the name, so that this is never come to.
            // SAFETY: From above; no other handle was made of it.
            drop(unsafe { Cache::<T>::from_raw(raw) });
            return Err(EEXIST);
        }
        // INVARIANT: Published just now.
        Ok(StaticGuard { cache: self })
    }

    /// Whether there is a cache.
    ///
    /// Context: Any context, NMI included.
    #[inline]
    pub fn is_init(&self) -> bool {
        !self.raw.load(Acquire).is_null()
    }

    /// Calls `f` with the cache if it is there. `f` may sleep.
    #[inline]
    fn with<R>(&self, f: impl FnOnce(&Cache<T>) -> R) -> Option<R> {
        // ORDERING: Pairs with the exchange in `StaticGuard::take`: either that sees this user,
        // or this does not see the cache.
        self.users.fetch_add(1, Full);
        let ret = NonNull::new(self.raw.load(Acquire)).map(|raw| {
            // SAFETY: By the type's invariants; it is not dropped here.
            f(&ManuallyDrop::new(unsafe { Cache::from_raw(raw) }))
        });
        // ORDERING: Pairs with the acquiring load in `StaticGuard::take`.
        self.users.fetch_add(-1, Release);
        ret
    }

    #[inline]
    fn alloc_raw(&self, flags: Flags) -> CoreResult<NonNull<T>, AllocError> {
        let asked = gfp::raw(flags);
        let at_once = gfp::at_once(asked);
        let guard = rcu::read_lock();
        let raw = self.raw.load(Acquire);
        if raw.is_null() {
            return Err(AllocError);
        }
        // SAFETY: By the type's invariants the cache is there for a grace period from now, which
        // waits for the guard; and these flags do not sleep.
        let obj = unsafe { gs_cache_alloc(raw, at_once) };
        drop(guard);
        match NonNull::new(obj.cast()) {
            Some(obj) => Ok(obj),
            None if at_once == asked => Err(AllocError),
            None => self
                .with(|cache| cache.alloc_raw(flags))
                .unwrap_or(Err(AllocError)),
        }
    }

    /// Allocates an object that holds `value`, as [`Cache::alloc`] does.
    ///
    /// Context: as `flags` allow.
    ///
    /// # Errors
    ///
    /// [`AllocError`] without memory, and where there is no cache; `value` is dropped.
    #[inline]
    pub fn alloc(&self, value: T, flags: Flags) -> CoreResult<CBox<T>, AllocError> {
        let obj = self.alloc_raw(flags)?;
        // SAFETY: Just allocated, from a cache of exactly `T`s.
        Ok(unsafe { CBox::fill(obj, value) })
    }

    /// Allocates an object to be shared with RCU readers, as [`Cache::alloc_rcu`] does.
    ///
    /// Context: as `flags` allow.
    ///
    /// # Errors
    ///
    /// [`AllocError`] without memory, and where there is no cache; `value` is dropped.
    #[inline]
    pub fn alloc_rcu(&self, value: T, flags: Flags) -> CoreResult<RcuBox<T>, AllocError>
    where
        T: Send + Sync + 'static,
    {
        Ok(self.alloc(value, flags)?.into())
    }

    /// Allocates an object and initialises it in place, as [`Cache::alloc_pin_init`] does.
    ///
    /// Context: as `flags` allow, and `init`.
    ///
    /// # Errors
    ///
    /// [`AllocError`] without memory, and where there is no cache, as an `E`; and whatever `init`
    /// returns.
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

    /// Waits for the cache's pending frees, as [`Cache::barrier`] does; for nothing where there is
    /// no cache.
    ///
    /// Context: Process context, may sleep. Not from `T`'s own `Drop`.
    #[inline]
    pub fn barrier(&self) {
        self.with(Cache::barrier);
    }

    /// Gives unused memory back, as [`Cache::shrink`] does; returns pages.
    ///
    /// Context: Process context, may sleep.
    #[inline]
    pub fn shrink(&self) -> usize {
        self.with(Cache::shrink).unwrap_or(0)
    }

    /// Takes the cache's counters; all are 0 where there is no cache.
    ///
    /// Context: Process context, may sleep.
    #[inline]
    pub fn stats(&self) -> Stats {
        self.with(Cache::stats).unwrap_or_default()
    }
}

/// Keeps the cache of a [`StaticCache`] there.
///
/// # Dropping
///
/// A drop takes the cache away, waits until nobody is using it, and destroys it as a drop of a
/// [`Cache`] does: pending frees are waited for, and objects that are still in use are reported in
/// the kernel's log.
///
/// Context: Process context, may sleep, for a grace period at least. Not from `T`'s own `Drop`.
///
/// # Invariants
///
/// The static has a cache, and this alone takes it away.
///
/// # Examples
///
/// ```
/// use graceslab::StaticGuard;
/// use kernel::prelude::*;
///
/// graceslab::static_cache! {
///     static NAMES: Cache<[u8; 32]> = c"example_names";
/// }
///
/// let names: StaticGuard<[u8; 32]> = NAMES.init()?;
/// let name = NAMES.alloc([0; 32], GFP_KERNEL)?;
/// drop(name);
/// assert!(names.destroy().is_ok());
/// # Ok::<(), Error>(())
/// ```
#[must_use = "the cache goes when this is dropped"]
pub struct StaticGuard<T: 'static> {
    cache: &'static StaticCache<T>,
}

impl<T> StaticGuard<T> {
    /// Takes the cache away from the static. Once.
    fn take(&mut self) -> Option<Cache<T>> {
        // ORDERING: Pairs with the counting of users in `with`.
        let raw = NonNull::new(self.cache.raw.xchg(null_mut(), Full))?;
        // SAFETY: Process context, by the documentation of those who call this.
        unsafe { bindings::synchronize_rcu() };
        // ORDERING: Pairs with the counting down in `with`.
        while self.cache.users.load(Acquire) != 0 {
            fsleep(Delta::from_millis(1));
        }
        // SAFETY: From `init`; there is nobody else who makes a handle of it any more.
        Some(unsafe { Cache::from_raw(raw) })
    }

    /// Destroys the cache, as [`Cache::destroy`] does.
    ///
    /// Context: Process context, may sleep, for a grace period at least. Not from `T`'s own
    /// `Drop`.
    ///
    /// # Errors
    ///
    /// [`Leaked`] if objects are still in use: the cache is gone, but they stay valid.
    pub fn destroy(self) -> CoreResult<(), Leaked> {
        // Not dropped as well: by then, what is there may be another guard's.
        ManuallyDrop::new(self)
            .take()
            .map_or(Ok(()), Cache::destroy)
    }
}

impl<T> Drop for StaticGuard<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}
