// SPDX-License-Identifier: GPL-2.0

//! All caches: names, and finding a cache by its address.
//!
//! The registry mutex protects the list, the names and the states. It is held for short looks
//! only, never across a grace period.

use super::aliases;
use super::children::{Family, Member};
use super::core::{Core, Spec, LIVE, MERGE, ZOMBIE};
use super::index::{self, Index};
use super::service;
use crate::debugfs::CacheFiles;
use crate::list::List;
use crate::lock::GlobalMutex;
use crate::percpu::NoPreempt;
use crate::sys::{self, Misuse};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::ptr::null_mut;
use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Relaxed};

struct Registry {
    /// All of them, oldest first.
    caches: List<Core, { offset_of!(Core, link) }>,
    /// By name: those that were created, not children.
    names: Index<Core, { offset_of!(Core, name_next) }>,
    /// By address.
    addresses: Index<Core, { offset_of!(Core, address_next) }>,
    /// Those that others may share.
    shared: List<Core, { offset_of!(Core, shared_link) }>,
    next_id: u64,
}

struct Locked(UnsafeCell<Registry>);

// SAFETY: Only reached under the registry mutex.
unsafe impl Sync for Locked {}

static REGISTRY: Locked = Locked(UnsafeCell::new(Registry {
    caches: List::new(),
    names: Index::new(),
    addresses: Index::new(),
    shared: List::new(),
    next_id: 1,
}));

/// Destroyed caches with objects still out.
pub(crate) static ZOMBIES: Atomic<u32> = Atomic::new(0);

fn with<R>(f: impl FnOnce(&mut Registry) -> R) -> R {
    let _lock = GlobalMutex::lock(sys::REGISTRY);
    // SAFETY: The registry mutex is held.
    f(unsafe { &mut *REGISTRY.0.get() })
}

impl Registry {
    /// Enters a cache as the newest one.
    ///
    /// # Safety
    ///
    /// `core` is there until it is [removed](Self::remove), and nobody else's yet.
    unsafe fn enter(&mut self, core: *mut Core) {
        // SAFETY: By the function's requirement.
        unsafe {
            (*core).id = self.next_id;
            self.next_id += 1;
            self.caches.push_back(core);
            self.addresses.insert(index::of_address(core), core);
            if (*core).is_root() {
                self.names.insert(index::of_name((*core).name()), core);
                if (*core).has(MERGE) {
                    self.shared.push_back(core);
                }
            }
        }
    }

    /// Takes a cache out.
    ///
    /// # Safety
    ///
    /// `core` is on the list.
    unsafe fn remove(&mut self, core: *mut Core) {
        // SAFETY: By the function's requirement.
        unsafe {
            self.caches.remove(core);
            self.addresses.remove(index::of_address(core), core);
            self.names.remove(index::of_name((*core).name()), core);
            if (*core).shared_link.is_linked() {
                self.shared.remove(core);
            }
        }
    }

    /// The cache at `addr`, if there is one and it is `wanted`; or null.
    fn at(&self, addr: *const Core, wanted: impl Fn(&Core) -> bool) -> *mut Core {
        let here = |c: &Core| core::ptr::eq(c, addr) && wanted(c);
        self.addresses.find(index::of_address(addr), here)
    }

    /// The oldest cache that others may share and that is `wanted`, or null.
    fn sharing(&self, wanted: impl Fn(&Core) -> bool) -> *mut Core {
        let mut core = self.shared.front();
        // SAFETY: A core on the list has the handle's reference.
        while !core.is_null() && unsafe { !wanted(&*core) } {
            // SAFETY: As above.
            core = unsafe { self.shared.next(core) };
        }
        core
    }

    /// Whether a live cache surely has this name.
    fn taken(&self, name: &[u8]) -> bool {
        // SAFETY: Names and handles are the mutex's, which is held.
        let takes = |c: &Core| c.is_live() && unsafe { (*c.aliases.get()).takes(c.name(), name) };
        // Only those that are shared have further names.
        !self.names.find(index::of_name(name), takes).is_null() || !self.sharing(takes).is_null()
    }

    /// Whether a cache that has no owner any more has still to give up this name.
    fn leaving(&self, name: &[u8]) -> bool {
        let leaves = |c: &Core| c.is_live() && c.claimed.get() && c.name() == name;
        !self.names.find(index::of_name(name), leaves).is_null()
    }
}

/// What came of looking for a cache to share.
enum Shared {
    With(*mut Core),
    NameTaken,
    Nobody,
}

/// Enters a further name for a live cache that is like `spec`.
fn share(spec: &Spec) -> Result<*mut Core> {
    let mut unused = Some(aliases::new(spec.name)?);
    let shared = with(|r| {
        if r.taken(aliases::text(&spec.name)) {
            return Shared::NameTaken;
        }
        let core = r.sharing(|c| c.is_live() && !c.claimed.get() && aliases::alike(c, spec));
        if core.is_null() {
            return Shared::Nobody;
        }
        // SAFETY: Names and handles are the mutex's, and the alias is ours.
        unsafe {
            unused = unused
                .take()
                .and_then(|a| (*(*core).aliases.get()).add((*core).name(), a));
        }
        Shared::With(core)
    });
    if let Some(alias) = unused {
        // SAFETY: It was not used.
        unsafe { aliases::free(alias) };
    }
    match shared {
        Shared::With(core) => Ok(core),
        Shared::NameTaken => Err(EEXIST),
        Shared::Nobody => Ok(null_mut()),
    }
}

