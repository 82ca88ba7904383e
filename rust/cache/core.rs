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

use super::barn::Node;
use super::dtor::Running;
use super::slab::{Geometry, Slab};
use crate::debugfs::CacheFiles;
use crate::list::{Link, Stack};
use crate::percpu::{Counter, Cpu, Section};
use crate::rcu::domain::{Domain, Kind};
use crate::rcu::queue::{null_batch, Batch, Queue};
use crate::sys::{self, CoreSys, Gfp};
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
pub(crate) const CONSISTENCY: usize = 1 << 6;
/// All flags that do something; the others of the header are refused.
pub(crate) const ALL_FLAGS: usize = HWCACHE_ALIGN | TYPESAFE_BY_RCU | ACCOUNT | CONSISTENCY;

/// [`Core::state`].
pub(crate) const LIVE: u32 = 0;
/// Being destroyed: everything goes by the bits.
pub(crate) const DYING: u32 = 1;
/// Destroyed with objects still out.
pub(crate) const ZOMBIE: u32 = 2;

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

impl CpuCache {
    /// Objects ready to be allocated.
    pub(crate) fn cached(&self) -> u64 {
        // SAFETY: Both are valid sheaves, the caller's for reading.
        unsafe { (*self.main).len() as u64 + (*self.spare).len() as u64 }
    }
}

/// See the module.
#[repr(C)]
pub(crate) struct Core {
    /// The `__percpu` [`CpuCache`].
    pcpu: *mut c_void,
    /// `GS_*` flags.
    pub(crate) flags: usize,
    /// The state of its life; written under the registry mutex.
    state: Atomic<u32>,
    /// Objects per sheaf.
    pub(crate) capacity: u32,
    /// Sizes.
    pub(crate) geometry: Geometry,
    /// Called once per object when its slab is populated.
    pub(crate) ctor: Option<Hook>,
    /// Called on each object after its grace period; the address of a [`Hook`], or 0.
    dtor: Atomic<usize>,
    /// Deferred frees, counted.
    pub(crate) domain: Domain,
    refs: Atomic<i32>,
    /// The handle's reference has been given up.
    handle_gone: Atomic<bool>,
    /// On the attention list, or on its way there.
    pub(crate) attention: Atomic<bool>,
    pub(crate) attention_next: *mut Core,
    /// Slabs with pending bits that no service has seen yet.
    pub(crate) pending_slabs: Stack<Slab, { offset_of!(Slab, pending_next) }>,
    /// Slabs with pending bits; under the service mutex.
    pub(crate) waiting: core::cell::UnsafeCell<*mut Slab>,
    /// The core's own doorbell is ringing; it has a reference.
    pub(crate) bell_armed: Atomic<bool>,
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
    /// Place in the registry; under its mutex.
    pub(crate) link: Link,
    /// Somebody destroys it; under the registry mutex.
    pub(crate) claimed: core::cell::Cell<bool>,
    /// Its directory in debugfs: of whoever creates, then of whoever destroys it.
    pub(crate) files: core::cell::UnsafeCell<Option<Pin<KBox<CacheFiles>>>>,
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
    pub(crate) capacity: u32,
    pub(crate) geometry: Geometry,
    pub(crate) ctor: Option<Hook>,
    pub(crate) dtor: Option<Hook>,
    pub(crate) name: [u8; NAME_LEN],
}

