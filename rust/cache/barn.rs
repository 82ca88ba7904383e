// SPDX-License-Identifier: GPL-2.0

//! A cache's share of a NUMA node: its slabs, and the barn with full and empty sheaves. What is
//! in the full ones is of the node: see [`super::home`].

use super::bits::{self, Claim};
use super::core::Core;
use super::growth;
use super::home;
use super::order::Order;
use super::slab::Slab;
use crate::hint::Hint;
use crate::list::{List, Stack};
use crate::lock::{Class, RawGuard, RawLock};
use crate::percpu::Section;
use crate::rcu::queue::{self, Batch};
use crate::sys;
use core::mem::offset_of;
use core::ptr::null_mut;

/// Slabs that are looked at in one hold of the node lock.
const VISITS: usize = 128;

/// All-free slabs that a node keeps for the next allocations.
const KEEP_EMPTY: usize = 4;

type Partial = List<Slab, { offset_of!(Slab, partial) }>;
type All = List<Slab, { offset_of!(Slab, all) }>;
/// Slabs on their way to a partial list.
type Incoming = Stack<Slab, { offset_of!(Slab, incoming_next) }>;

/// What the node lock protects.
pub(crate) struct Inner {
    /// Slabs that have free objects, or had: their tokens are held by the list.
    partial: Partial,
    /// Every slab of the node.
    pub(crate) all: All,
    /// Objects of those.
    objects: usize,
    full: *mut Batch,
    nr_full: Hint<u32>,
    empty: *mut Batch,
    nr_empty: Hint<u32>,
    /// Objects in the full sheaves.
    pub(crate) in_full: u64,
    /// In which order objects are handed out.
    order: Order,
}

/// See the module.
pub(crate) struct Node {
    inner: RawLock<Inner>,
    /// Slabs that a freer made available again; any context pushes, lock holders take.
    incoming: Incoming,
}

impl Node {
    /// Makes a node of the memory at `this`.
    ///
    /// # Safety
    ///
    /// `this` must be the caller's and stay where it is.
    pub(crate) unsafe fn init(this: *mut Self) {
        // SAFETY: By the function's requirements.
        unsafe {
            this.write(Node {
                inner: RawLock::new(Inner {
                    partial: List::new(),
                    all: List::new(),
                    objects: 0,
                    full: null_mut(),
                    nr_full: Hint::new(0),
                    empty: null_mut(),
                    nr_empty: Hint::new(0),
                    in_full: 0,
                    order: Order::new(),
                }),
                incoming: Stack::new(),
            });
            (*this).inner.init(Class::Node);
        }
    }

    /// Waits for the node lock.
    pub(crate) fn lock<'a>(&'a self, section: &'a Section) -> RawGuard<'a, Inner> {
        self.inner.lock(section)
    }

