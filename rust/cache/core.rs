// SPDX-License-Identifier: GPL-2.0

//! The core of a cache: geometry, per-CPU sheaves, nodes, life.
//!
//! # Life
//!
//! ```text
//!   LIVE ──destroy──► DYING ──nothing left──► retired (grace period) ──► freed
//!                       │
//!                       └──objects leaked──► ZOMBIE ──last object freed──► retired
//! ```
//!
//! *References* keep the memory of a core: one for the handle that `create` returned (it passes
//! to the zombie), one for each asynchronous work in flight, one for each `tryget`. Slabs do not
//! count; the handle's reference is only given up when none is left. Freers hold no reference:
//! they run with preemption off, and the core is freed a grace period after its last reference.

use super::aliases::Aliases;
use super::barn::Node;
use super::children::Family;
use super::dtor::Running;
use super::growth::Growth;
use super::slab::{Geometry, Slab};
use crate::debugfs::CacheFiles;
use crate::list::{Link, Stack};
use crate::percpu::{Counter, Cpu, Section};
use crate::rcu::domain::{Domain, Kind};
use crate::rcu::queue::{null_batch, Batch, Queue};
use crate::sys::{self, CoreSys, Gfp};
use crate::watch;
use crate::word::{full_barrier, Word, BITS};
use core::mem::offset_of;
use core::ptr::null_mut;
use kernel::ffi::{c_char, c_void};
use kernel::prelude::*;
use kernel::sync::atomic::{Acquire, Atomic, Full, Relaxed, Release};

/// A constructor or destructor of objects.
pub(crate) type Hook = unsafe extern "C" fn(*mut c_void);

/// [`Core::flags`], as `include/graceslab.h` has them.
pub(crate) const HWCACHE_ALIGN: usize = 1 << 0;
/// See [`HWCACHE_ALIGN`].
pub(crate) const TYPESAFE_BY_RCU: usize = 1 << 1;
/// See [`HWCACHE_ALIGN`].
pub(crate) const ACCOUNT: usize = 1 << 2;
/// See [`HWCACHE_ALIGN`].
pub(crate) const MERGE: usize = 1 << 3;
/// See [`HWCACHE_ALIGN`].
pub(crate) const RED_ZONE: usize = 1 << 4;
/// See [`HWCACHE_ALIGN`].
pub(crate) const POISON: usize = 1 << 5;
/// See [`HWCACHE_ALIGN`].
pub(crate) const CONSISTENCY: usize = 1 << 6;
/// See [`HWCACHE_ALIGN`].
pub(crate) const STORE_USER: usize = 1 << 7;
/// The flags that debug a cache.
pub(crate) const DEBUG_FLAGS: usize = RED_ZONE | POISON | CONSISTENCY | STORE_USER;
/// All flags that a caller may give.
pub(crate) const ALL_FLAGS: usize = HWCACHE_ALIGN | TYPESAFE_BY_RCU | ACCOUNT | MERGE | DEBUG_FLAGS;
/// The kernel was booted with `init_on_alloc`. No caller's flag, as the next one.
pub(crate) const INIT_ON_ALLOC: usize = 1 << 16;
/// The kernel was booted with `init_on_free`.
pub(crate) const INIT_ON_FREE: usize = 1 << 17;
/// The kernel has KASAN, and the cache tells it who may use what.
pub(crate) const KASAN: usize = 1 << 18;
/// The kernel has kmemleak, and the cache tells it which objects are in use.
pub(crate) const KMEMLEAK: usize = 1 << 19;
/// The cache has children, or is one: an object that is freed may be another one's of the family.
pub(crate) const FAMILY: usize = 1 << 20;
/// Each object is looked at when it is freed, and when its deferred free is over.
const CHECKED: usize = DEBUG_FLAGS | INIT_ON_FREE | KASAN | KMEMLEAK;
/// Something is done to each object, by slow paths alone.
const EACH_OBJECT: usize = CHECKED | INIT_ON_ALLOC;

/// [`Core::state`].
pub(crate) const LIVE: u32 = 0;
/// Being destroyed: everything goes by the bits.
pub(crate) const DYING: u32 = 1;
/// Destroyed with objects still out.
pub(crate) const ZOMBIE: u32 = 2;