/// Calls `f` with each name of `core` but its first.
///
/// Context: Process context, may sleep.
pub(crate) fn for_each_alias(core: &Core, f: impl FnMut(&[u8])) {
    // SAFETY: Names and handles are the mutex's.
    with(|_| unsafe { (*core.aliases.get()).for_each(f) });
}

/// What came of entering a cache under its name.
enum Entered {
    /// It is on the registry.
    Now,
    /// A live cache has that name.
    NameTaken,
    /// One that is going has it still.
    NotYet,
}

/// Makes a cache and enters it under its name, or enters the name for one that can be shared;
/// EEXIST if a live one has that name.
pub(crate) fn create(spec: Spec) -> Result<*mut Core> {
    if spec.flags & MERGE != 0 {
        let core = share(&spec)?;
        if !core.is_null() {
            return Ok(core);
        }
    }
    let core = Core::new(spec, Family::new(null_mut(), 0))?;
    // SAFETY: `core` was just made, and nobody else has it before it is entered.
    let try_enter = |r: &mut Registry| unsafe {
        if r.leaving((*core).name()) {
            return Entered::NotYet;
        }
        if r.taken((*core).name()) {
            return Entered::NameTaken;
        }
        r.enter(core);
        Entered::Now
    };
    // SAFETY: Process context. Nobody else has the cache yet, or it was refused and has no slabs.
    // Whoever destroys it has its files go first.
    unsafe {
        loop {
            match with(try_enter) {
                Entered::Now => break,
                Entered::NameTaken => {
                    Core::put_handle(core);
                    return Err(EEXIST);
                }
                // A cache of that name is on its way out: its directory goes first.
                Entered::NotYet => sys::gs_sys_sleep_tick(),
            }
        }
        (*core).fit_fast();
        *(*core).files.get() = CacheFiles::new(core);
    }
    Ok(core)
}

/// What there is to destroy.
pub(crate) enum Going {
    /// A handle; others are left.
    Handle,
    /// The cache.
    Cache(*mut Core),
    /// Nothing.
    Unknown,
}

/// Gives up a handle of the cache at `addr`. If that was its last one, the cache is marked as one
/// that is going, and its names are free. Unknown, with a warning, if no live cache is there.
pub(crate) fn begin_destroy(addr: *const Core) -> Going {
    let mut others = false;
    let core = with(|r| {
        let core = r.at(addr, |c| c.is_root() && c.is_live() && !c.claimed.get());
        if !core.is_null() {
            // SAFETY: It is on the list, and the mutex is held.
            unsafe {
                let aliases = &mut *(*core).aliases.get();
                others = aliases.drop_one();
                if !others {
                    aliases.clear();
                    (*core).claimed.set(true);
                }
            }
        }
        core
    });
    if core.is_null() {
        unknown(addr);
        return Going::Unknown;
    }
    if others {
        return Going::Handle;
    }
    // The directory goes before the name is free, and outside of the mutex that its readers take.
    // SAFETY: The claim makes the caller its owner.
    unsafe {
        *(*core).files.get() = None;
        set_state(&*core, super::core::DYING);
    }
    Going::Cache(core)
}

/// Moves the life of `core` on, under the registry mutex.
pub(crate) fn set_state(core: &Core, state: u32) {
    with(|_| core.set_state(state));
}

/// Enters a child that `root` has got.
///
/// # Safety
///
/// `child` is the caller's, who keeps `root` from being destroyed.
pub(super) unsafe fn enter_child(root: &Core, child: *mut Core) {
    // SAFETY: By the function's requirement; lists and number are the mutex's.
    with(|r| unsafe {
        r.enter(child);
        (*child).family.member.core = child;
        (*root.family.members.get()).push_back(&raw mut (*child).family.member);
    })
}

/// What came of taking a cache off the list.
pub(crate) enum Removed {
    /// It is off.
    Now,
    /// Somebody else did it.
    Before,
    /// Children of it are left.
    NotYet,
}

/// Takes `core`, of which no slab is left, off the list.
///
/// # Safety
///
/// The caller has a reference, or is `destroy`.
pub(crate) unsafe fn remove(core: *mut Core) -> Removed {
    // SAFETY: By the function's requirement; lists and states are the mutex's.
    with(|r| unsafe {
        if !(*core).link.is_linked() {
            return Removed::Before;
        }
        if !(*(*core).family.members.get()).front().is_null() {
            return Removed::NotYet;
        }
        r.remove(core);
        if (*core).family.is_member() {
            let root = (*core).root();
            (*root.family.members.get()).remove(&raw mut (*core).family.member);
            // It may have waited for this child.
            if root.state() == ZOMBIE {
                let _reader = NoPreempt::new();
                service::attend(root);
            }
        }
        Removed::Now
    })
}

