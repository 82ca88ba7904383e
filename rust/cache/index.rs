// SPDX-License-Identifier: GPL-2.0

//! Tables of caches, for those who have a name or an address: as many steps for one cache among
//! thousands as among ten.

use core::ptr::null_mut;

/// A power of two.
const BUCKETS: usize = 1024;

/// A table of `T`s, caches, that are chained by the `*mut T` at offset `OFF` of each.
///
/// # Invariants
///
/// Chains end in null and have caches that are there, each in the bucket of the hash that it was
/// entered with.
pub(super) struct Index<T, const OFF: usize>([*mut T; BUCKETS]);

impl<T, const OFF: usize> Index<T, OFF> {
    /// An empty table.
    pub(super) const fn new() -> Self {
        Self([null_mut(); BUCKETS])
    }

    fn link(cache: *mut T) -> *mut *mut T {
        // SAFETY: `OFF` is the offset of a `*mut T` within a `T`; only the address is taken.
        unsafe { cache.cast::<u8>().add(OFF).cast() }
    }

    /// Enters `cache`.
    ///
    /// # Safety
    ///
    /// `cache` is there until it is removed with the same hash, and is on no such table.
    pub(super) unsafe fn insert(&mut self, hash: usize, cache: *mut T) {
        let bucket = &mut self.0[hash % BUCKETS];
        // INVARIANT: The chain goes on behind the new cache.
        // SAFETY: By the function's requirement.
        unsafe { *Self::link(cache) = *bucket };
        *bucket = cache;
    }

    /// Takes `cache` out, if it is there.
    pub(super) fn remove(&mut self, hash: usize, cache: *mut T) {
        let mut at: *mut *mut T = &mut self.0[hash % BUCKETS];
        // SAFETY: By the table's invariants.
        unsafe {
            while !(*at).is_null() && *at != cache {
                at = Self::link(*at);
            }
            if !(*at).is_null() {
                *at = *Self::link(cache);
            }
        }
    }

    /// The newest of those with this hash that is `wanted`, or null.
    pub(super) fn find(&self, hash: usize, wanted: impl Fn(&T) -> bool) -> *mut T {
        let mut cache = self.0[hash % BUCKETS];
        // SAFETY: By the table's invariants.
        unsafe {
            while !cache.is_null() && !wanted(&*cache) {
                cache = *Self::link(cache);
            }
        }
        cache
    }
}

/// The hash of a name (FNV-1a).
pub(super) fn of_name(name: &[u8]) -> usize {
    let hash = name.iter().fold(0x811c_9dc5u32, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash as usize
}

/// The hash of an address.
pub(super) fn of_address<T>(cache: *const T) -> usize {
    (cache as usize as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize >> (usize::BITS / 2)
}