/// [`Core::dtor`]: the module that its code was in has gone.
const ORPHAN: usize = 1;

/// The bit of `__GFP_ACCOUNT`.
const GFP_ACCOUNT: Gfp = kernel::bindings::GFP_KERNEL_ACCOUNT & !kernel::bindings::GFP_KERNEL;

/// Longest name, with its NUL.
pub(crate) const NAME_LEN: usize = 64;

/// A CPU's share of a cache. Belongs to that CPU's section.
#[repr(C, align(64))]
pub(crate) struct CpuCache {
    /// The sheaf that serves allocations and takes frees.
    pub(crate) main: *mut Batch,
    /// Another one, empty or full or anything between; or the null batch.
    pub(crate) spare: *mut Batch,
    /// Deferred frees.
    pub(crate) queue: Queue,
    /// Ripe sheaves that allocations took as they were.
    pub(crate) swapped: Counter,
}

/// A relaxed load that is no call where the kernel's helpers are not inlined.
#[inline(always)]
fn read_once<T>(place: &Atomic<*mut T>) -> *mut T {
    // SAFETY: An atomic's pointer is valid; the volatile load is the kernel's READ_ONCE().
    unsafe { place.as_ptr().read_volatile() }
}

/// See [`Core::fast_from`].
static BARE: Atomic<*mut CpuCache> = Atomic::new(null_mut());

impl CpuCache {
    /// A share that has nothing yet, of a queue of `domain`.
    fn empty(domain: *const Domain) -> Self {
        Self {
            main: null_batch(),
            spare: null_batch(),
            queue: Queue::new(domain),
            swapped: Counter::new(),
        }
    }

    /// Allocates the area of shares that never have anything. Once, in process context.
    pub(crate) fn init_bare() -> Result {
        // SAFETY: A plain allocation, written for each CPU before it is published.
        unsafe {
            let area = sys::gs_sys_percpu_alloc(size_of::<Self>(), align_of::<Self>());
            if area.is_null() {
                return Err(ENOMEM);
            }
            for cpu in Cpu::possible() {
                sys::gs_sys_percpu_ptr(area, cpu.id)
                    .cast::<Self>()
                    .write(Self::empty(core::ptr::null()));
            }
            BARE.store(area.cast(), Relaxed);
        }
        Ok(())
    }

    /// Frees what `init_bare` allocated, if it has. No cache is left.
    pub(crate) fn free_bare() {
        let area = BARE.xchg(null_mut(), Relaxed);
        if !area.is_null() {
            // SAFETY: By the function's contract.
            unsafe { sys::gs_sys_percpu_free(area.cast()) }
        }
    }

    /// The area of shares that never have anything.
    fn bare_area() -> *mut Self {
        BARE.load(Relaxed)
    }

    /// Objects ready to be allocated.
    pub(crate) fn cached(&self) -> u64 {
        // SAFETY: Both are valid sheaves, the caller's for reading.
        unsafe { u64::from((*self.main).len()) + u64::from((*self.spare).len()) }
    }
}

