// SPDX-License-Identifier: GPL-2.0

//! Slabs: pages of equal objects, and the descriptor that keeps their bits.
//!
//! The descriptor is apart from the pages, so objects fill them and their memory is never
//! written by the allocator: a constructor's work and a type-safe reader are undisturbed, and a
//! stray write cannot corrupt a free list, because there is none.
//!
//! A cache that is debugged has more between its objects, and fewer of them:
//!
//! ```text
//!   ◄──────────────────────── stride ─────────────────────────►
//!   left red zone │ object (size) │ right red zone │ tracks │ …
//!   ◄─── left ───►◄──────────── after ────────────►
//! ```

use super::bits::{self, Tokens};
use super::core::{self as cache, Core, CONSISTENCY, KMEMLEAK};
use super::debug::{self, Known};
use crate::inject;
use crate::list::Link;
use crate::sys::{self, Gfp, RcuHead};
use crate::word::Word;
use core::ptr::null_mut;
use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Full};

/// Largest object.
pub(crate) const MAX_SIZE: usize = 64 << 10;
/// Most objects in a slab.
const MAX_OBJECTS: usize = 1024;
/// Largest order of a slab's pages, unless one object needs more.
const MAX_ORDER: u32 = 3;

/// What a cache that is debugged keeps beside each object, in bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Extra {
    /// The least that nobody may write to before it.
    pub(crate) left: usize,
    /// The same, after it.
    pub(crate) right: usize,
    /// Who allocated and freed it.
    pub(crate) tracks: usize,
    /// The least alignment of it, a power of two; or 0.
    pub(crate) align: usize,
}

/// Bytes that it takes to kmalloc() `bytes`, which are more than 64: the sizes of its caches.
const fn kmalloced(bytes: usize) -> usize {
    match bytes {
        65..=96 => 96,
        129..=192 => 192,
        _ => bytes.next_power_of_two(),
    }
}

/// How objects lie in a slab.
#[derive(Clone, Copy)]
pub(crate) struct Geometry {
    /// Bytes from one object to the next.
    pub(crate) stride: u32,
    /// Bytes that the user asked for.
    pub(crate) size: u32,
    /// Objects in a slab.
    pub(crate) objects: u32,
    /// Pages in a slab, as a power of two.
    pub(crate) order: u32,
    /// Bytes before the first object, and between each and what belongs to the one before.
    pub(crate) left: u32,
    /// Bytes from an object's start to the end of its right red zone, where its tracks are.
    pub(crate) after: u32,
    /// `ceil(2^32 / stride)`: turns an offset into an index by multiplication.
    reciprocal: u64,
}

impl Geometry {
    /// The geometry for objects of `size` bytes at multiples of `align`, which is 0 or a power
    /// of two, with `extra` beside each.
    pub(crate) fn new(
        size: usize,
        align: usize,
        cache_line: usize,
        page: usize,
        extra: Extra,
    ) -> Result<Self> {
        if size == 0 || size > MAX_SIZE || (align != 0 && !align.is_power_of_two()) || align > page
        {
            return Err(EINVAL);
        }
        // Natural: what a pointer needs, or what the size can hold.
        let natural = if size < 8 {
            size.next_power_of_two()
        } else {
            8
        };
        let mut align = align.max(natural);
        if cache_line != 0 {
            // No smaller than it takes to keep an object on one line.
            let mut line = cache_line;
            while size <= line / 2 {
                line /= 2;
            }
            align = align.max(line);
        }
        align = align.max(extra.align);
        let mut end = size + extra.right;
        if extra.tracks != 0 {
            align = align.max(align_of::<usize>());
            end = end.next_multiple_of(align_of::<usize>());
        }
        let left = extra.left.next_multiple_of(align);
        let stride = (left + end + extra.tracks).next_multiple_of(align);
        // Whatever is left over belongs to the right red zone, unless tracks are in between.
        let after = if extra.tracks != 0 {
            end
        } else {
            stride - left
        };
        // The smallest order that wastes less than 2.5 %, the descriptor counted; failing that,
        // the one that wastes least.
        let mut best = (usize::MAX, 0);
        for order in 0..=MAX_ORDER.max(stride.div_ceil(page).next_power_of_two().ilog2()) {
            let bytes = page << order;
            let n = (bytes / stride).min(MAX_OBJECTS);
            if n == 0 {
                continue;
            }
            let apart = size_of::<Slab>() + 3 * bits::words_for(n) * size_of::<Word>();
            let waste = (bytes - n * stride + kmalloced(apart)) * 1024 / bytes;
            if waste < best.0 {
                best = (waste, order);
            }
            if waste < 25 && n >= 8 {
                break;
            }
        }
        let order = best.1;
        Ok(Self {
            stride: stride as u32,
            size: size as u32,
            objects: ((page << order) / stride).min(MAX_OBJECTS) as u32,
            order,
            left: left as u32,
            after: after as u32,
            reciprocal: (1u64 << 32).div_ceil(stride as u64),
        })
    }

