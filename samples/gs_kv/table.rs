// SPDX-License-Identifier: GPL-2.0

//! An RCU hash table that is resized while it is read.
//!
//! # Readers
//!
//! A reader takes no lock and never retries: in one read-side section it loads the bucket array,
//! walks one chain and copies what it found. Every chain that it can see is whole, for as long as it
//! looks, and holds every entry that was in the table when it began and still is.
//!
//! # Writers
//!
//! Writers hold the mutex. An entry is published by one store, replaced by one store (the new one
//! has taken over the old one's successor by then), removed by one store. The old entry is freed
//! headless, by [`CBox::free_rcu`]: there is no `rcu_head` in it, and its destructor, which frees
//! the key, runs when no reader can have it any more.
//!
//! # Resizing
//!
//! A new array cannot be filled by moving entries along their one link: a reader of the old array
//! that stands on an entry while it moves would be led into another chain and miss what comes
//! after. So each entry has two links, an even and an odd [`Side`]. An array uses one of them, its
//! successor the other:
//!
//! ```text
//!   even array, old              odd array, new
//!   [0] -> A -> C -> E           [0] -> E
//!   [1] -> B -> D                [1] -> B
//!                                [2] -> C -> A
//!                                [3] -> D
//! ```
//!
//! The writer strings all entries along the new side, which no reader follows; publishes the new
//! array; and gives the old one to [`graceslab::kvfree_rcu`]. Readers of the old array go on along
//! the old side, which nobody touches from then on. They can still meet an entry there that is
//! removed after the new array was published: it is freed after a grace period that began later
//! than they did.
//!
//! The old side is touched again by the *next* resize. That has to wait until the last reader of
//! the old array is gone: [`Writer::previous`] says when. Nobody waits for it: a resize that comes
//! too early is left to a later write, which then makes the array as large as is needed by then.
//!
//! Locks: `writer` is the only one; nothing is taken inside it but what allocation takes.

use crate::{
    buckets::{
        Buckets,
        Current, //
    },
    entry::{
        self,
        Entry,
        Found,
        Side, //
    },
    grace::GracePeriod,
    uapi::{
        TableStats,
        MAX_ENTRIES, //
    },
};
use core::mem::ManuallyDrop;
use graceslab::{
    Args,
    CBox,
    Cache,
    Stats, //
};
use kernel::{
    new_mutex,
    prelude::*,
    processor::cpu_relax,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu,
        Mutex, //
    },
};

const MIN_BUCKETS: usize = 16;

/// Turns of a loop that make a unit of waiting or lingering: about half a microsecond.
const TURNS: u32 = 16;

/// What belongs to the writer.
pub(crate) struct Writer {
    entries: usize,
    generation: u64,
    resizes: u64,
    /// Over when the array before the current one has no reader left.
    previous: Option<GracePeriod>,
}

/// A map from byte strings to numbers.
#[pin_data(PinnedDrop)]
pub(crate) struct Table {
    // Taken out in `drop` and nowhere else.
    cache: ManuallyDrop<Cache<Entry>>,
    current: Current,
    early: Atomic<u64>,
    #[pin]
    writer: Mutex<Writer>,
}