/// See the module.
#[repr(C)]
pub(crate) struct Core {
    /// The `__percpu` area that fast allocations look at: `pcpu`, or, where something is done to
    /// each object, one whose sheaves have none, so that the slow path sees them all.
    fast_from: Atomic<*mut CpuCache>,
    /// The same of fast frees. Only [`Core::fit_fast`] changes either later.
    fast_to: Atomic<*mut CpuCache>,
    /// The `__percpu` area.
    pcpu: *mut CpuCache,
    /// `GS_*` flags; only [`FAMILY`] is set later.
    flags: Atomic<usize>,
    /// The state of its life; written under the registry mutex.
    state: Atomic<u32>,
    /// How many objects sheaves have room for.
    pub(super) growth: Growth,
    /// Sizes.
    pub(crate) geometry: Geometry,
    /// Called once per object when its slab is populated.
    pub(crate) ctor: Option<Hook>,
    /// Called on each object after its grace period; the address of a [`Hook`], 0, or [`ORPHAN`].
    dtor: Atomic<usize>,
    /// Deferred frees, counted.
    pub(crate) domain: Domain,
    refs: Atomic<i32>,
    /// The handle's reference has been given up.
    handle_gone: Atomic<bool>,
    /// On the attention list, or on its way there.
    pub(crate) attention: Atomic<bool>,
    pub(crate) attention_next: *mut Core,
    /// On the list of those to be trimmed, or on its way there.
    pub(crate) trim: Atomic<bool>,
    pub(crate) trim_next: *mut Core,
    /// Slabs with pending bits that no service has seen yet.
    pub(crate) pending_slabs: Stack<Slab, { offset_of!(Slab, pending_next) }>,
    /// Slabs with pending bits; under the service mutex.
    pub(crate) waiting: core::cell::UnsafeCell<*mut Slab>,
    /// The core's own doorbell is ringing; it has a reference.
    pub(crate) bell_armed: Atomic<bool>,
    /// CPUs that may have something of the cache, by [`Core::user_bit`].
    users: Word,
    /// Sheaves that CPUs handed over.
    pub(crate) detached: Stack<Batch, { offset_of!(Batch, next) }>,
    /// Times that a slab was seen with all objects free since it was last looked for.
    pub(crate) empties: Atomic<u32>,
    /// Frees by the bits.
    pub(crate) bit_frees: Atomic<u64>,
    /// Who runs its destructors now.
    pub(crate) running: Running,
    nodes: *mut Node,
    nr_nodes: u32,
    sys: CoreSys,
    /// Place in the registry; under its mutex, as the next three.
    pub(crate) link: Link,
    /// Next of those whose names have the same hash.
    pub(super) name_next: *mut Core,
    /// Next of those whose addresses have the same hash.
    pub(super) address_next: *mut Core,
    /// Place on the list of caches that others may share.
    pub(super) shared_link: Link,
    /// Its names and handles; under the registry mutex.
    pub(crate) aliases: core::cell::UnsafeCell<Aliases>,
    /// Somebody destroys it; under the registry mutex.
    pub(crate) claimed: core::cell::Cell<bool>,
    /// Its directory in debugfs: of whoever creates, then of whoever destroys it.
    pub(crate) files: core::cell::UnsafeCell<Option<CacheFiles>>,
    /// Its children, or whose child it is.
    pub(crate) family: Family,
    /// Number of the cache, never used twice.
    pub(crate) id: u64,
    name: [u8; NAME_LEN],
}

// SAFETY: Each field says what protects it.
unsafe impl Sync for Core {}

/// Cores whose last reference was given back where `call_rcu` may not be called.
static RETIRED: Stack<Core, { offset_of!(Core, attention_next) }> = Stack::new();

/// Retires the cores that were left to the irq_work.
pub(crate) fn retire_left() {
    let mut taken = RETIRED.take();
    loop {
        // SAFETY: The cores taken are the caller's, and have no reference.
        unsafe {
            let core = Stack::<Core, { offset_of!(Core, attention_next) }>::pop_taken(&mut taken);
            if core.is_null() {
                return;
            }
            sys::gs_sys_core_retire(&raw mut (*core).sys);
        }
    }
}

/// What a cache is made of.
pub(crate) struct Spec {
    pub(crate) flags: usize,
    /// Objects per sheaf, at first.
    pub(crate) capacity: u32,
    /// Whether that may change by itself.
    pub(crate) grows: bool,
    pub(crate) geometry: Geometry,
    pub(crate) ctor: Option<Hook>,
    pub(crate) dtor: Option<Hook>,
    pub(crate) name: [u8; NAME_LEN],
}