    /// The index of the object at `offset` bytes into a slab, if one starts there.
    pub(crate) fn index(&self, offset: usize) -> Option<usize> {
        // Exact for multiples of the stride: the error is below offset / 2^32.
        let i = ((offset as u64).wrapping_mul(self.reciprocal) >> 32) as usize;
        (i.wrapping_mul(self.stride as usize) == offset).then_some(i)
    }

    /// Objects that fit the pages when a descriptor of `bytes(n)` is to fit as well.
    fn objects_beside(&self, bytes: impl Fn(usize) -> usize) -> usize {
        // SAFETY: May be called in any context.
        let all = (unsafe { sys::gs_sys_page_size() } as usize) << self.order;
        let room = |n: &usize| n * self.stride as usize + bytes(*n) + align_of::<Slab>() <= all;
        (1..=self.objects as usize).rev().find(room).unwrap_or(0)
    }
}

/// State of an object, one byte each where the cache checks them.
pub(crate) const FREE: i8 = 0;
/// In a user's hands.
pub(crate) const IN_USE: i8 = 1;
/// Given to a deferred free.
pub(crate) const DEFERRED: i8 = 2;

/// A slab's descriptor. Three bitmaps follow it, a fourth if kmemleak is told of its objects, then
/// the state bytes if there are any, and a [`Known`] for each object of which kmemleak is told.
///
/// # Invariants
///
/// `base` is the address of the first object, in pages whose head page points back here. Bits
/// beyond the number of objects are never set. Whoever links or unlinks the slab holds the token for that list.
#[repr(C)]
pub(crate) struct Slab {
    /// The cache.
    pub(crate) core: *mut Core,
    /// The first object; the pages themselves once the descriptor is retired.
    base: *mut u8,
    /// Objects.
    objects: u32,
    /// The NUMA node, as an index into the core's.
    pub(crate) node: u32,
    /// Who may link it.
    pub(crate) tokens: Tokens,
    /// Place on the node's list of slabs with free objects.
    pub(crate) partial: Link,
    /// Place on the node's list of all slabs.
    pub(crate) all: Link,
    /// Next on the stack of slabs on their way to the partial list.
    pub(crate) incoming_next: *mut Slab,
    /// Next on the stack, or list, of slabs with pending bits.
    pub(crate) pending_next: *mut Slab,
    /// What the bits of `wait` wait for; under the service mutex.
    pub(crate) cookie: crate::rcu::cookie::Cookie,
}

/// Where the RCU head of a retired descriptor goes: links that are not used any more.
const _: () = assert!(size_of::<RcuHead>() <= size_of::<Link>());

impl Slab {
    /// Bitmaps that a slab of `core` has.
    fn bitmaps(core: &Core) -> usize {
        3 + usize::from(core.has(KMEMLEAK))
    }

    fn bytes(core: &Core, objects: usize) -> usize {
        let each = usize::from(core.has(CONSISTENCY)) + usize::from(core.has(KMEMLEAK));
        size_of::<Self>()
            + Self::bitmaps(core) * bits::words_for(objects) * size_of::<Word>()
            + each * objects
    }

