// SPDX-License-Identifier: GPL-2.0

//! Each CPU's reserve for others' pointers: pages, and *wrappers*, which are batches of one.
//!
//! A wrapper takes the same way as a page: it is full with its first pointer, so it is sealed at
//! once, and comes back when the grace period is over. The reserve is filled when the module is
//! loaded, and by what comes back; memory that it does not want is freed.

use super::queue::{self, Batch};
use crate::hint::Hint;
use crate::inject::{self, Point};
use crate::lock::{Class, RawLock};
use crate::percpu::{Cpu, Section};
use crate::sys::{self, param, Gfp, Param};
use core::ptr::null_mut;

/// Pages that a CPU starts with, if it may keep as many. Of wrappers it starts with all.
const FIRST_PAGES: u32 = 2;

/// Batches of one capacity, linked by `next`.
struct Pile {
    first: *mut Batch,
    len: Hint<u32>,
}

impl Pile {
    const fn new() -> Self {
        Self {
            first: null_mut(),
            len: Hint::new(0),
        }
    }

    fn take(&mut self) -> *mut Batch {
        let batch = self.first;
        if !batch.is_null() {
            // SAFETY: A batch on the pile is the pile's.
            self.first = unsafe { (*batch).next };
            self.len.set(self.len.get() - 1);
        }
        batch
    }

    /// Puts `batch` on the pile; false, and still the caller's, if that has `limit` already.
    ///
    /// # Safety
    ///
    /// `batch` is the caller's to give.
    unsafe fn put(&mut self, batch: *mut Batch, limit: u32) -> bool {
        if self.len.get() >= limit {
            return false;
        }
        // SAFETY: By the function's requirement.
        unsafe { (*batch).next = self.first };
        self.first = batch;
        self.len.set(self.len.get() + 1);
        true
    }
}

struct Piles {
    pages: Pile,
    wrappers: Pile,
}

impl Piles {
    fn of(&mut self, size: Size) -> &mut Pile {
        match size {
            Size::Page => &mut self.pages,
            Size::Wrapper => &mut self.wrappers,
        }
    }
}

/// What a CPU keeps; others may put batches there.
pub(crate) struct Reserve(RawLock<Piles>);

/// Which kind of batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Page,
    Wrapper,
}

impl Size {
    /// Both.
    const ALL: [Self; 2] = [Self::Page, Self::Wrapper];

    /// How many a CPU keeps.
    fn limit(self) -> u32 {
        param(match self {
            Self::Page => Param::ReservePages,
            Self::Wrapper => Param::ReserveWrappers,
        })
    }

    /// How many it starts with.
    fn first(self) -> u32 {
        match self {
            Self::Page => FIRST_PAGES.min(self.limit()),
            Self::Wrapper => self.limit(),
        }
    }
}

fn capacity(size: Size) -> u32 {
    match size {
        // SAFETY: May be called in any context.
        Size::Page => Batch::fitting(unsafe { sys::gs_sys_page_size() } as usize),
        Size::Wrapper => 1,
    }
}

/// Allocates a batch of others' pointers, or null.
///
/// Context: as `gfp` allows.
pub(crate) fn allocate(size: Size, gfp: Gfp) -> *mut Batch {
    let point = match size {
        Size::Page => Point::Page,
        Size::Wrapper => Point::Wrapper,
    };
    if inject::fails(point) {
        return null_mut();
    }
    queue::allocate_batch(capacity(size), gfp)
}

impl Reserve {
    /// An empty reserve; call [`Self::init`] once it is in place.
    pub(crate) const fn new() -> Self {
        Self(RawLock::new(Piles {
            pages: Pile::new(),
            wrappers: Pile::new(),
        }))
    }

    /// Makes the lock usable and fills the reserve, as far as there is memory. Process context.
    pub(crate) fn init(&self) {
        self.0.init(Class::Reserve);
        self.fill();
    }

    /// Fills it to what a CPU starts with, as far as there is memory. Process context.
    fn fill(&self) {
        // SAFETY: May be called in any context.
        let gfp = unsafe { sys::gs_sys_gfp_kernel() };
        for size in Size::ALL {
            while self.len(size) < size.first() {
                let batch = queue::allocate_batch(capacity(size), gfp);
                if batch.is_null() {
                    break;
                }
                // SAFETY: The batch was just made; nobody else has it.
                unsafe {
                    if !self.put(batch) {
                        queue::free_batch(batch);
                        break;
                    }
                }
            }
        }
    }