impl Core {
    /// Allocates a core. Process context, may sleep. On failure a child's reference to its root
    /// is the caller's still.
    pub(crate) fn new(spec: Spec, family: Family) -> Result<*mut Self> {
        // SAFETY: Plain allocations, each initialised before it is used.
        unsafe {
            let gfp = sys::gs_sys_gfp_kernel();
            let core: *mut Core = sys::gs_sys_kmalloc(size_of::<Core>(), gfp).cast();
            if core.is_null() {
                return Err(ENOMEM);
            }
            let nr_nodes = sys::gs_sys_nr_nodes();
            let nodes: *mut Node =
                sys::gs_sys_kmalloc(nr_nodes as usize * size_of::<Node>(), gfp).cast();
            let pcpu = sys::gs_sys_percpu_alloc(size_of::<CpuCache>(), align_of::<CpuCache>());
            if nodes.is_null() || pcpu.is_null() {
                sys::gs_sys_kfree(nodes.cast());
                sys::gs_sys_percpu_free(pcpu);
                sys::gs_sys_kfree(core.cast());
                return Err(ENOMEM);
            }
            for n in 0..nr_nodes as usize {
                Node::init(nodes.add(n));
            }
            core.write(Core {
                fast_from: Atomic::new(CpuCache::bare_area()),
                fast_to: Atomic::new(CpuCache::bare_area()),
                pcpu: pcpu.cast(),
                flags: Atomic::new(spec.flags),
                state: Atomic::new(LIVE),
                growth: Growth::new(spec.capacity, spec.grows, spec.geometry.stride as usize),
                geometry: spec.geometry,
                ctor: spec.ctor,
                dtor: Atomic::new(spec.dtor.map_or(0, |f| f as usize)),
                domain: Domain::new(Kind::Cache),
                refs: Atomic::new(1),
                handle_gone: Atomic::new(false),
                attention: Atomic::new(false),
                attention_next: null_mut(),
                trim: Atomic::new(false),
                trim_next: null_mut(),
                pending_slabs: Stack::new(),
                waiting: core::cell::UnsafeCell::new(null_mut()),
                bell_armed: Atomic::new(false),
                users: Word::new(0),
                detached: Stack::new(),
                empties: Atomic::new(0),
                bit_frees: Atomic::new(0),
                running: Running::new(),
                nodes,
                nr_nodes,
                sys: core::mem::zeroed(),
                link: Link::new(),
                name_next: null_mut(),
                address_next: null_mut(),
                shared_link: Link::new(),
                aliases: core::cell::UnsafeCell::new(Aliases::new()),
                claimed: core::cell::Cell::new(false),
                files: core::cell::UnsafeCell::new(None),
                family,
                id: 0,
                name: spec.name,
            });
            sys::gs_sys_core_init(&raw mut (*core).sys);
            (*core).running.init();
            for cpu in Cpu::possible() {
                (*core)
                    .on_cpu(cpu.id)
                    .write(CpuCache::empty(&raw const (*core).domain));
            }
            Ok(core)
        }
    }

    /// This CPU's share. From here on the CPU is asked for what it has: see [`request::users`].
    ///
    /// [`request::users`]: crate::rcu::request::users
    #[inline(always)]
    pub(crate) fn share(&self, section: &Section) -> *mut CpuCache {
        let share = section.here(self.pcpu);
        // Who has a sheaf has been here before.
        // SAFETY: The share is the section's.
        if unsafe { (*share).main == null_batch() } {
            self.note_use();
        }
        share
    }

    /// The bit of CPU `cpu`, and of others where there are many, in [`Core::users`].
    fn user_bit(cpu: u32) -> usize {
        1 << (cpu as usize % BITS)
    }

    /// Notes that this CPU may get something of the cache from here on. Its section is open, be it
    /// that of whatever an interrupt has met.
    #[cold]
    #[inline(never)]
    fn note_use(&self) {
        // SAFETY: May be called in any context; with a section open the number stays right.
        let bit = Self::user_bit(unsafe { sys::gs_sys_this_cpu() });
        if self.users.load() & bit == 0 {
            self.users.fetch_or(bit);
        }
        // Before the state is looked at: pairs with the barrier in `request::users`.
        full_barrier();
    }

    /// Whether CPU `cpu` may have something of the cache.
    pub(crate) fn is_used_on(&self, cpu: u32) -> bool {
        self.users.load() & Self::user_bit(cpu) != 0
    }

    /// Whether the cache is still in use, for who puts something where the cache keeps it: if it
    /// is, whoever destroys it waits for this section.
    pub(crate) fn is_live_in(&self, section: &Section) -> bool {
        self.share(section);
        self.is_live()
    }

    /// The same for an interrupt that met this CPU's section open.
    pub(crate) fn is_live_reentrant(&self) -> bool {
        self.note_use();
        self.is_live()
    }