    /// Allocates a slab on `node` (an index, or -1 for the nearest), with all objects free and
    /// the token of its node's list held by the caller. Null without memory.
    ///
    /// Where nothing may be waited for, no memory apart is to be had for the descriptor: it takes
    /// the end of the pages then, and the slab has fewer objects.
    ///
    /// Context: as `gfp` allows.
    pub(crate) fn new(core: &Core, gfp: Gfp, node: i32) -> *mut Slab {
        if inject::fails(inject::Point::Slab) {
            return null_mut();
        }
        // SAFETY: Plain allocations, initialised before they are published.
        unsafe {
            let mut n = core.geometry.objects as usize;
            let mut slab: *mut Slab = null_mut();
            let apart = sys::gs_sys_gfp_spins(gfp);
            if apart {
                let bytes = Self::bytes(core, n);
                slab = sys::gs_sys_kmalloc(bytes, sys::gs_sys_gfp_inner(gfp)).cast();
                if slab.is_null() {
                    return null_mut();
                }
            } else {
                n = core.geometry.objects_beside(|n| Self::bytes(core, n));
                if n == 0 {
                    return null_mut();
                }
            }
            let order = core.geometry.order;
            let pages: *mut u8 = sys::gs_sys_slab_pages(core.slab_gfp(gfp), order, node).cast();
            if pages.is_null() {
                sys::gs_sys_kfree(slab.cast());
                return null_mut();
            }
            if !apart {
                let end = (sys::gs_sys_page_size() as usize) << order;
                let at = end - Self::bytes(core, n);
                slab = pages.add(at - at % align_of::<Slab>()).cast();
            }
            Self::init(slab, core, pages, n);
            if core.checked() {
                debug::populate(core, &*slab);
            }
            if let Some(ctor) = core.ctor {
                for i in 0..n {
                    ctor((*slab).object(i).cast());
                }
            }
            if core.checked() {
                debug::cover(core, &*slab);
            }
            sys::gs_sys_slab_mark(pages.cast(), slab.cast());
            slab
        }
    }

    /// # Safety
    ///
    /// `slab` has room for the descriptor of `n` objects, `pages` for those, and both are the
    /// caller's.
    unsafe fn init(slab: *mut Slab, core: &Core, pages: *mut u8, n: usize) {
        let nwords = bits::words_for(n);
        // SAFETY: By the function's requirements.
        unsafe {
            slab.write(Slab {
                core: (&raw const *core).cast_mut(),
                base: pages.add(core.geometry.left as usize),
                objects: n as u32,
                node: sys::gs_sys_node_of(pages.cast()) as u32,
                tokens: Tokens::new(bits::LISTED),
                partial: Link::new(),
                all: Link::new(),
                incoming_next: null_mut(),
                pending_next: null_mut(),
                cookie: crate::rcu::cookie::Cookie::none(),
            });
            let words: *mut Word = slab.add(1).cast();
            for w in 0..nwords {
                words.add(w).write(Word::new(bits::mask(n, w)));
            }
            let end = Self::bitmaps(core) * nwords;
            for w in nwords..end {
                words.add(w).write(Word::new(0));
            }
            let mut each: *mut u8 = words.add(end).cast();
            if core.has(CONSISTENCY) {
                each.write_bytes(FREE as u8, n);
                each = each.add(n);
            }
            if core.has(KMEMLEAK) {
                for i in 0..n {
                    each.cast::<Known>().add(i).write(Known::new());
                }
            }
        }
    }

    /// Whether the descriptor is in the pages themselves.
    fn is_inside(&self, order: u32) -> bool {
        // SAFETY: May be called in any context.
        let bytes = (unsafe { sys::gs_sys_page_size() } as usize) << order;
        (&raw const *self as usize).wrapping_sub(self.base as usize) < bytes
    }

    fn bitmap(&self, which: usize) -> &[Word] {
        self.many_bitmaps(which, 1)
    }

