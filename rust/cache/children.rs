// SPDX-License-Identifier: GPL-2.0

//! Child caches: one for each of a cache's owners (a memory cgroup, a network namespace, any
//! number), made when it is first asked for.
//!
//! A child is a cache of its own, with slabs, sheaves and frees of its own; its *root* is the one
//! that was created. Root and children are a *family*: their objects lie alike, any of them frees
//! any object of the family (which goes home to its own cache), and what is asked of the root
//! (barrier, counters, shrinking, destroying) is asked of all. Only the root has a name, handles
//! and a directory in debugfs.
//!
//! ```text
//!   asked for ──worker──► in the table ──slot given up──► given ──owner has gone──┐
//!     (the root serves)        │                                                  ▼
//!                              └───────owner has gone meanwhile────────► off the table
//!                                                                                 │ a grace period
//!                                                                                 ▼
//!      retired ◄──last object freed── closed: frees go by the bits, nothing is allocated
//! ```
//!
//! # Who may do what
//!
//! The *table* finds a child by its key, without a lock, under RCU. Only the *worker*, the root's
//! own work of which one runs at a time, and `destroy`, which waits until it does not run, change
//! it. Everybody else leaves word: a key in one of a few slots, or a mark in the child. That takes
//! neither memory nor a lock, so it can be done from any context; where all slots are taken, the
//! root serves until somebody asks again.
//!
//! # References
//!
//! Each work on its way has a reference to the root: from the word that was left until the work
//! that comes of it is done, and from the callback that waits for the grace period until the work
//! that follows. A child has one until its memory is freed. So the root's memory is there for all
//! of them, whenever the root is destroyed: they find that it is, and leave it alone.

use super::core::{Core, Spec, DYING, FAMILY, NAME_LEN, ZOMBIE};
use super::destroy;
use super::registry;
use super::service;
use crate::list::{Link, List, Stack};
use crate::percpu::NoPreempt;
use crate::rcu::barrier;
use crate::rcu::cookie::Cookie;
use crate::rcu::request::{self, Ask};
use crate::sys::{self, CoreSys};
use crate::word::{full_barrier, Word};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::ptr::null_mut;
use kernel::sync::atomic::{Acquire, Atomic, Full, Relaxed, Release};

/// Keys that a root can be asked for at a time.
const SLOTS: usize = 4;

/// [`Wanted::state`]: free.
const EMPTY: u64 = 0;
/// Somebody writes the key.
const FILLING: u64 = 1;
/// The worker is to make a child.
const WANTED: u64 = 2;
/// It does.
const MAKING: u64 = 3;
/// It does, but its owner has gone.
const CANCELLED: u64 = 4;

/// [`Family::owner`]: the child is being made, and nobody is given it yet.
const COMING: u32 = 0;
/// There.
const HERE: u32 = 1;
/// Gone; the worker is to take the child off the table.
const GONE: u32 = 2;
/// Off the table since [`Family::left`].
const LEAVING: u32 = 3;
/// Closed.
const CLOSED: u32 = 4;

/// The bits of [`Wanted::state`] that say which; the others count its changes.
const STATE: u64 = 7;

/// A key that was asked for.
struct Wanted {
    state: Atomic<u64>,
    key: Atomic<u64>,
}

impl Wanted {
    /// A look at the slot, for [`Self::change`]; pairs with the changes, so that the key that is
    /// read next is that of this state, or the change fails.
    fn look(&self) -> (u64, u64) {
        let seen = self.state.load(Acquire);
        (seen, seen & STATE)
    }

    /// Moves on from what was seen, if nobody else has.
    fn change(&self, seen: u64, to: u64) -> bool {
        let next = (seen & !STATE).wrapping_add(STATE + 1) | to;
        // Pairs with the acquire in `look`.
        self.state.cmpxchg(seen, next, Full).is_ok()
    }