    /// Chooses what fast paths look at. To be called when the core can be found, and after anything
    /// that this asks for has changed.
    pub(crate) fn fit_fast(&self) {
        let choose = |slow: bool| match slow || watch::caches() {
            true => CpuCache::bare_area(),
            false => self.pcpu,
        };
        loop {
            let (from, to) = (choose(self.prepares()), choose(self.looks()));
            self.fast_from.store(from, Relaxed);
            self.fast_to.store(to, Relaxed);
            // Who changes something does so before its own call: of two calls at once, the one
            // that stores last sees what both were made for. Pairs with itself.
            full_barrier();
            if from == choose(self.prepares()) && to == choose(self.looks()) {
                return;
            }
        }
    }

    /// This CPU's [`CpuCache::main`] for fast allocations: the null batch where something is done
    /// to each object.
    #[inline(always)]
    pub(crate) fn fast_from(&self, section: &Section) -> *mut Batch {
        // SAFETY: Only the field's address is taken; the field is the section's.
        unsafe { section.load(&raw mut (*read_once(&self.fast_from)).main) }
    }

    /// This CPU's [`CpuCache::main`] for fast frees: the null batch where each object is looked at.
    #[inline(always)]
    pub(crate) fn fast_to(&self, section: &Section) -> *mut Batch {
        // SAFETY: Only the field's address is taken; the field is the section's.
        unsafe { section.load(&raw mut (*read_once(&self.fast_to)).main) }
    }

    /// This CPU's queue of deferred frees for fast ones, as a place in the per-CPU area: its open
    /// batch is the null batch where each object is looked at.
    #[inline(always)]
    pub(crate) fn fast_queue(&self) -> *mut Queue {
        // SAFETY: Only the field's address is taken.
        unsafe { &raw mut (*read_once(&self.fast_to)).queue }
    }

    /// The share of CPU `cpu`. Only its own section may write there.
    pub(crate) fn on_cpu(&self, cpu: u32) -> *mut CpuCache {
        // SAFETY: `pcpu` is a per-CPU allocation and `cpu` possible.
        unsafe { sys::gs_sys_percpu_ptr(self.pcpu.cast(), cpu).cast() }
    }

    /// The queues of all CPUs, for reading.
    pub(crate) fn queues(&self) -> impl Iterator<Item = &Queue> {
        // SAFETY: The shares live as long as the core. Of a queue in use elsewhere, only the
        // counters and the hint of sealed batches are read.
        Cpu::possible().map(|cpu| unsafe { &(*self.on_cpu(cpu.id)).queue })
    }

    /// The nodes.
    pub(crate) fn nodes(&self) -> &[Node] {
        // SAFETY: Allocated with the core, and of this length.
        unsafe { core::slice::from_raw_parts(self.nodes, self.nr_nodes as usize) }
    }

    /// This CPU's node.
    pub(crate) fn local_node(&self) -> &Node {
        &self.nodes()[self.local_node_id()]
    }

    /// This CPU's node, as an index; a migration right after does no harm.
    pub(crate) fn local_node_id(&self) -> usize {
        // SAFETY: May be called in any context.
        unsafe { sys::gs_sys_numa_node() as usize }
    }

    /// Whether there is more than one node.
    pub(crate) fn spans_nodes(&self) -> bool {
        self.nr_nodes > 1
    }

    /// Whether the cache is still in use: sheaves may be given to CPUs.
    pub(crate) fn is_live(&self) -> bool {
        self.state() == LIVE
    }

    /// The state of its life.
    ///
    /// A section that opens after the request that follows the change was acknowledged sees it:
    /// pairs with the release in `set_state` by way of that request, or, on a CPU that was not
    /// asked because it had not used the cache, by way of the barrier in `note_use`.
    pub(crate) fn state(&self) -> u32 {
        self.state.load(Acquire)
    }

    /// Moves the life on.
    pub(crate) fn set_state(&self, state: u32) {
        self.state.store(state, Release);
    }

    /// Runs the destructor on `obj`; false if there was one, but its module has gone: nobody can
    /// end the object's life any more, so its memory must stay as it is.
    ///
    /// # Safety
    ///
    /// `obj` is an object of this cache that went through a grace period, and is nobody's.
    pub(crate) unsafe fn destruct(&self, obj: *mut c_void) -> bool {
        // Pairs with the release in `orphan` and the full exchange in `adopt`.
        match self.dtor.load(Acquire) {
            0 => true,
            ORPHAN => false,
            f => {
                // SAFETY: Any other value is the address of a `Hook`, whose module waits for it;
                // by the function's requirement.
                unsafe { core::mem::transmute::<usize, Hook>(f)(obj) };
                true
            }
        }
    }