    /// Bitmap number `first`, and those after it.
    fn many_bitmaps(&self, first: usize, many: usize) -> &[Word] {
        let nwords = bits::words_for(self.objects as usize);
        // SAFETY: The bitmaps, of this many words each, follow the descriptor and one another; the
        // pointer comes from the allocation that holds them all.
        unsafe {
            core::slice::from_raw_parts(
                (&raw const *self).add(1).cast::<Word>().add(first * nwords),
                many * nwords,
            )
        }
    }

    /// The core, which is alive as long as its slabs.
    fn core(&self) -> &Core {
        // SAFETY: As above.
        unsafe { &*self.core }
    }

    /// Objects that can be allocated.
    pub(crate) fn free(&self) -> &[Word] {
        self.bitmap(0)
    }

    /// Deferred frees that have no cookie yet.
    pub(crate) fn next(&self) -> &[Word] {
        self.bitmap(1)
    }

    /// Deferred frees that wait for [`Self::cookie`].
    pub(crate) fn wait(&self) -> &[Word] {
        self.bitmap(2)
    }

    /// Objects of which kmemleak is to be told; only where the cache tells it of them.
    pub(crate) fn owed(&self) -> &[Word] {
        self.bitmap(3)
    }

    /// All that makes the slab pending: [`Self::next`], [`Self::wait`] and, if there is one,
    /// [`Self::owed`].
    pub(crate) fn pending(&self) -> &[Word] {
        self.many_bitmaps(1, Self::bitmaps(self.core()) - 1)
    }

    /// Byte `i` of those that follow the bitmaps.
    fn byte<T>(&self, i: usize) -> *const T {
        const { assert!(size_of::<T>() == 1) };
        let words = Self::bitmaps(self.core()) * bits::words_for(self.objects());
        (&raw const *self)
            .wrapping_add(1)
            .cast::<Word>()
            .wrapping_add(words)
            .cast::<T>()
            .wrapping_add(i)
    }

    /// The state byte of object `i`; only where the cache checks them.
    pub(crate) fn state(&self, i: usize) -> &Atomic<i8> {
        debug_assert!(self.core().has(CONSISTENCY) && i < self.objects());
        // SAFETY: The state bytes follow the bitmaps, one for each object.
        unsafe { &*self.byte(i) }
    }

    /// What kmemleak knows of object `i`; only where the cache tells it of them.
    pub(crate) fn known(&self, i: usize) -> &Known {
        debug_assert!(self.core().has(KMEMLEAK) && i < self.objects());
        let states = if self.core().has(CONSISTENCY) {
            self.objects()
        } else {
            0
        };
        // SAFETY: They follow the state bytes, one for each object.
        unsafe { &*self.byte(states + i) }
    }

    /// Moves object `i` from one state to another; what it was if it was not `from`.
    pub(crate) fn change(&self, i: usize, from: i8, to: i8) -> core::result::Result<(), i8> {
        // Fully ordered: the winner of two frees has it to itself.
        self.state(i).cmpxchg(from, to, Full).map(|_| ())
    }

    /// The pages.
    pub(crate) fn pages(&self) -> *mut u8 {
        // SAFETY: The core is alive as long as its slabs, and the first object lies in the pages.
        unsafe { self.base.sub((*self.core).geometry.left as usize) }
    }

    /// Number of objects.
    pub(crate) fn objects(&self) -> usize {
        self.objects as usize
    }

    /// The address of object `i`.
    pub(crate) fn object(&self, i: usize) -> *mut u8 {
        // SAFETY: The core is alive as long as its slabs, and the offset lies in the pages.
        unsafe { self.base.add(i * (*self.core).geometry.stride as usize) }
    }

    /// Where the first object is, and how far it is from one to the next.
    #[inline]
    pub(crate) fn layout(&self) -> (*mut u8, usize) {
        // SAFETY: The core is alive as long as its slabs.
        (self.base, unsafe { (*self.core).geometry.stride as usize })
    }

    /// The index of the object at `obj`, if one starts there.
    pub(crate) fn index_of(&self, obj: *const u8) -> Option<usize> {
        // SAFETY: As above.
        let i = unsafe {
            (*self.core)
                .geometry
                .index((obj as usize).wrapping_sub(self.base as usize))
        };
        i.filter(|&i| i < self.objects())
    }