    /// Takes the node lock, spinning only if the caller may.
    pub(crate) fn lock_if<'a>(
        &'a self,
        section: &'a Section,
        spin: bool,
    ) -> Option<RawGuard<'a, Inner>> {
        self.inner.lock_if(section, spin)
    }

    /// Makes a slab available again, whose token the caller has just taken.
    ///
    /// Context: Any context, NMI included, with preemption off.
    pub(crate) fn incoming(&self, slab: &Slab) {
        // SAFETY: The token's holder alone links the slab, and a listed slab is not released.
        unsafe { self.incoming.push((&raw const *slab).cast_mut()) };
    }

    /// Takes all incoming slabs for a caller that has no lock; to be given back one by one.
    pub(crate) fn take_incoming(&self) -> *mut Slab {
        self.incoming.take()
    }

    /// Splits the first slab off those that [`Self::take_incoming`] returned, or null.
    ///
    /// # Safety
    ///
    /// `taken` must come from there.
    pub(crate) unsafe fn next_incoming(taken: &mut *mut Slab) -> *mut Slab {
        // SAFETY: By the function's requirement.
        unsafe { Incoming::pop_taken(taken) }
    }

    /// Adds a slab that nobody has seen yet.
    ///
    /// # Safety
    ///
    /// `slab` must come from [`Slab::new`].
    pub(crate) unsafe fn add(&self, inner: &mut Inner, slab: *mut Slab) {
        // SAFETY: By the function's requirements; its token is the list's from here on.
        unsafe {
            inner.enter(slab);
            inner.partial.push_front(slab);
        }
    }

    /// Moves incoming slabs to the partial list.
    pub(crate) fn splice(&self, inner: &mut Inner) {
        let mut taken = self.incoming.take();
        loop {
            // SAFETY: The slabs taken carry their tokens with them.
            unsafe {
                let slab = Incoming::pop_taken(&mut taken);
                if slab.is_null() {
                    return;
                }
                if !(*slab).all.is_linked() {
                    inner.enter(slab);
                }
                inner.partial.push_back(slab);
            }
        }
    }

    /// Allocates up to `limit` objects from the node's slabs; `f` gets each.
    pub(crate) fn take(
        &self,
        inner: &mut Inner,
        limit: usize,
        mut f: impl FnMut(*mut u8),
    ) -> usize {
        if !self.incoming.is_empty() {
            self.splice(inner);
        }
        let mut taken = 0;
        while taken < limit {
            let slab = inner.partial.front();
            if slab.is_null() {
                if self.incoming.is_empty() {
                    break;
                }
                self.splice(inner);
                continue;
            }
            // SAFETY: A slab on the list is alive.
            let s = unsafe { &*slab };
            // The stride is the same for all of them, which the compiler cannot know.
            let (first, stride) = s.layout();
            let each = |i| f(first.wrapping_add(i * stride));
            taken += if Order::RANDOM {
                bits::take_random(s.free(), limit - taken, |n| inner.order.below(n), each)
            } else {
                bits::take(s.free(), limit - taken, each)
            };
            if !bits::any(s.free()) {
                // SAFETY: It is on this list, and the list holds its token.
                unsafe { inner.partial.remove(slab) };
                if !s.tokens.release(bits::LISTED, s.free()) {
                    // A free came in between, and the token is ours again.
                    // SAFETY: As above.
                    unsafe { inner.partial.push_back(slab) };
                }
            }
        }
        taken
    }

    /// Fills an empty sheaf with objects of the node's slabs; their number.
    ///
    /// # Safety
    ///
    /// `sheaf` must be the caller's, and empty.
    pub(crate) unsafe fn fill(&self, inner: &mut Inner, sheaf: *mut Batch) -> usize {
        // SAFETY: By the function's requirement.
        unsafe {
            // As many as it has room for, so that there is no need to ask.
            let mut to = Batch::end(sheaf);
            let n = self.take(inner, (*sheaf).cap() as usize, |obj| {
                *to = obj;
                to = to.add(1);
            });
            Batch::grew(sheaf, n as u32);
            if Order::RANDOM {
                Batch::shuffle(sheaf, |n| inner.order.below(n));
            }
            n
        }
    }

    /// Looks at up to `visits` slabs, unlinks those whose objects are all free, except for as
    /// many as are to be kept, and returns them linked by `incoming_next`, all their tokens held.
    /// `busy` is set if one was on its way to the list. What was looked at and stays is last on
    /// the list afterwards: the next look goes on where this one ended.
    fn unlink_free(
        &self,
        inner: &mut Inner,
        visits: usize,
        keep: &mut usize,
        busy: &mut bool,
    ) -> *mut Slab {
        self.splice(inner);
        let mut out = null_mut();
        for _ in 0..visits.min(inner.all.len()) {
            let slab = inner.all.front();
            // SAFETY: A slab on the list is alive; its token is checked before it is unlinked.
            unsafe {
                inner.all.remove(slab);
                inner.all.push_back(slab);
                let s = &*slab;
                if s.is_free() {
                    if s.tokens.held(bits::PENDING) {
                        *busy = true;
                    } else if *keep != 0 {
                        *keep -= 1;
                    } else {
                        let mine = s.partial.is_linked()
                            || match s.tokens.claim_free(s.free(), s.objects()) {
                                Claim::Free => true,
                                Claim::Some => {
                                    inner.partial.push_back(slab);
                                    false
                                }
                                // An interrupt that met an open section has it.
                                Claim::Used => false,
                                Claim::Coming => {
                                    *busy = true;
                                    false
                                }
                            };
                        if mine && s.tokens.acquire(bits::PENDING) {
                            if s.partial.is_linked() {
                                inner.partial.remove(slab);
                            }
                            inner.all.remove(slab);
                            inner.objects -= s.objects();
                            (*slab).incoming_next = out;
                            out = slab;
                        } else if mine {
                            // The service has taken it back for what kmemleak is owed.
                            *busy = true;
                            if !s.partial.is_linked() {
                                inner.partial.push_back(slab);
                            }
                        }
                    }
                }
            }
        }
        out
    }

    /// Objects in full sheaves, and slabs whose objects are all free, as far as they are seen by a
    /// quick look.
    fn spare(&self, inner: &Inner) -> (usize, usize) {
        let (mut slabs, mut slab) = (0, inner.partial.front());
        for _ in 0..VISITS.min(inner.partial.len()) {
            // SAFETY: A slab on the list is alive.
            unsafe {
                slabs += usize::from((*slab).is_free());
                slab = inner.partial.next(slab);
            }
        }
        (inner.in_full as usize, slabs)
    }

    /// Takes a full sheaf from the barn in exchange for an empty one (or the null batch).
    pub(crate) fn exchange_empty(&self, inner: &mut Inner, empty: *mut Batch) -> *mut Batch {
        let full = inner.full;
        if full.is_null() {
            return null_mut();
        }
        // SAFETY: The barn's sheaves are the lock's; `empty` is the caller's to give.
        unsafe {
            inner.full = (*full).next;
            inner.nr_full.set(inner.nr_full.get() - 1);
            inner.in_full -= u64::from((*full).len());
            if empty != queue::null_batch() {
                self.keep_empty(inner, empty);
            }
        }
        full
    }

    /// Takes an empty sheaf of the cache's capacity from the barn, or null; others are retired.
    pub(crate) fn take_empty(&self, core: &Core, inner: &mut Inner) -> *mut Batch {
        loop {
            let empty = self.pop_empty(inner);
            // SAFETY: The sheaf was just taken, and lock holders have preemption off.
            unsafe {
                if empty.is_null() || !core.is_stale(empty) {
                    return empty;
                }
                core.retire_sheaf(empty);
            }
        }
    }

    fn pop_empty(&self, inner: &mut Inner) -> *mut Batch {
        let empty = inner.empty;
        if !empty.is_null() {
            // SAFETY: The barn's sheaves are the lock's.
            inner.empty = unsafe { (*empty).next };
            inner.nr_empty.set(inner.nr_empty.get() - 1);
        }
        empty
    }

    /// Whether the barn seems to take another full sheaf; a look without the lock.
    fn may_want_full(&self) -> bool {
        // SAFETY: The lock's data is valid.
        unsafe { Hint::look(&raw const (*self.inner.peek()).nr_full) < growth::BARN }
    }

    /// Whether the barn seems to take another empty sheaf; a look without the lock.
    pub(crate) fn may_want_empty(&self) -> bool {
        // SAFETY: The lock's data is valid.
        unsafe { Hint::look(&raw const (*self.inner.peek()).nr_empty) < growth::BARN }
    }

    /// Whether the barn seems to have an empty sheaf; a look without the lock.
    pub(crate) fn may_have_empty(&self) -> bool {
        // SAFETY: The lock's data is valid.
        unsafe { Hint::look(&raw const (*self.inner.peek()).nr_empty) != 0 }
    }

    /// Whether the barn takes another full sheaf.
    pub(crate) fn wants_full(&self, core: &Core, inner: &Inner) -> bool {
        inner.nr_full.get() < 2
            || inner.nr_full.get() < growth::BARN && inner.in_full < core.growth.barn()
    }

    /// Puts a sheaf with objects in the barn.
    ///
    /// # Safety
    ///
    /// `sheaf` must be the caller's to give.
    pub(crate) unsafe fn put_full(&self, inner: &mut Inner, sheaf: *mut Batch) {
        // SAFETY: By the function's requirement.
        unsafe {
            (*sheaf).next = inner.full;
            inner.in_full += u64::from((*sheaf).len());
        }
        inner.full = sheaf;
        inner.nr_full.set(inner.nr_full.get() + 1);
    }

    /// Puts an empty sheaf in the barn; false, and still the caller's, when it has enough.
    ///
    /// # Safety
    ///
    /// `sheaf` must be the caller's to give, empty, and not the null batch.
    pub(crate) unsafe fn put_empty(&self, inner: &mut Inner, sheaf: *mut Batch) -> bool {
        if inner.nr_empty.get() >= growth::BARN {
            return false;
        }
        // SAFETY: By the function's requirement.
        unsafe { self.keep_empty(inner, sheaf) };
        true
    }

    /// Puts an empty sheaf in the barn, which may then have more than it wants.
    ///
    /// # Safety
    ///
    /// As for [`Self::put_empty`].
    pub(crate) unsafe fn keep_empty(&self, inner: &mut Inner, sheaf: *mut Batch) {
        // SAFETY: By the function's requirement.
        unsafe { (*sheaf).next = inner.empty };
        inner.empty = sheaf;
        inner.nr_empty.set(inner.nr_empty.get() + 1);
    }

    /// Takes an empty sheaf that the barn has over its limit, or null: full ones may come from
    /// CPUs of other nodes, which are given none in exchange.
    pub(crate) fn take_surplus(&self, core: &Core, inner: &mut Inner) -> *mut Batch {
        if core.spans_nodes() && inner.nr_empty.get() > growth::BARN {
            return self.pop_empty(inner);
        }
        null_mut()
    }

    /// Takes all full sheaves from the barn, linked by `next`.
    pub(crate) fn take_all_full(&self, inner: &mut Inner) -> *mut Batch {
        inner.nr_full.set(0);
        inner.in_full = 0;
        core::mem::replace(&mut inner.full, null_mut())
    }

    /// Frees the empty sheaves. Process context.
    fn free_empties(&self) {
        let empty = {
            let (section, _) = Section::open_task();
            let mut inner = self.inner.lock(&section);
            inner.take_all_empty()
        };
        // SAFETY: The list is the caller's.
        unsafe { free_list(empty) };
    }

    /// Takes every slab of a node that nobody can reach any more, linked by `incoming_next`.
    ///
    /// # Safety
    ///
    /// Nobody else has access to the node.
    pub(crate) unsafe fn take_all_slabs(&self) -> *mut Slab {
        // SAFETY: By the function's requirement; slabs on the list are alive.
        unsafe {
            let inner = self.inner.exclusive();
            self.splice(inner);
            let mut out = null_mut();
            loop {
                let slab = inner.all.pop_front();
                if slab.is_null() {
                    return out;
                }
                (*slab).incoming_next = out;
                out = slab;
            }
        }
    }

    /// Frees the sheaves of a node that nobody can reach any more. Any context that may free.
    ///
    /// # Safety
    ///
    /// Nobody else has access to the node; its cache's objects have all come home.
    pub(crate) unsafe fn free_sheaves(&self) {
        // SAFETY: By the function's requirement.
        unsafe { free_list(self.inner.exclusive().take_all_empty()) };
    }
}