    /// Gives the cache a destructor again if it has lost its own.
    ///
    /// The caller's module has it from here on: it does for the objects that wait as well.
    #[inline]
    pub(crate) fn adopt(&self, dtor: Hook) {
        if self.dtor_addr() == ORPHAN {
            // One that somebody else gave it is as good. Pairs with the acquire in `destruct`.
            let _ = self.dtor.cmpxchg(ORPHAN, dtor as usize, Full);
        }
    }

    /// The destructor's address; 0 if there never was one, and what is no address if it has gone.
    pub(crate) fn dtor_addr(&self) -> usize {
        self.dtor.load(Relaxed)
    }

    /// Takes the destructor over from the cache that this one is a child of: in the registry, but
    /// before it has objects.
    ///
    /// The root's may be forgotten meanwhile, by one who then looks for caches that have the same.
    pub(super) fn inherit_dtor(&self, root: &Core) {
        loop {
            let dtor = root.dtor_addr();
            self.dtor.store(dtor, Release);
            // The store, then the look: pairs with the barrier in `orphan`. Either this sees that
            // the root has lost it, or who took it from the root finds it here.
            full_barrier();
            if root.dtor_addr() == dtor {
                return;
            }
        }
    }

    /// Forgets the destructor: its code is about to go. The caller looks at the cache's children
    /// after this.
    pub(crate) fn orphan(&self) {
        self.dtor.store(ORPHAN, Release);
        // Pairs with the barrier in `inherit_dtor`.
        full_barrier();
    }

    /// Whether objects are checked or destroyed one by one, so that sheaves are never swapped.
    pub(crate) fn has_hooks(&self) -> bool {
        self.checked() || self.dtor_addr() != 0
    }

    /// Whether any of `flags` is on.
    #[inline]
    pub(crate) fn has(&self, flags: usize) -> bool {
        self.flags() & flags != 0
    }

    /// Its flags.
    #[inline]
    pub(crate) fn flags(&self) -> usize {
        self.flags.load(Relaxed)
    }

    /// Remembers that it has children. Whoever has an object of a child from somebody who found
    /// the child sees it; who does not see it yet treats the object as one of its own, which only
    /// means that it comes home later.
    pub(super) fn join_family(&self) {
        self.flags.store(self.flags() | FAMILY, Relaxed);
        // Before what fast paths look at is chosen: pairs with the barrier there.
        full_barrier();
        self.fit_fast();
    }

    /// Whether an object that is freed is to be looked at first. Fast paths do not ask:
    /// [`Core::fast_to`] has no room then.
    pub(crate) fn looks(&self) -> bool {
        self.has(CHECKED | FAMILY)
    }

    /// Whether [`super::debug`] is to see each object: allocated, freed, and after its grace
    /// period.
    #[inline]
    pub(crate) fn checked(&self) -> bool {
        self.has(CHECKED)
    }

    /// Whether something is done to each object before it is handed out.
    #[inline]
    pub(crate) fn prepares(&self) -> bool {
        self.has(EACH_OBJECT)
    }

    /// The core whose domain `domain` is, if it is a cache's.
    pub(crate) fn of_domain(domain: *const Domain) -> Option<*mut Core> {
        // SAFETY: A cache's domain is a field of its core.
        unsafe {
            ((*domain).kind == Kind::Cache).then(|| {
                domain
                    .cast::<u8>()
                    .sub(offset_of!(Core, domain))
                    .cast::<Core>()
                    .cast_mut()
            })
        }
    }

    /// The core of `queue` if its objects need their destructor.
    pub(crate) fn with_hooks(queue: &Queue) -> Option<*mut Core> {
        // SAFETY: The queue's core is alive while the queue is.
        Self::of_domain(queue.domain()).filter(|c| unsafe { (**c).dtor_addr() != 0 })
    }