fn unknown(addr: *const Core) {
    // SAFETY: The strings are not used by this report.
    unsafe {
        sys::gs_sys_misuse(
            Misuse::UnknownCache as u32,
            core::ptr::null(),
            addr.cast(),
            core::ptr::null(),
        )
    }
}

/// Calls `f` with the live cache at `addr`, or warns: for functions that may be called with a
/// stale pointer and can afford to look.
///
/// Context: Process context, may sleep.
pub(crate) fn with_live<R>(addr: *const Core, f: impl FnOnce(&Core) -> R) -> Option<R> {
    let core = with(|r| {
        let core = r.at(addr, |c| c.state() == LIVE);
        // SAFETY: A core on the list is alive, so the reference is had.
        if !core.is_null() && unsafe { (*core).get() } {
            core
        } else {
            null_mut()
        }
    });
    if core.is_null() {
        unknown(addr);
        return None;
    }
    // SAFETY: The reference taken above keeps the core.
    let ret = f(unsafe { &*core });
    // SAFETY: As above.
    unsafe { Core::put(core) };
    Some(ret)
}

/// Calls `f` with every cache that exists, oldest first, destroyed ones with objects or frees
/// left included. The mutex is not held meanwhile.
///
/// Context: Process context, may sleep.
pub(crate) fn for_each(f: impl FnMut(&Core)) {
    let linked = |c: &Core| c.link.is_linked();
    walk(|r, at| after(&r.caches, at, linked, |c| c, |c| c), f)
}

/// Calls `f` with every child of `root`, oldest first, as [`for_each`] does.
///
/// Context: Process context, may sleep.
pub(crate) fn members(root: &Core, f: impl FnMut(&Core)) {
    // SAFETY: The list is the mutex's, and what is on it is there.
    walk(
        |_, at| unsafe {
            let linked = |c: &Core| c.family.is_member();
            let place = |c: *mut Core| &raw mut (*c).family.member;
            let list = &*root.family.members.get();
            after(list, at, linked, place, |m: *mut Member| (*m).core)
        },
        f,
    )
}

/// Calls `f` with each cache that `next` gives, after the one that it is told, under the mutex.
fn walk(next: impl Fn(&Registry, *mut Core) -> *mut Core, mut f: impl FnMut(&Core)) {
    let mut at: *mut Core = null_mut();
    loop {
        let core = with(|r| {
            let mut core = next(r, at);
            // SAFETY: A core on a list is there; one that is being retired is passed over.
            while !core.is_null() && unsafe { !(*core).get() } {
                core = next(r, core);
            }
            core
        });
        if !at.is_null() {
            // SAFETY: Taken when it was looked for.
            unsafe { Core::put(at) };
        }
        if core.is_null() {
            return;
        }
        // SAFETY: The reference taken above keeps the core.
        f(unsafe { &*core });
        at = core;
    }
}

/// The cache after `at`, which may have left `list`; the first one for null. Cores are on it in the
/// order of their numbers.
fn after<T, const OFF: usize>(
    list: &List<T, OFF>,
    at: *mut Core,
    linked: impl Fn(&Core) -> bool,
    place: impl Fn(*mut Core) -> *mut T,
    core: impl Fn(*mut T) -> *mut Core,
) -> *mut Core {
    // SAFETY: The caller has a reference to `at`, and the mutex; what is on the list is there.
    unsafe {
        let mut item = if !at.is_null() && linked(&*at) {
            list.next(place(at))
        } else {
            list.front()
        };
        // It has left: from where it was.
        while !item.is_null() && !at.is_null() && (*core(item)).id <= (*at).id {
            item = list.next(item);
        }
        if item.is_null() {
            null_mut()
        } else {
            core(item)
        }
    }
}

/// Takes the first cache off the list, or null: for the module's exit, where nobody looks for one
/// any more.
pub(crate) fn pop() -> *mut Core {
    with(|r| r.caches.pop_front())
}

/// A module is going: runs the destructors whose code goes with it, and forgets them.
#[no_mangle]
extern "C" fn gs_rs_module_going(module: *const kernel::ffi::c_void) {
    let goes = |core: &Core| {
        let dtor = core.dtor_addr();
        // SAFETY: Addresses are only compared; the module is being taken down, not freed yet.
        dtor != 0 && unsafe { sys::gs_sys_within_module(dtor as *const _, module) }
    };
    // A destructor may queue into its own cache, or into another one of the module's.
    let mut again = true;
    while again {
        again = false;
        for_each(|core| {
            if goes(core) && core.pending() != 0 {
                crate::rcu::barrier::cache(core);
                again = true;
            }
        });
    }
    // A root before its children, which are younger: one that is not entered yet when this ends
    // finds what its root has now.
    for_each(|core| {
        if goes(core) {
            core.orphan();
            // Others may have queued since; a worker may have read the destructor before.
            crate::rcu::barrier::cache(core);
        }
    });
}

/// Number of destroyed caches with objects still out.
pub(crate) fn zombies() -> u32 {
    ZOMBIES.load(Relaxed)
}
