// SPDX-License-Identifier: GPL-2.0

//! What the suites share: objects that count their drops, waiting, threads.

use core::{
    ffi::{
        c_int,
        c_uint, //
    },
    ptr::NonNull, //
};
use graceslab::flags;
use kernel::{
    bindings,
    prelude::*,
    processor::cpu_relax,
    sync::atomic::{
        Atomic,
        Full,
        Relaxed, //
    },
    task::might_sleep,
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    },
    workqueue::Queue, //
};

extern "C" {
    fn gs_cache_zombies() -> c_uint;
    fn gs_inject(point: c_uint, nr: c_int) -> c_int;
}

/// Longer than a batch stays open, with a grace period on top: what is not held up has come back.
pub(crate) const LONG: Delta = Delta::from_millis(60);

/// Nothing that a test waits for takes this long.
const LIMIT: Delta = Delta::from_millis(10_000);

/// The tests of a kind are made without checks, with the one that costs least, and with all.
pub(crate) const FLAGS: [usize; 3] = [
    0,
    flags::CONSISTENCY,
    flags::CONSISTENCY | flags::RED_ZONE | flags::POISON | flags::STORE_USER,
];

/// Destroyed caches that still have objects out.
pub(crate) fn zombies() -> u32 {
    // SAFETY: No requirements.
    unsafe { gs_cache_zombies() }
}

/// Attempts to get memory that can be made to fail: `enum gs_inject_point` of the header.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Attempt {
    Page = 1,
    Slab = 2,
    CachedPage = 3,
    Reserve = 4,
    Wrapper = 5,
}

/// Makes attempts fail until dropped.
pub(crate) struct Failing<'a>(&'a [Attempt]);

impl<'a> Failing<'a> {
    pub(crate) fn new(attempts: &'a [Attempt]) -> Self {
        Self::some(attempts, c_int::MAX)
    }

    /// Only the next `nr` of each.
    pub(crate) fn some(attempts: &'a [Attempt], nr: i32) -> Self {
        let this = Self(attempts);
        this.arm(nr);
        this
    }

    fn arm(&self, nr: c_int) {
        for &attempt in self.0 {
            // SAFETY: No requirements.
            unsafe { gs_inject(attempt as c_uint, nr) };
        }
    }
}

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        self.arm(0);
    }
}

/// Bytes of memory that is looked for when it has not come back.
pub(crate) const BLOCK: usize = 1 << 20;

/// Bytes of memory that can be had.
fn available() -> usize {
    // SAFETY: No requirements.
    unsafe { bindings::si_mem_available() as usize * kernel::page::PAGE_SIZE }
}

/// Has `give` give a [`BLOCK`] to be freed, many times; whether their memory came back. What else
/// the kernel does with memory is less than half of it.
pub(crate) fn comes_back(mut give: impl FnMut() -> Result) -> Result<bool> {
    const ROUNDS: usize = 96;

    graceslab::barrier();
    let before = available();
    for i in 0..ROUNDS {
        give()?;
        if i % 16 == 15 {
            graceslab::barrier();
        }
    }
    Ok(available() + ROUNDS * BLOCK / 2 > before)
}

/// Keeps the CPU for a while, as may be done in a read-side section.
pub(crate) fn spin(time: Delta) {
    let begin = Instant::<Monotonic>::now();
    while begin.elapsed() < time {
        cpu_relax();
    }
}

/// Sleeps until `done`; false if that takes too long.
pub(crate) fn wait_until(done: impl Fn() -> bool) -> bool {
    let begin = Instant::<Monotonic>::now();
    while !done() {
        if begin.elapsed() > LIMIT {
            return false;
        }
        fsleep(Delta::from_millis(1));
    }
    true
}

/// Drops, counted object by object.
pub(crate) struct Tally<const N: usize> {
    drops: [Atomic<u32>; N],
    total: Atomic<u32>,
    /// Drops of objects with a key that is none.
    bad: Atomic<u32>,
}

/// Drops of what was no live object, in whose tally nobody can believe.
static NO_OBJECTS: Atomic<u32> = Atomic::new(0);

impl<const N: usize> Tally<N> {
    pub(crate) const fn new() -> Self {
        Self {
            drops: [const { Atomic::new(0) }; N],
            total: Atomic::new(0),
            bad: Atomic::new(0),
        }
    }

    /// Starts afresh: a test may run more than once.
    pub(crate) fn reset(&self) {
        for n in &self.drops {
            n.store(0, Relaxed);
        }
        self.total.store(0, Relaxed);
        self.bad.store(0, Relaxed);
        NO_OBJECTS.store(0, Relaxed);
    }

    pub(crate) fn total(&self) -> u32 {
        self.total.load(Relaxed)
    }

    /// Whether of the first `n` objects each was dropped once, and no other.
    pub(crate) fn once_each(&self, n: usize) -> bool {
        self.bad.load(Relaxed) == 0
            && NO_OBJECTS.load(Relaxed) == 0
            && self
                .drops
                .iter()
                .enumerate()
                .all(|(key, drops)| drops.load(Relaxed) == u32::from(key < n))
    }

    pub(crate) fn dropped(&self, key: usize) -> u32 {
        self.drops[key].load(Relaxed)
    }
}

const ALIVE: u32 = 0x6a11_0ea7;
const DEAD: u32 = 0xdead_0b0e;

/// An object that counts its drop, and sleeps in it where it is among the first.
pub(crate) struct Probe<const N: usize> {
    tally: &'static Tally<N>,
    pub(crate) key: usize,
    state: Atomic<u32>,
}

impl<const N: usize> Probe<N> {
    pub(crate) fn new(tally: &'static Tally<N>, key: usize) -> Self {
        Self {
            tally,
            key,
            state: Atomic::new(ALIVE),
        }
    }

    /// Whether this has not been dropped.
    pub(crate) fn is_alive(&self) -> bool {
        self.state.load(Relaxed) == ALIVE
    }
}

impl<const N: usize> Drop for Probe<N> {
    fn drop(&mut self) {
        if self.state.xchg(DEAD, Full) != ALIVE {
            NO_OBJECTS.fetch_add(1, Relaxed);
            pr_err!("dropped something that is no live object\n");
            return;
        }
        // Wherever this is not process context, the kernel says so.
        might_sleep();
        match self.tally.drops.get(self.key) {
            Some(drops) => drops.fetch_add(1, Relaxed),
            None => self.tally.bad.fetch_add(1, Relaxed),
        };
        if self.tally.total.fetch_add(1, Full) < 3 {
            fsleep(Delta::from_millis(1));
        }
    }
}

/// Threads of a test. A drop waits until all have ended.
pub(crate) struct Threads(NonNull<bindings::workqueue_struct>);

impl Threads {
    /// Room for so many at a time.
    pub(crate) fn new(threads: i32) -> Result<Self> {
        // SAFETY: The format is a string without conversions.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"gs_kunit_rust".as_char_ptr(),
                bindings::wq_flags_WQ_UNBOUND,
                threads,
            )
        };
        NonNull::new(queue).map(Self).ok_or(ENOMEM)
    }

    /// Starts a thread that runs `f`, which has to end by itself.
    pub(crate) fn run(&self, f: impl FnOnce() + Send + 'static) -> Result {
        // SAFETY: The queue is there as long as `self`.
        let queue = unsafe { Queue::from_raw(self.0.as_ptr()) };
        Ok(queue.try_spawn(GFP_KERNEL, f)?)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // SAFETY: Our own queue; this runs what is queued, and nobody queues more.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) }
    }
}