    /// The core that `sys` is part of.
    pub(super) fn of_sys(sys: *mut CoreSys) -> *mut Core {
        // SAFETY: `sys` is a field of a core.
        unsafe { sys.cast::<u8>().sub(offset_of!(Core, sys)).cast() }
    }

    /// Its C half.
    pub(crate) fn sys(this: *mut Self) -> *mut CoreSys {
        // SAFETY: Only the field's address is taken.
        unsafe { &raw mut (*this).sys }
    }

    /// The mutex of its barriers.
    pub(crate) fn barrier_mutex(&self) -> *mut kernel::bindings::mutex {
        CoreSys::barrier((&raw const self.sys).cast_mut())
    }

    /// The mutex of those who take sheaves and empty slabs in hand to give them back.
    pub(crate) fn trim_mutex(&self) -> *mut kernel::bindings::mutex {
        CoreSys::trim((&raw const self.sys).cast_mut())
    }

    /// The mutex of the service of its bits.
    pub(crate) fn service_mutex(&self) -> *mut kernel::bindings::mutex {
        CoreSys::service((&raw const self.sys).cast_mut())
    }

    /// Its name, for C.
    pub(crate) fn name_ptr(&self) -> *const c_char {
        self.name.as_ptr().cast()
    }

    /// Its name, with its NUL.
    pub(crate) fn name_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.name).unwrap_or(c"?")
    }

    /// Its name.
    pub(crate) fn name(&self) -> &[u8] {
        super::aliases::text(&self.name)
    }

    /// Reports a misuse; the object concerned is leaked by the caller.
    #[cold]
    pub(crate) fn misuse(&self, what: sys::Misuse, obj: *const u8, other: Option<&Core>) {
        let other = other.map_or(c"?".as_char_ptr(), Core::name_ptr);
        // SAFETY: The strings end in NUL and outlive the call.
        unsafe { sys::gs_sys_misuse(what as u32, self.name_ptr(), obj.cast(), other) }
    }

    /// Deferred frees in and out.
    pub(crate) fn in_out(&self) -> (u64, u64) {
        self.domain.in_out(|| self.queues())
    }

    /// Deferred frees that have not come back. Exact where it is 0.
    pub(crate) fn pending(&self) -> u64 {
        let (into, out) = self.in_out();
        into.wrapping_sub(out)
    }

    /// Takes a reference unless the core is being retired.
    ///
    /// Context: Any context.
    pub(crate) fn get(&self) -> bool {
        let mut n = self.refs.load(Relaxed);
        while n != 0 {
            // Pairs with the full ordering in `put`.
            match self.refs.cmpxchg(n, n + 1, Full) {
                Ok(_) => return true,
                Err(now) => n = now,
            }
        }
        false
    }

    /// Takes a reference for a user; none is had once the cache is being destroyed.
    ///
    /// Context: Any context.
    pub(crate) fn tryget(&self) -> bool {
        if !self.is_live() || !self.get() {
            return false;
        }
        if self.is_live() {
            return true;
        }
        // Destroyed in between; the handle's reference is not the last one to go, then.
        // SAFETY: The reference was taken above.
        unsafe { Self::put((&raw const *self).cast_mut()) };
        false
    }

    /// Gives a reference back; the last one retires the core.
    ///
    /// Context: Any context.
    ///
    /// # Safety
    ///
    /// The caller had a reference and does not use the core any more.
    pub(crate) unsafe fn put(this: *mut Self) {
        // SAFETY: The caller's reference keeps the core until here.
        unsafe {
            if (*this).refs.fetch_sub(1, Full) != 1 {
                return;
            }
            // Freers that still look at the core run with preemption off.
            if crate::percpu::may_spin() {
                sys::gs_sys_core_retire(&raw mut (*this).sys);
            } else if RETIRED.push(this) {
                sys::gs_sys_kick();
            }
        }
    }

    /// Gives the handle's reference up, once: no slab is left.
    ///
    /// # Safety
    ///
    /// The caller holds another reference, or is `destroy`.
    pub(crate) unsafe fn put_handle(this: *mut Self) {
        // SAFETY: By the function's requirements.
        unsafe {
            // Pairs with itself: one of those who come at once gives it up.
            if !(*this).handle_gone.xchg(true, Full) {
                Self::put(this);
            }
        }
    }

    /// Queues the core's own work, with a reference that the caller gives it.
    ///
    /// # Safety
    ///
    /// The caller has the reference.
    pub(crate) unsafe fn queue_work(this: *mut Self) {
        // SAFETY: The reference keeps the core; a work that is queued already has its own.
        unsafe {
            if !sys::gs_sys_core_queue(&raw mut (*this).sys) {
                Self::put(this);
            }
        }
    }

    /// Takes this CPU's sheaves from it, and seals its open batch; returns what is to be armed.
    ///
    /// # Safety
    ///
    /// The section is that of `cpu`, or `cpu` is offline and the caller acts for it.
    pub(crate) unsafe fn detach(&self, section: &Section, cpu: &Cpu) -> usize {
        let share = self.on_cpu(cpu.id);
        // SAFETY: The share and the list of open queues are the section's.
        unsafe {
            for sheaf in [&raw mut (*share).main, &raw mut (*share).spare] {
                let s = sheaf.replace(null_batch());
                if s != null_batch() {
                    self.detached.push(s);
                }
            }
            let q = &raw mut (*share).queue;
            let arm = Queue::seal(q, cpu, section, true);
            if (*q).open_link.is_linked() {
                (*cpu.open.get()).remove(q);
            }
            // Sealed, or empty: freed where that may be done.
            let open = core::mem::replace(&mut (*q).open, null_batch());
            if open != null_batch() {
                self.detached.push(open);
            }
            arm
        }
    }

    /// Slab page flags that allocations with `gfp` may use.
    pub(crate) fn slab_gfp(&self, gfp: Gfp) -> Gfp {
        if self.has(ACCOUNT) {
            gfp | GFP_ACCOUNT
        } else {
            gfp & !GFP_ACCOUNT
        }
    }
}