    /// Whether a child for `key` was asked for here.
    fn has(&self, key: u64) -> bool {
        let state = self.look().1;
        (state == WANTED || state == MAKING) && self.key.load(Relaxed) == key
    }

    /// Its owner has gone.
    fn cancel(&self, key: u64) {
        loop {
            let (seen, state) = self.look();
            // Pairs with the release in `want`: if the slot is another key's by now, what was made
            // for this one is found on the table.
            if self.key.load(Acquire) != key {
                return;
            }
            let to = match state {
                WANTED => EMPTY,
                MAKING => CANCELLED,
                _ => return,
            };
            if self.change(seen, to) {
                return;
            }
        }
    }
}

/// What a cache has to do with its family.
pub(crate) struct Family {
    /// A child's root, which it has a reference to; null for a root.
    root: *mut Core,
    /// A child's key.
    key: u64,
    /// Whether a child's owner is there.
    owner: Atomic<u32>,
    /// When the child was taken off the table; the worker's.
    left: UnsafeCell<Cookie>,
    /// A child's place on `members` of its root.
    pub(super) member: Member,
    /// A root's children; under the registry mutex.
    pub(super) members: UnsafeCell<Members>,
    /// Keys that a root was asked for.
    wanted: [Wanted; SLOTS],
    /// The root is on [`SUMMONED`], or on its way there.
    summoned: Atomic<bool>,
    next: *mut Core,
    /// The root's callback is on its way.
    bell_armed: Atomic<bool>,
    /// Not 0 while the worker is at work.
    working: Word,
}

/// A child's place on the list of its root, and the child.
pub(super) struct Member {
    link: Link,
    pub(super) core: *mut Core,
}

/// The children of a root.
pub(super) type Members = List<Member, { offset_of!(Member, link) }>;

type Summoned = Stack<Core, { offset_of!(Core, family) + offset_of!(Family, next) }>;

/// Roots whose worker is wanted; each has a reference for it.
static SUMMONED: Summoned = Stack::new();

impl Family {
    /// That of a root without children, or of a child of `root`, which has a reference for it.
    pub(super) fn new(root: *mut Core, key: u64) -> Self {
        Self {
            root,
            key,
            owner: Atomic::new(COMING),
            left: UnsafeCell::new(Cookie::none()),
            member: Member {
                link: Link::new(),
                core: null_mut(),
            },
            members: UnsafeCell::new(List::new()),
            wanted: core::array::from_fn(|_| Wanted {
                state: Atomic::new(EMPTY),
                key: Atomic::new(0),
            }),
            summoned: Atomic::new(false),
            next: null_mut(),
            bell_armed: Atomic::new(false),
            working: Word::new(0),
        }
    }

    /// Whether a child is on its root's list; under the registry mutex.
    pub(super) fn is_member(&self) -> bool {
        self.member.link.is_linked()
    }

    /// A child's key.
    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    /// Whether a child is given to those who ask for it.
    fn is_here(&self) -> bool {
        self.owner.load(Relaxed) == HERE
    }

    /// Whether a child's owner has gone.
    pub(crate) fn is_leaving(&self) -> bool {
        self.owner.load(Relaxed) > HERE
    }

    /// Takes a child's reference from it, or null: nobody can reach the child any more.
    pub(super) fn take_root(&mut self) -> *mut Core {
        core::mem::replace(&mut self.root, null_mut())
    }
}

impl Core {
    /// The cache that was created: this one, or the one that it is a child of.
    pub(crate) fn root(&self) -> &Core {
        // SAFETY: A child has a reference to its root.
        unsafe { self.family.root.as_ref() }.unwrap_or(self)
    }

    /// Whether it is not a child.
    pub(crate) fn is_root(&self) -> bool {
        self.family.root.is_null()
    }

    /// Whether `other` frees this one's objects, and the other way round.
    pub(super) fn is_kin(&self, other: &Core) -> bool {
        core::ptr::eq(self.root(), other.root())
    }

    fn here(&self) -> *mut Core {
        (&raw const *self).cast_mut()
    }