impl Inner {
    /// Enters a slab of the node.
    ///
    /// # Safety
    ///
    /// `slab` is alive, and on no list of all slabs.
    unsafe fn enter(&mut self, slab: *mut Slab) {
        // SAFETY: By the function's requirement.
        unsafe {
            self.all.push_back(slab);
            self.objects += (*slab).objects();
        }
    }

    fn take_all_empty(&mut self) -> *mut Batch {
        self.nr_empty.set(0);
        core::mem::replace(&mut self.empty, null_mut())
    }
}

/// # Safety
///
/// The sheaves, linked by `next`, are the caller's to free.
unsafe fn free_list(mut sheaf: *mut Batch) {
    while !sheaf.is_null() {
        // SAFETY: By the function's requirement.
        unsafe {
            let next = (*sheaf).next;
            queue::free_batch(sheaf);
            sheaf = next;
        }
    }
}

/// Puts a sheaf of free objects, of any number, where `core` keeps them: the barn, or the slabs.
/// Process context.
///
/// # Safety
///
/// `sheaf` is the caller's to give; its objects are free.
pub(crate) unsafe fn put_objects(core: &Core, sheaf: *mut Batch, spin: bool) {
    // SAFETY: By the function's requirements; what the barn does not take is still the caller's.
    unsafe {
        let node = home::sort(core, sheaf);
        let full_enough = (*sheaf).len() >= core.growth.worth() && !core.is_stale(sheaf);
        let mut empty = sheaf;
        if !full_enough || !offer_full(core, node, &mut empty, spin) {
            super::free::flush(core, sheaf);
        }
        if !empty.is_null() {
            recycle(core, empty);
        }
    }
}