/// Frees a retired core, a grace period after its last reference. An RCU callback.
///
/// # Safety
///
/// `sys` is part of a core that was retired.
#[no_mangle]
unsafe extern "C" fn gs_rs_core_free(sys: *mut CoreSys) {
    // SAFETY: Nobody has a reference, and whoever looked without one is done.
    unsafe { Core::free_now(Core::of_sys(sys)) }
}

impl Core {
    /// Frees the core's memory.
    ///
    /// # Safety
    ///
    /// Nobody can reach the core any more.
    pub(crate) unsafe fn free_now(core: *mut Core) {
        // SAFETY: By the function's requirement.
        unsafe {
            for cpu in Cpu::possible() {
                let share = (*core).on_cpu(cpu.id);
                crate::rcu::queue::free_batch((*share).main);
                crate::rcu::queue::free_batch((*share).spare);
                (*share).queue.free_open();
            }
            for node in (*core).nodes() {
                node.free_sheaves();
            }
            let mut left = (*core).detached.take();
            while !left.is_null() {
                let next = (*left).next;
                crate::rcu::queue::free_batch(left);
                left = next;
            }
            sys::gs_sys_percpu_free((*core).pcpu.cast());
            sys::gs_sys_kfree((*core).nodes.cast());
            sys::gs_sys_core_fini(Core::sys(core));
            let root = (*core).family.take_root();
            sys::gs_sys_kfree(core.cast());
            if !root.is_null() {
                Core::put(root);
            }
        }
    }
}

/// The core's work: its reference was taken for it.
///
/// # Safety
///
/// `sys` is part of a core, and the caller has that reference.
#[no_mangle]
unsafe extern "C" fn gs_rs_core_work(sys: *mut CoreSys) {
    let core = Core::of_sys(sys);
    // SAFETY: The work's reference keeps the core.
    unsafe {
        super::service::work(core);
        Core::put(core);
    }
}

/// The core's own doorbell; its reference passes to the work. An RCU callback.
///
/// # Safety
///
/// `sys` is part of a core, and the caller has that reference.
#[no_mangle]
unsafe extern "C" fn gs_rs_core_bell(sys: *mut CoreSys) {
    let core = Core::of_sys(sys);
    // SAFETY: The bell's reference keeps the core.
    unsafe {
        // Cleared before the work looks at the slabs: pairs with the full exchange in
        // `service::ring`.
        (*core).bell_armed.store(false, Relaxed);
        crate::word::full_barrier();
        Core::queue_work(core);
    }
}