impl Core {
    /// Allocates a core. Process context, may sleep.
    pub(crate) fn new(spec: Spec) -> Result<*mut Self> {
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
                pcpu,
                flags: spec.flags,
                state: Atomic::new(LIVE),
                capacity: spec.capacity,
                geometry: spec.geometry,
                ctor: spec.ctor,
                dtor: Atomic::new(spec.dtor.map_or(0, |f| f as usize)),
                domain: Domain::new(Kind::Cache),
                refs: Atomic::new(1),
                handle_gone: Atomic::new(false),
                attention: Atomic::new(false),
                attention_next: null_mut(),
                pending_slabs: Stack::new(),
                waiting: core::cell::UnsafeCell::new(null_mut()),
                bell_armed: Atomic::new(false),
                detached: Stack::new(),
                empties: Atomic::new(0),
                bit_frees: Atomic::new(0),
                running: Running::new(),
                nodes,
                nr_nodes,
                sys: core::mem::zeroed(),
                link: Link::new(),
                claimed: core::cell::Cell::new(false),
                files: core::cell::UnsafeCell::new(None),
                id: 0,
                name: spec.name,
            });
            sys::gs_sys_core_init(&raw mut (*core).sys);
            (*core).running.init();
            for cpu in Cpu::possible() {
                (*core).on_cpu(cpu.id).write(CpuCache {
                    main: null_batch(),
                    spare: null_batch(),
                    queue: Queue::new(&raw const (*core).domain),
                    swapped: Counter::new(),
                });
            }
            Ok(core)
        }
    }

    /// Opens this CPU's section and returns its share; `None` when it is busy.
    #[inline(always)]
    pub(crate) fn open(&self) -> Option<(Section, *mut CpuCache)> {
        Section::open(self.pcpu)
    }

    /// The share of CPU `cpu`. Only its own section may write there.
    pub(crate) fn on_cpu(&self, cpu: u32) -> *mut CpuCache {
        // SAFETY: `pcpu` is a per-CPU allocation and `cpu` possible.
        unsafe { sys::gs_sys_percpu_ptr(self.pcpu, cpu).cast() }
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
        // SAFETY: May be called in any context; a migration right after does no harm.
        &self.nodes()[unsafe { sys::gs_sys_numa_node() } as usize]
    }

    /// Whether the cache is still in use: sheaves may be given to CPUs.
    pub(crate) fn is_live(&self) -> bool {
        self.state() == LIVE
    }

    /// The state of its life.
    ///
    /// A section that opens after the request that follows the change was acknowledged sees it:
    /// pairs with the release in `set_state` by way of that request.
    pub(crate) fn state(&self) -> u32 {
        self.state.load(Acquire)
    }

    /// Moves the life on.
    pub(crate) fn set_state(&self, state: u32) {
        self.state.store(state, Release);
    }

    /// The destructor.
    pub(crate) fn dtor(&self) -> Option<Hook> {
        let f = self.dtor.load(Acquire);
        // SAFETY: Non-zero is only ever the address of a `Hook`.
        (f != 0).then(|| unsafe { core::mem::transmute::<usize, Hook>(f) })
    }

    /// The destructor's address, or 0.
    pub(crate) fn dtor_addr(&self) -> usize {
        self.dtor.load(Relaxed)
    }

    /// Forgets the destructor: its code is about to go.
    pub(crate) fn orphan(&self) {
        self.dtor.store(0, Release);
    }

    /// Whether objects are checked or destroyed one by one, so that sheaves are never swapped.
    pub(crate) fn has_hooks(&self) -> bool {
        self.flags & CONSISTENCY != 0 || self.dtor_addr() != 0
    }

    /// Whether [`CONSISTENCY`] is on.
    #[inline]
    pub(crate) fn checked(&self) -> bool {
        self.flags & CONSISTENCY != 0
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
    fn of_sys(sys: *mut CoreSys) -> *mut Core {
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
        let len = self.name.iter().position(|&b| b == 0).unwrap_or(NAME_LEN);
        &self.name[..len]
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
        if self.flags & ACCOUNT != 0 {
            gfp | GFP_ACCOUNT
        } else {
            gfp & !GFP_ACCOUNT
        }
    }
}

/// Frees a retired core, a grace period after its last reference. An RCU callback.
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
            sys::gs_sys_percpu_free((*core).pcpu);
            sys::gs_sys_kfree((*core).nodes.cast());
            sys::gs_sys_kfree(core.cast());
        }
    }
}

/// The core's work: its reference was taken for it.
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