/// Puts a sheaf in the barn of `node`; false, and still the caller's, when it has enough. What it
/// has too much of takes the sheaf's place, or null.
///
/// # Safety
///
/// `sheaf` is the caller's to give; its objects are free.
unsafe fn offer_full(core: &Core, node: &Node, sheaf: &mut *mut Batch, spin: bool) -> bool {
    if !core.is_live() || !node.may_want_full() {
        return false;
    }
    let Some(section) = Section::open() else {
        return false;
    };
    let Some(mut inner) = node.lock_if(&section, spin) else {
        return false;
    };
    // Looked at again under the section: a cache that is being destroyed waits for those that saw
    // it live before it empties its barns.
    if !core.is_live_in(&section) || !node.wants_full(core, &inner) {
        return false;
    }
    // SAFETY: By the function's requirement.
    unsafe { node.put_full(&mut inner, *sheaf) };
    *sheaf = node.take_surplus(core, &mut inner);
    true
}

/// Keeps an empty sheaf's memory for the next one, or frees it. Process context.
///
/// # Safety
///
/// `sheaf` is the caller's to give, and empty.
pub(crate) unsafe fn recycle(core: &Core, sheaf: *mut Batch) {
    // SAFETY: By the function's requirements.
    unsafe {
        if sheaf == queue::null_batch() {
            return;
        }
        if core.is_live() && core.local_node().may_want_empty() {
            if let Some(section) = Section::open() {
                let node = core.local_node();
                let mut inner = node.lock(&section);
                // Under the section: whoever sets the capacity has every CPU through one before
                // the barns. One that grew may leave some here, for `take_empty` to retire.
                if !core.is_stale(sheaf) && node.put_empty(&mut inner, sheaf) {
                    return;
                }
            }
        }
        queue::free_batch(sheaf);
    }
}