    /// The child for `key` on the table, or null. Good for as long as preemption is off.
    fn find_child(&self, key: u64, _reader: &NoPreempt) -> *mut Core {
        // SAFETY: A root's table is there as long as the root, and may be read in any context.
        unsafe { sys::gs_sys_child_find(Core::sys(self.here()), key).cast() }
    }
}

/// The child of `parent` for `key`; its root, and word to the worker, as long as there is none.
///
/// Context: Any context, NMI included.
pub(crate) fn child(parent: &Core, key: u64) -> *mut Core {
    let root = parent.root();
    let reader = NoPreempt::new();
    let found = root.find_child(key, &reader);
    // SAFETY: With preemption off, a child that was on the table is there.
    if !found.is_null() && unsafe { (*found).family.is_here() } {
        return found;
    }
    want(root, key, &reader);
    root.here()
}

/// Asks for a child, unless that was done.
fn want(root: &Core, key: u64, reader: &NoPreempt) {
    let wanted = &root.family.wanted;
    if !root.is_live() || wanted.iter().any(|w| w.has(key)) {
        return;
    }
    for slot in wanted {
        let (seen, state) = slot.look();
        if state == EMPTY && slot.change(seen, FILLING) {
            // Pairs with the acquire in `cancel`.
            slot.key.store(key, Release);
            slot.change(slot.look().0, WANTED);
            return summon(root, reader);
        }
    }
}

/// The owner of `key` goes: its child, if there is one or will be, is closed after a grace period.
///
/// Context: Any context, NMI included. Nobody asks for that child any more.
pub(crate) fn gone(parent: &Core, key: u64) {
    let root = parent.root();
    let reader = NoPreempt::new();
    // The slots first: a child leaves its slot after it has come to the table.
    for slot in &root.family.wanted {
        slot.cancel(key);
    }
    let found = root.find_child(key, &reader);
    // SAFETY: With preemption off, a child that was on the table is there.
    if !found.is_null() && unsafe { leave(&*found) } {
        summon(root, &reader);
    }
}

/// Marks a child for the worker; false if it is.
fn leave(child: &Core) -> bool {
    let owner = &child.family.owner;
    // In the order in which they come, so that none is missed. Pairs with itself and with `arrive`.
    owner.cmpxchg(COMING, GONE, Full).is_ok() || owner.cmpxchg(HERE, GONE, Full).is_ok()
}

/// The slot of a child in the table was given up before its owner has gone: from here on the child
/// is given to those who ask, unless the owner has gone since.
fn arrive(child: &Core) {
    // Pairs with `leave`: if that was first, this fails. The key's next owner asks after `gone`,
    // which has cancelled the slot, and then this is not reached, or has marked the child.
    let _ = child.family.owner.cmpxchg(COMING, HERE, Full);
}

/// Has the worker of `root` come. Any context.
fn summon(root: &Core, _reader: &NoPreempt) {
    // Pairs with the exchange in `send_workers`.
    if root.family.summoned.xchg(true, Full) || !hold(root) {
        return;
    }
    // SAFETY: The flag makes this the only push, and the reference keeps the root.
    if unsafe { SUMMONED.push(root.here()) } {
        // SAFETY: irq_work may be queued in any context.
        unsafe { sys::gs_sys_kick() };
    }
}

/// Takes a reference for a work on its way; false if the root is being retired.
fn hold(root: &Core) -> bool {
    root.get()
}

/// Gives it back: the work is done.
///
/// # Safety
///
/// The caller has the reference, and does not use the root any more.
unsafe fn let_go(root: *mut Core) {
    // SAFETY: By the function's requirement.
    unsafe { Core::put(root) }
}