    /// Frees what is beyond the limits. Process context.
    fn trim(&self) {
        for size in Size::ALL {
            while self.len(size) > size.limit() {
                let batch = {
                    let (section, _) = Section::open_task();
                    let mut piles = self.0.lock(&section);
                    piles.of(size).take()
                };
                if batch.is_null() {
                    break;
                }
                // SAFETY: It was the pile's.
                unsafe { queue::free_batch(batch) };
            }
        }
    }

    fn len(&self, size: Size) -> u32 {
        let (section, _) = Section::open_task();
        let mut piles = self.0.lock(&section);
        piles.of(size).len.get()
    }

    /// Whether it seems to have a page; a look without the lock.
    fn may_have_page(&self) -> bool {
        // SAFETY: The lock's data is valid.
        unsafe { Hint::look(&raw const (*self.0.peek()).pages.len) != 0 }
    }

    fn take(&self, section: &Section, size: Size, spin: bool) -> *mut Batch {
        let Some(mut piles) = self.0.lock_if(section, spin) else {
            return null_mut();
        };
        piles.of(size).take()
    }

    /// Puts an empty batch in the reserve; false, and still the caller's, if that has enough.
    ///
    /// Context: Process context.
    ///
    /// # Safety
    ///
    /// `batch` is the caller's to give, and empty.
    unsafe fn put(&self, batch: *mut Batch) -> bool {
        // SAFETY: By the function's requirement.
        let size = match unsafe { (*batch).cap() } {
            1 => Size::Wrapper,
            _ => Size::Page,
        };
        let (section, _) = Section::open_task();
        let mut piles = self.0.lock(&section);
        // SAFETY: As above.
        unsafe { piles.of(size).put(batch, size.limit()) }
    }

    /// Pages and wrappers kept, for reports. Process context.
    pub(crate) fn kept(&self) -> (u32, u32) {
        let (section, _) = Section::open_task();
        let piles = self.0.lock(&section);
        (piles.pages.len.get(), piles.wrappers.len.get())
    }

    /// Frees what is kept. Nobody uses the reserve any more.
    pub(crate) fn free(&mut self) {
        // SAFETY: By the function's contract.
        let piles = unsafe { self.0.exclusive() };
        for pile in [&mut piles.pages, &mut piles.wrappers] {
            loop {
                let batch = pile.take();
                if batch.is_null() {
                    break;
                }
                // SAFETY: It was the pile's.
                unsafe { queue::free_batch(batch) };
            }
        }
    }
}

/// Takes an empty batch from the reserve of `cpu`, whose section is open, or of another CPU; null
/// if there is none.
///
/// Context: Any context; without `spin` a lock that is held counts as an empty reserve.
pub(crate) fn take(cpu: &Cpu, section: &Section, size: Size, spin: bool) -> *mut Batch {
    let point = match size {
        Size::Page => Point::CachedPage,
        Size::Wrapper => Point::Reserve,
    };
    if inject::fails(point) {
        return null_mut();
    }
    let own = cpu.reserve.take(section, size, spin);
    if !own.is_null() {
        return own;
    }
    // What this CPU has used may have come back elsewhere. A wrapper is the last resort: for that
    // each is looked at closely.
    Cpu::possible()
        .filter(|other| size == Size::Wrapper || other.reserve.may_have_page())
        .map(|other| other.reserve.take(section, size, spin))
        .find(|batch| !batch.is_null())
        .unwrap_or(null_mut())
}

/// Keeps an empty batch for the next one who needs it, or frees it.
///
/// Context: Process context.
///
/// # Safety
///
/// `batch` is the caller's to give, empty, and of one of our two sizes.
pub(crate) unsafe fn give(batch: *mut Batch) {
    // SAFETY: By the function's requirement; the CPU may change right after, which does no harm.
    unsafe {
        let here = Cpu::get(sys::gs_sys_this_cpu());
        if here.reserve.put(batch) {
            return;
        }
        if (*batch).cap() == 1 && Cpu::possible().any(|other| other.reserve.put(batch)) {
            return;
        }
        queue::free_batch(batch);
    }
}

/// Makes every CPU's reserve fit limits that have been changed. Process context.
#[no_mangle]
extern "C" fn gs_rs_reserve_fit() {
    for cpu in Cpu::possible() {
        cpu.reserve.trim();
        cpu.reserve.fill();
    }
}
