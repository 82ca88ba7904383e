// SPDX-License-Identifier: GPL-2.0

//! An entry of the table, and the links that entries hang from.
//!
//! An entry does not change while readers can find it, its links aside: to overwrite a key is to
//! put a new entry in the old one's place. It carries two links, one for each [`Side`]; `table.rs`
//! says why.
//!
//! Entries count themselves, when they are made and when they are dropped, so that the module can
//! show at its exit that every one came back. A dropped entry is also marked as such: a reader that
//! ever sees the mark has been let down by the grace period.

use crate::table::Writer;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        rcu, //
    }, //
};

/// Entries made, and entries dropped, since the module was loaded.
pub(crate) static CREATED: Atomic<u64> = Atomic::new(0);
pub(crate) static DROPPED: Atomic<u64> = Atomic::new(0);

const ALIVE: u32 = 0x6b76_0a11;
const DEAD: u32 = 0x6b76_dead;
const DEAD_VALUE: u64 = 0xdead_0bad_dead_0bad;

/// Which of an entry's two links a bucket array uses.
#[derive(Clone, Copy)]
#[repr(usize)]
pub(crate) enum Side {
    Even,
    Odd,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd => Self::Even,
        }
    }
}

/// Evidence that entries found through a [`Link`] stay while it is borrowed.
///
/// # Safety
///
/// For as long as a value of the type is borrowed, no entry that could be reached through a link
/// when the borrow began is freed.
pub(crate) unsafe trait Holds {}

// SAFETY: Entries are unlinked first and freed by `free_rcu()`, which waits for the guard.
unsafe impl Holds for rcu::Guard {}

// SAFETY: Entries are freed by their writer only, who needs the `Writer` mutably to unlink one.
unsafe impl Holds for Writer {}

/// The head of a chain, or a link of it.
///
/// # Invariants
///
/// Null, or points to an [`Entry`] that is freed no earlier than a grace period after the last link
/// to it was overwritten.
#[repr(transparent)]
pub(crate) struct Link(Atomic<*mut Entry>);

impl Link {
    /// A link to nothing.
    pub(crate) const fn null() -> Self {
        // INVARIANT: Null.
        Self(Atomic::new(core::ptr::null_mut()))
    }

    /// Follows the link.
    pub(crate) fn get<'h, H: Holds>(&self, _: &'h H) -> Option<&'h Entry> {
        // ORDERING: Acquire pairs with the release in `Link::set`: the entry is seen whole.
        let entry = self.0.load(Acquire);
        // SAFETY: By the type invariants `entry` is null or an entry, which `H` holds on to.
        unsafe { entry.as_ref() }
    }

    /// The link's pointer, to move it to another link or to take its entry back.
    pub(crate) fn as_raw(&self) -> *mut Entry {
        self.0.load(Relaxed)
    }

    /// Makes the link point to `entry`.
    ///
    /// # Safety
    ///
    /// - `entry` is null, or came from `CBox::into_raw()` and will be taken back by the writer, to
    ///   be freed by `free_rcu()`, after the last link to it is gone.
    /// - The caller is the writer, or nobody else sees the link.
    pub(crate) unsafe fn set(&self, entry: *mut Entry) {
        // INVARIANT: By the requirements of this function.
        // ORDERING: Release pairs with the acquire in `Link::get`.
        self.0.store(entry, Release);
    }
}

/// What a reader gets to see of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) value: u64,
    pub(crate) generation: u64,
}

/// A key with its value.
pub(crate) struct Entry {
    links: [Link; 2],
    state: Atomic<u32>,
    hash: u32,
    value: Atomic<u64>,
    generation: Atomic<u64>,
    key: KVec<u8>,
}

impl Entry {
    /// Makes an entry, to be hung up by [`Table::set`](crate::table::Table::set).
    pub(crate) fn new(key: KVec<u8>, value: u64) -> Self {
        CREATED.add(1, Relaxed);
        Self {
            links: [Link::null(), Link::null()],
            state: Atomic::new(ALIVE),
            hash: hash(&key),
            value: Atomic::new(value),
            generation: Atomic::new(0),
            key,
        }
    }

    pub(crate) fn link(&self, side: Side) -> &Link {
        &self.links[side as usize]
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    pub(crate) fn hash(&self) -> u32 {
        self.hash
    }

    pub(crate) fn is(&self, hash: u32, key: &[u8]) -> bool {
        self.hash == hash && &*self.key == key
    }

    /// Numbers the entry, before it is hung up.
    pub(crate) fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Relaxed);
    }

    /// Reads value and generation; [`None`] for an entry that has been dropped.
    pub(crate) fn read(&self) -> Option<Found> {
        let found = Found {
            value: self.value.load(Relaxed),
            generation: self.generation.load(Relaxed),
        };
        (self.state.load(Relaxed) == ALIVE).then_some(found)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.state.store(DEAD, Relaxed);
        self.value.store(DEAD_VALUE, Relaxed);
        DROPPED.add(1, Relaxed);
    }
}

/// FNV-1a.
pub(crate) fn hash(key: &[u8]) -> u32 {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The low bits choose the bucket: mix the high ones in.
    (hash ^ (hash >> 32)) as u32
}