/// Sends the workers of roots that want them. Hard interrupt.
pub(crate) fn send_workers() {
    let mut taken = SUMMONED.take();
    loop {
        // SAFETY: Each root taken comes with a reference, which goes to its work.
        unsafe {
            let root = Summoned::pop_taken(&mut taken);
            if root.is_null() {
                return;
            }
            // Word that is left from here on summons again. Pairs with the exchange in `summon`.
            (*root).family.summoned.xchg(false, Full);
            queue(root);
        }
    }
}

/// Queues the worker of `root` with a reference that the caller gives it.
///
/// # Safety
///
/// The caller has the reference.
unsafe fn queue(root: *mut Core) {
    // SAFETY: The reference keeps the root; a work that is queued already has its own.
    unsafe {
        if !sys::gs_sys_family_queue(Core::sys(root)) {
            let_go(root);
        }
    }
}

/// The worker of a root: its reference was taken for it. Process context.
///
/// # Safety
///
/// `sys` is part of a core, and the caller has that reference.
#[no_mangle]
unsafe extern "C" fn gs_rs_family_work(sys: *mut CoreSys) {
    let root = Core::of_sys(sys);
    // SAFETY: The work's reference keeps the core.
    unsafe {
        let family = &(*root).family;
        family.working.swap(1);
        // Pairs with the barrier in `stop`: this sees that the root is being destroyed, or that
        // waits.
        full_barrier();
        if (*root).is_live() {
            work(&*root);
        }
        family.working.swap(0);
        sys::gs_sys_wake(family.working.as_ptr().cast());
        let_go(root);
    }
}

/// A grace period has passed for the children that leave; the reference passes to the worker. An
/// RCU callback.
///
/// # Safety
///
/// `sys` is part of a core, and the caller has that reference.
#[no_mangle]
unsafe extern "C" fn gs_rs_family_bell(sys: *mut CoreSys) {
    let root = Core::of_sys(sys);
    // SAFETY: The bell's reference keeps the core.
    unsafe {
        // Before the worker looks for children that leave: pairs with the exchange in `work`.
        (*root).family.bell_armed.store(false, Relaxed);
        full_barrier();
        queue(root);
    }
}

/// Does what word was left for.
fn work(root: &Core) {
    let mut unripe = false;
    registry::members(root, |child| {
        let f = &child.family;
        if f.owner.load(Relaxed) == GONE {
            // Nobody finds it from here on; who has found it is a reader.
            drop_from_table(root, child);
            // SAFETY: The cookie is the worker's.
            unsafe { *f.left.get() = Cookie::now() };
            f.owner.store(LEAVING, Relaxed);
        }
        if f.owner.load(Relaxed) == LEAVING {
            // SAFETY: As above.
            if unsafe { (*f.left.get()).poll() } {
                f.owner.store(CLOSED, Relaxed);
                close(child);
            } else {
                unripe = true;
            }
        }
    });
    for slot in &root.family.wanted {
        let (seen, state) = slot.look();
        if state == WANTED && slot.change(seen, MAKING) {
            let made = make(root, slot.key.load(Relaxed));
            // SAFETY: Only this worker closes it.
            let made = unsafe { made.as_ref() };
            let (seen, state) = slot.look();
            if state != CANCELLED && slot.change(seen, EMPTY) {
                if let Some(child) = made {
                    arrive(child);
                }
            } else {
                // Its owner has gone meanwhile, and came too early to find it on the table.
                slot.change(slot.look().0, EMPTY);
                if let Some(child) = made {
                    let reader = NoPreempt::new();
                    leave(child);
                    summon(root, &reader);
                }
            }
        }
    }
    // Pairs with the barrier in `gs_rs_family_bell`.
    if unripe && !root.family.bell_armed.xchg(true, Full) && hold(root) {
        // SAFETY: The reference keeps the root until the work that follows is done.
        unsafe { sys::gs_sys_family_bell(Core::sys(root.here())) };
    }
}