impl Table {
    /// Makes an empty table with a cache of its own.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            cache: ManuallyDrop::new(Cache::new(c"gs_kv_entry", Args::default())?),
            current: Current::new(Buckets::new(MIN_BUCKETS, Side::Even)?),
            early: Atomic::new(0),
            writer <- new_mutex!(Writer {
                entries: 0,
                generation: 0,
                resizes: 0,
                previous: None,
            }),
        })
    }

    /// Looks a key up.
    ///
    /// The reader waits for a while before it looks into the bucket array that it has, which may be
    /// replaced meanwhile, and lingers for another while, in which it keeps looking at its entry,
    /// before it lets go of it. Both are in units of [`TURNS`].
    ///
    /// # Errors
    ///
    /// `EIO` if the entry was freed while it was looked at, which is a bug and is logged.
    pub(crate) fn get(&self, key: &[u8], wait: u16, linger: u16) -> Result<Option<Found>> {
        let hash = entry::hash(key);
        let guard = rcu::read_lock();
        let buckets = self.current.get(&guard);
        for _ in 0..u32::from(wait) * TURNS {
            cpu_relax();
        }
        let (_, entry) = buckets.find(hash, key, &guard);
        let Some(entry) = entry else {
            return Ok(None);
        };
        let first = entry.read();
        for _ in 0..=u32::from(linger) * TURNS {
            cpu_relax();
            if first.is_none() || entry.read() != first {
                drop(guard);
                if self.early.fetch_add(1, Relaxed) == 0 {
                    pr_err!("an entry was freed while a reader held it\n");
                }
                return Err(EIO);
            }
        }
        Ok(first)
    }

    /// Adds a key, or overwrites it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENOSPC` if the table is full.
    pub(crate) fn set(&self, key: KVec<u8>, value: u64) -> Result {
        let new = self.cache.alloc(Entry::new(key, value), GFP_KERNEL)?;

        let mut writer = self.writer.lock();
        let generation = writer.generation + 1;
        new.set_generation(generation);

        let buckets = self.current.get(&*writer);
        let side = buckets.side();
        let (link, old) = buckets.find(new.hash(), new.key(), &*writer);
        let old = match old {
            Some(old) => {
                // SAFETY: An entry of the table, and nobody sees the link of `new`.
                unsafe { new.link(side).set(old.link(side).as_raw()) };
                link.as_raw()
            }
            None if writer.entries >= MAX_ENTRIES => return Err(ENOSPC),
            None => core::ptr::null_mut(),
        };
        // SAFETY: We are the writer; `unlinked` takes the entry back when it has been replaced in
        // turn, `remove` when it is removed.
        unsafe { link.set(CBox::into_raw(new)) };
        writer.generation = generation;

        if old.is_null() {
            writer.entries += 1;
            self.resize(&mut writer);
        } else {
            // SAFETY: The one link to `old` that new readers find has just been overwritten.
            unsafe { unlinked(old) };
        }
        Ok(())
    }

    /// Removes a key. Returns whether there was one.
    pub(crate) fn remove(&self, key: &[u8]) -> bool {
        let mut writer = self.writer.lock();
        let buckets = self.current.get(&*writer);
        let (link, old) = buckets.find(entry::hash(key), key, &*writer);
        let Some(entry) = old else {
            return false;
        };
        let old = link.as_raw();
        // SAFETY: We are the writer, and the successor is an entry of the table or null.
        unsafe { link.set(entry.link(buckets.side()).as_raw()) };
        // SAFETY: The one link to `old` that new readers find has just been overwritten.
        unsafe { unlinked(old) };

        writer.entries -= 1;
        self.resize(&mut writer);
        true
    }

    /// Replaces the bucket array, whether it has to be or not, by one of another size.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if the array before the current one may have readers; `ENOMEM`.
    pub(crate) fn rebuild(&self) -> Result {
        let mut writer = self.writer.lock();
        // Three sizes in turn: no array is like the last but one, on the same side.
        let len = fitting(writer.entries) << (writer.resizes % 3);
        self.replace_buckets(&mut writer, len)
    }

    /// Replaces the bucket array if its size is wrong by now.
    fn resize(&self, writer: &mut Writer) {
        let len = self.current.get(writer).len();
        let full = writer.entries > len;
        let empty = writer.entries < len / 8 && len > MIN_BUCKETS;
        if full || empty {
            // If that fails, the old array stays: slower, but not wrong.
            let _ = self.replace_buckets(writer, fitting(writer.entries));
        }
    }

    fn replace_buckets(&self, writer: &mut Writer, len: usize) -> Result {
        if writer.previous.as_ref().is_some_and(|gp| !gp.is_over()) {
            return Err(EAGAIN);
        }
        let old = self.current.get(writer);
        let side = old.side().other();
        let new = Buckets::new(len, side)?;
        for head in old.heads() {
            let mut from = head;
            while let Some(entry) = from.get(writer) {
                let to = new.head(entry.hash());
                // SAFETY: Entries of the table. `previous` is over: no reader follows this side of
                // the entries, nor sees the new array.
                unsafe {
                    entry.link(side).set(to.as_raw());
                    to.set(from.as_raw());
                }
                from = entry.link(old.side());
            }
        }
        self.current.replace(writer, new);
        writer.previous = Some(GracePeriod::start());
        writer.resizes += 1;
        Ok(())
    }

    /// The cache's own counts.
    pub(crate) fn cache_stats(&self) -> Stats {
        self.cache.stats()
    }

    pub(crate) fn stats(&self) -> TableStats {
        // Dropped before created: never more of the former than of the latter.
        let dropped = entry::DROPPED.load(Relaxed);
        let cache = self.cache.stats();
        let writer = self.writer.lock();
        TableStats {
            entries: writer.entries as u64,
            buckets: self.current.get(&*writer).len() as u64,
            resizes: writer.resizes,
            created: entry::CREATED.load(Relaxed),
            dropped,
            queued: cache.queued,
            done: cache.done,
            early: self.early.load(Relaxed),
        }
    }
}

/// The number of buckets for this many entries.
fn fitting(entries: usize) -> usize {
    (entries + 1).next_power_of_two().max(MIN_BUCKETS)
}

/// Frees an entry that was in the table, once no reader can have it.
///
/// # Safety
///
/// `entry` was taken out of the table by the caller, and its last link is gone.
unsafe fn unlinked(entry: *mut Entry) {
    // SAFETY: All entries of the table are from `CBox::into_raw()`, and the caller owns this one.
    // Nothing but `free_rcu()` is done with the box, so that readers may go on with the entry.
    unsafe { CBox::from_raw(entry) }.free_rcu();
}

#[pinned_drop]
impl PinnedDrop for Table {
    /// Gives everything back.
    ///
    /// There are no readers left and each entry could simply be dropped. To queue them all leaves
    /// more for `destroy()` to wait for, which is what a sample is there to show.
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();

        let writer = this.writer.lock();
        let buckets = this.current.get(&*writer);
        for head in buckets.heads() {
            let mut next = head.as_raw();
            while !next.is_null() {
                let entry = next;
                // SAFETY: An entry of the table, which only we still see, and not yet freed.
                next = unsafe { &*entry }.link(buckets.side()).as_raw();
                // SAFETY: We have passed the link to it, and nobody else can come.
                unsafe { unlinked(entry) };
            }
        }
        drop(writer);

        // SAFETY: Not used again: this is `drop`.
        let cache = unsafe { ManuallyDrop::take(this.cache) };
        if cache.destroy().is_err() {
            pr_err!("entries were leaked\n");
        }

        // The bucket array goes last, with `current`. Its free is still pending when the module is
        // gone, which is fine: there is no code of ours to run for it.
    }
}