/// Gives the pages of all-free slabs back, but for a few per node unless `all`; pages given.
///
/// Context: Process context.
pub(crate) fn trim(core: &Core, all: bool, busy: &mut bool) -> usize {
    let mut slabs = 0;
    for node in core.nodes() {
        let mut keep = if all { 0 } else { KEEP_EMPTY };
        let mut left = {
            let (section, _) = Section::open_task();
            let inner = node.lock(&section);
            // What is kept must not be met again; where nothing is, what came meanwhile may be.
            inner.all.len() + if all { VISITS } else { 0 }
        };
        while left != 0 {
            let mut out = {
                let (section, _) = Section::open_task();
                let mut inner = node.lock(&section);
                node.unlink_free(&mut inner, left.min(VISITS), &mut keep, busy)
            };
            let mut found = 0;
            while !out.is_null() {
                // SAFETY: The slabs were unlinked, all their objects are free, and their tokens
                // are held.
                unsafe {
                    let next = (*out).incoming_next;
                    Slab::release(out);
                    out = next;
                }
                found += 1;
            }
            slabs += found;
            left = left.saturating_sub(VISITS);
            // Nobody asked for all: go on as long as that is worth it.
            if !all && found < VISITS / 8 {
                break;
            }
            // SAFETY: Process context.
            unsafe { sys::gs_sys_cond_resched() };
        }
    }
    slabs << core.geometry.order
}

/// Objects in the barns of `core`, and slabs whose objects are all free, as far as they are seen by
/// a quick look.
///
/// Context: Process context.
pub(crate) fn spare(core: &Core) -> (usize, usize) {
    core.nodes().iter().fold((0, 0), |sum, node| {
        let (section, _) = Section::open_task();
        let (objects, slabs) = node.spare(&node.lock(&section));
        (sum.0 + objects, sum.1 + slabs)
    })
}

/// Slabs of `node`, and objects in its barn's full sheaves.
///
/// Context: Process context.
pub(crate) fn figures(node: &Node) -> (usize, u64) {
    let (section, _) = Section::open_task();
    let mut inner = node.lock(&section);
    // As in `leak::for_each_slab`.
    node.splice(&mut inner);
    (inner.all.len(), inner.in_full)
}

/// Slabs of `core`, their objects, and how many of those are free, as far as nobody is just taking
/// or freeing one. Slabs that are all in use, most of them where there are many, are not visited
/// under the lock.
///
/// Context: Process context.
pub(crate) fn count(core: &Core) -> (usize, usize, usize) {
    core.nodes().iter().fold((0, 0, 0), |sum, node| {
        let (section, _) = Section::open_task();
        let mut inner = node.lock(&section);
        // As in `leak::for_each_slab`; what has free objects is on the other list then.
        node.splice(&mut inner);
        let (mut free, mut slab) = (0, inner.partial.front());
        while !slab.is_null() {
            // SAFETY: A slab on the list is alive.
            unsafe {
                free += bits::count((*slab).free());
                slab = inner.partial.next(slab);
            }
        }
        (sum.0 + inner.all.len(), sum.1 + inner.objects, sum.2 + free)
    })
}

/// Gives the objects in the barns of `core` back to their slabs, and the sheaves' memory back.
///
/// Context: Process context.
pub(crate) fn flush(core: &Core) {
    // As in `service::flush_detached`.
    let claim = core.domain.claim();
    for node in core.nodes() {
        let mut full = {
            let (section, _) = Section::open_task();
            let mut inner = node.lock(&section);
            node.take_all_full(&mut inner)
        };
        while !full.is_null() {
            // SAFETY: The list is the caller's, and its objects are free.
            unsafe {
                let next = (*full).next;
                super::free::flush(core, full);
                queue::free_batch(full);
                full = next;
            }
        }
        node.free_empties();
    }
    core.domain.unclaim(claim);
}
