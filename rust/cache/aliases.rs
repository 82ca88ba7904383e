// SPDX-License-Identifier: GPL-2.0

//! Several names for one cache: `GS_MERGE`.
//!
//! Three counts of a cache mean three things. *References* keep the core's memory: handles, and
//! work in flight (any context, atomic). *Objects* keep slabs (their state bits). *Handles*, here,
//! are how often the cache was created and not yet destroyed; the registry mutex protects them
//! and the names. Only a cache that is on the registry has handles: nothing else is created or
//! destroyed by name.
//!
//! All handles of a cache are the same pointer, so that nothing has to be looked up on the way to
//! an object. Its price: whoever destroys one does not say which name goes. As long as a cache
//! has more names than handles, one of its names can be taken again.

use super::core::{Core, FAMILY, NAME_LEN};
use crate::list::{Link, List};
use crate::sys;
use core::mem::offset_of;
use kernel::prelude::*;

/// A further name of a cache.
pub(crate) struct Alias {
    link: Link,
    name: [u8; NAME_LEN],
}

/// The names and handles of a cache; under the registry mutex.
pub(crate) struct Aliases {
    names: List<Alias, { offset_of!(Alias, link) }>,
    handles: usize,
}

/// The part of `name` before its NUL.
pub(crate) fn text(name: &[u8; NAME_LEN]) -> &[u8] {
    let len = name.iter().position(|&b| b == 0).unwrap_or(NAME_LEN);
    &name[..len]
}

/// Memory for a further name. Process context, may sleep.
pub(crate) fn new(name: [u8; NAME_LEN]) -> Result<*mut Alias> {
    // SAFETY: A plain allocation, initialised here.
    unsafe {
        let alias: *mut Alias =
            sys::gs_sys_kmalloc(size_of::<Alias>(), sys::gs_sys_gfp_kernel()).cast();
        if alias.is_null() {
            return Err(ENOMEM);
        }
        alias.write(Alias {
            link: Link::new(),
            name,
        });
        Ok(alias)
    }
}

/// Frees what [`new`] returned, if it was not used.
///
/// # Safety
///
/// `alias` is the caller's.
pub(crate) unsafe fn free(alias: *mut Alias) {
    // SAFETY: By the function's requirement.
    unsafe { sys::gs_sys_kfree(alias.cast()) }
}

impl Aliases {
    /// One handle, and no further name.
    pub(crate) const fn new() -> Self {
        Self {
            names: List::new(),
            handles: 1,
        }
    }

    fn find(&self, name: &[u8]) -> bool {
        let mut a = self.names.front();
        // SAFETY: Aliases on the list are alive.
        while !a.is_null() && unsafe { text(&(*a).name) } != name {
            // SAFETY: As above.
            a = unsafe { self.names.next(a) };
        }
        !a.is_null()
    }

    /// Whether every name is some handle's for sure.
    fn certain(&self) -> bool {
        self.handles > self.names.len()
    }

    /// Whether nobody else can have `name`, of a cache whose own name is `own`.
    pub(crate) fn takes(&self, own: &[u8], name: &[u8]) -> bool {
        self.certain() && (own == name || self.find(name))
    }

    /// One more handle, by the name of `alias`; gives the alias back if the name is there already.
    ///
    /// # Safety
    ///
    /// `alias` is the caller's to give, and nobody else can have its name.
    pub(crate) unsafe fn add(&mut self, own: &[u8], alias: *mut Alias) -> Option<*mut Alias> {
        self.handles += 1;
        // SAFETY: By the function's requirement.
        unsafe {
            let name = text(&(*alias).name);
            if own == name || self.find(name) {
                return Some(alias);
            }
            self.names.push_back(alias);
        }
        None
    }

    /// One handle less; whether that was not the last one.
    pub(crate) fn drop_one(&mut self) -> bool {
        self.handles -= 1;
        self.handles != 0
    }

    /// Calls `f` with each further name.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&[u8])) {
        let mut a = self.names.front();
        while !a.is_null() {
            // SAFETY: Aliases on the list are alive.
            unsafe {
                f(text(&(*a).name));
                a = self.names.next(a);
            }
        }
    }

    /// Frees all further names.
    pub(crate) fn clear(&mut self) {
        loop {
            let a = self.names.pop_front();
            if a.is_null() {
                return;
            }
            // SAFETY: It was the list's.
            unsafe { free(a) };
        }
    }
}

/// Whether a cache like `spec` can be had from `core`: both allow it, and their objects lie alike.
/// What was tuned since is nobody's wish.
pub(crate) fn alike(core: &Core, spec: &super::core::Spec) -> bool {
    core.flags() & !FAMILY == spec.flags
        && core.growth.is_like(spec.capacity, spec.grows)
        && core.geometry.stride == spec.geometry.stride
        && core.geometry.order == spec.geometry.order
        && core.geometry.objects == spec.geometry.objects
}