    /// Whether `obj` has the address that the object behind `last` would have.
    #[inline]
    pub(crate) fn is_behind(&self, obj: *const u8, last: *const u8) -> bool {
        // SAFETY: As above.
        let stride = unsafe { (*self.core).geometry.stride as usize };
        obj as usize == (last as usize).wrapping_add(stride)
    }

    /// The bits that word `w` of each bitmap can have.
    #[inline]
    pub(crate) fn word_mask(&self, w: usize) -> usize {
        bits::mask(self.objects(), w)
    }

    /// The index of the object in whose place `p` lies, be it in or around it.
    pub(crate) fn index_around(&self, p: *const u8) -> usize {
        let offset = (p as usize).saturating_sub(self.pages() as usize);
        // SAFETY: As above.
        let i = offset / unsafe { (*self.core).geometry.stride as usize };
        i.min(self.objects() - 1)
    }

    /// The slab that `p` lies in, if one of ours.
    ///
    /// The reference is good while the object is the caller's, or preemption is off.
    #[inline]
    pub(crate) fn of<'a>(p: *const u8) -> Option<&'a Slab> {
        // SAFETY: Any pointer may be asked for; a slab's pages point to its descriptor.
        unsafe { sys::gs_sys_slab_of(p.cast()).cast::<Slab>().as_ref() }
    }

    /// Whether all objects are free.
    pub(crate) fn is_free(&self) -> bool {
        bits::all(self.free(), self.objects())
    }

    /// Gives the pages back, and the descriptor after a grace period: freers look at it after
    /// they have published their bit, with preemption off.
    ///
    /// Context: Process context.
    ///
    /// # Safety
    ///
    /// All objects are free, the caller holds the slab's tokens and has unlinked it; pages of a
    /// type-safe cache wait for the descriptor's grace period too.
    pub(crate) unsafe fn release(this: *mut Slab) {
        // SAFETY: By the function's requirements.
        unsafe {
            let core = &*(*this).core;
            let order = core.geometry.order;
            if core.checked() {
                debug::inspect(core, &*this);
            }
            (*this).base = (*this).pages();
            if !core.has(cache::TYPESAFE_BY_RCU) && !(*this).is_inside(order) {
                sys::gs_sys_slab_pages_free((*this).base.cast(), order);
                (*this).base = null_mut();
            } else {
                // The callback has only the descriptor: the order goes where it finds it.
                (*this).node = order;
            }
            sys::gs_sys_slab_retire((&raw mut (*this).partial).cast());
        }
    }
}

impl Slab {
    /// At the module's exit: leaves the pages to those who still use objects in them.
    ///
    /// # Safety
    ///
    /// Nobody can reach the descriptor but through the pages' mark.
    pub(crate) unsafe fn abandon(this: *mut Slab) {
        // SAFETY: By the function's requirement; the core is still there.
        unsafe {
            let core = &*(*this).core;
            if core.checked() {
                debug::forget(&*this);
            }
            // The pages must not lead anyone to the descriptor.
            (*this).base = (*this).pages();
            sys::gs_sys_slab_mark((*this).base.cast(), null_mut());
            if !(*this).is_inside((*(*this).core).geometry.order) {
                sys::gs_sys_kfree(this.cast());
            }
        }
    }
}

/// Frees a retired descriptor, and the pages it still has. An RCU callback.
///
/// # Safety
///
/// `head` is the unused `partial` link of a descriptor that [`Slab::release`] retired.
#[no_mangle]
unsafe extern "C" fn gs_rs_slab_free(head: *mut RcuHead) {
    // SAFETY: `head` is the unused `partial` link of a retired descriptor.
    unsafe {
        let slab: *mut Slab = head
            .cast::<u8>()
            .sub(core::mem::offset_of!(Slab, partial))
            .cast();
        let (base, order) = ((*slab).base, (*slab).node);
        let inside = !base.is_null() && (*slab).is_inside(order);
        if !base.is_null() {
            sys::gs_sys_slab_pages_free(base.cast(), order);
        }
        if !inside {
            sys::gs_sys_kfree(slab.cast());
        }
    }
}