/// Makes the child for `key`, unless there is one; null if there is none then either. One that is
/// there is given, or its owner has gone: it was made for a slot that this worker is through with.
fn make(root: &Core, key: u64) -> *mut Core {
    let there = root.find_child(key, &NoPreempt::new());
    // The root has a reference of the caller's, so that there is one to be had.
    if !there.is_null() || !root.get() {
        return there;
    }
    let (capacity, grows) = root.growth.again();
    let spec = Spec {
        flags: root.flags() | FAMILY,
        capacity,
        grows,
        geometry: root.geometry,
        ctor: root.ctor,
        dtor: None,
        name: name(root, key),
    };
    let Ok(child) = Core::new(spec, Family::new(root.here(), key)) else {
        // SAFETY: Taken above, and not the last one.
        unsafe { Core::put(root.here()) };
        return null_mut();
    };
    // SAFETY: The child is nobody else's until it is on the registry, and there until this worker
    // closes it.
    unsafe {
        // From here on objects are looked at when they are freed.
        root.join_family();
        registry::enter_child(root, child);
        (*child).fit_fast();
        // After the child was entered: the destructor's module may be going, and whoever forgets
        // the root's comes to the child later, or this sees that it was forgotten.
        (*child).inherit_dtor(root);
        if sys::gs_sys_child_set(Core::sys(root.here()), key, child.cast()) != 0 {
            (*child).family.owner.store(CLOSED, Relaxed);
            close(&*child);
            return null_mut();
        }
    }
    child
}

/// What reports call the child for `key`: `root:key`, or as much of it as there is room for.
fn name(root: &Core, key: u64) -> [u8; NAME_LEN] {
    let mut digits = [0; 20];
    let (mut left, mut at) = (key, digits.len());
    while at == digits.len() || left != 0 {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    let mut name = [0; NAME_LEN];
    let all = Iterator::chain(root.name().iter(), b":");
    for (to, &from) in name[..NAME_LEN - 1]
        .iter_mut()
        .zip(Iterator::chain(all, &digits[at..]))
    {
        *to = from;
    }
    name
}

fn drop_from_table(root: &Core, child: &Core) {
    // SAFETY: Only the worker, or whoever waited for it, changes the table.
    unsafe {
        sys::gs_sys_child_drop(
            Core::sys(root.here()),
            child.family.key,
            child.here().cast(),
        )
    }
}

/// Closes a child that nobody can allocate from any more. Process context, may sleep.
fn close(child: &Core) {
    // Its own work may bury it as soon as it is a zombie.
    let referenced = child.get();
    debug_assert!(referenced);
    registry::set_state(child, DYING);
    request::users(child, Ask::Detach(child));
    destroy::drain(child);
    registry::set_state(child, ZOMBIE);
    // SAFETY: A reference was taken above.
    unsafe {
        if !destroy::bury(child.here()) {
            // Objects are in use; the last one that is freed has it buried.
            let _reader = NoPreempt::new();
            service::attend(child);
        }
        Core::put(child.here());
    }
}

/// `root` is being destroyed: returns when its worker leaves it alone, and nobody finds a child.
///
/// Context: Process context, may sleep. The root is not LIVE.
pub(super) fn stop(root: &Core) {
    // Pairs with the barrier in `gs_rs_family_work`.
    full_barrier();
    // SAFETY: The word is a counter whose changes wake its waiters.
    unsafe { sys::gs_sys_wait_zero(root.family.working.as_ptr().cast()) };
    registry::members(root, |child| drop_from_table(root, child));
}

/// Calls `f` with the root of `core` and each of its children.
///
/// Context: Process context, may sleep.
pub(crate) fn for_each(core: &Core, mut f: impl FnMut(&Core)) {
    let root = core.root();
    f(root);
    if root.has(FAMILY) {
        registry::members(root, f);
    }
}

/// Waits for what is pending of the whole family.
///
/// Context: Process context, may sleep. Not from a destructor of the family.
pub(crate) fn wait(core: &Core) {
    if core.root().has(FAMILY) {
        barrier::several(|f| for_each(core, f));
    } else {
        barrier::cache(core);
    }
}
