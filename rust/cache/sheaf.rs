// SPDX-License-Identifier: GPL-2.0

//! Sheaves: small stacks of object pointers.
//!
//! A sheaf has one owner at a time (a CPU's section, a barn, a list of sealed batches, or whoever
//! took it from one of those) and no lock of its own.

/// A stack of up to `cap` objects. The slots follow the header in memory.
///
/// # Invariants
///
/// `size <= cap`, `cap` slots follow the header, and the first `size` of them hold objects.
#[repr(C)]
pub(crate) struct Sheaf<C> {
    size: u32,
    cap: u32,
    /// The next sheaf on whichever list this one is.
    pub(crate) next: *mut Sheaf<C>,
    /// What the objects wait for, once the sheaf is sealed.
    pub(crate) cookie: C,
    slots: [*mut u8; 0],
}

impl<C: Default> Sheaf<C> {
    /// Bytes that a sheaf of `cap` objects takes.
    pub(crate) const fn bytes(cap: u32) -> usize {
        core::mem::size_of::<Self>() + cap as usize * core::mem::size_of::<*mut u8>()
    }

    /// Objects that fit a sheaf of `bytes`.
    pub(crate) const fn fitting(bytes: usize) -> u32 {
        ((bytes - core::mem::size_of::<Self>()) / core::mem::size_of::<*mut u8>()) as u32
    }

    /// Makes an empty sheaf of the memory at `p`.
    ///
    /// # Safety
    ///
    /// `p` must be the caller's alone, aligned for a pointer and of [`Self::bytes`]`(cap)`.
    pub(crate) unsafe fn init(p: *mut u8, cap: u32) -> *mut Self {
        const { assert!(core::mem::align_of::<C>() <= core::mem::align_of::<*mut u8>()) };
        let s = p.cast::<Self>();
        // SAFETY: By the function's requirements. INVARIANT: The sheaf is empty.
        unsafe {
            s.write(Self {
                size: 0,
                cap,
                next: core::ptr::null_mut(),
                cookie: C::default(),
                slots: [],
            })
        };
        s
    }
}

impl<C> Sheaf<C> {
    /// A sheaf without room: stands where a CPU has none.
    pub(crate) const fn null(cookie: C) -> Self {
        Self {
            size: 0,
            cap: 0,
            next: core::ptr::null_mut(),
            cookie,
            slots: [],
        }
    }

    /// Objects held.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.size
    }

    /// Objects that it can hold; 0 for the null sheaf.
    #[inline]
    pub(crate) fn cap(&self) -> u32 {
        self.cap
    }

    /// Whether no more object fits.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.size == self.cap
    }

    #[inline]
    fn slot(this: *mut Self, i: u32) -> *mut *mut u8 {
        // SAFETY: Callers keep `i < cap`, so that the slot lies in the sheaf's memory; the
        // address is derived from the sheaf's own pointer, not from its header alone.
        unsafe {
            this.cast::<u8>()
                .add(core::mem::size_of::<Self>())
                .cast::<*mut u8>()
                .add(i as usize)
        }
    }

    /// Takes the newest object, or null from an empty sheaf.
    ///
    /// # Safety
    ///
    /// `this` must be a sheaf that the caller owns.
    #[inline]
    pub(crate) unsafe fn pop(this: *mut Self) -> *mut u8 {
        // SAFETY: The caller owns the sheaf, and `size <= cap` by its invariants.
        unsafe {
            let n = (*this).size;
            if n == 0 {
                return core::ptr::null_mut();
            }
            (*this).size = n - 1;
            *Self::slot(this, n - 1)
        }
    }

    /// Moves up to `n` of the newest objects to `to`; their number.
    ///
    /// # Safety
    ///
    /// `this` must be a sheaf that the caller owns, and `to` have `n` places.
    pub(crate) unsafe fn pop_many(this: *mut Self, to: *mut *mut u8, n: usize) -> usize {
        // SAFETY: The caller owns the sheaf, whose first `size` slots hold objects.
        unsafe {
            let left = (*this).size.saturating_sub(n as u32);
            let taken = (*this).size - left;
            // The null sheaf, which has none, is everybody's: nobody writes to it.
            if taken != 0 {
                core::ptr::copy_nonoverlapping(Self::slot(this, left), to, taken as usize);
                (*this).size = left;
            }
            taken as usize
        }
    }

    /// Adds up to `n` objects from `from`, as far as there is room; their number.
    ///
    /// # Safety
    ///
    /// `this` must be a sheaf that the caller owns, and `from` have `n` objects.
    pub(crate) unsafe fn push_many(this: *mut Self, from: *const *mut u8, n: usize) -> usize {
        // SAFETY: The caller owns the sheaf, which has `cap - size` slots left.
        unsafe {
            let size = (*this).size;
            let added = n.min(((*this).cap - size) as usize);
            // As in `pop_many`: the null sheaf has no room.
            if added != 0 {
                core::ptr::copy_nonoverlapping(from, Self::slot(this, size), added);
                (*this).size = size + added as u32;
            }
            added
        }
    }

    /// Adds the first objects of `from`, up to a null pointer and as far as there is room, and
    /// makes their places null; their number.
    ///
    /// # Safety
    ///
    /// `this` must be a sheaf that the caller owns.
    #[inline(always)]
    pub(crate) unsafe fn push_some(this: *mut Self, from: &mut [*mut u8]) -> usize {
        // SAFETY: The caller owns the sheaf, which has `cap - size` slots left; neither runs beyond
        // `n`.
        unsafe {
            let size = (*this).size;
            let room = ((*this).cap - size) as usize;
            let n = room.min(from.len());
            let (to, from) = (Self::slot(this, size), from.as_mut_ptr());
            let mut added = 0;
            while added != n && !(*from.add(added)).is_null() {
                to.add(added).write(*from.add(added));
                from.add(added).write(core::ptr::null_mut());
                added += 1;
            }
            // As in `pop_many`.
            if added != 0 {
                (*this).size = size + added as u32;
            }
            added
        }
    }

    /// [`Self::pop`], where no second look at the object is wanted.
    ///
    /// # Safety
    ///
    /// As for [`Self::pop`].
    #[inline(always)]
    pub(crate) unsafe fn pop_some(this: *mut Self) -> Option<*mut u8> {
        // SAFETY: As in `pop`.
        unsafe {
            // A subtraction whose sign tells: no sheaf has room for that many.
            let left = (*this).size.wrapping_sub(1);
            if (left as i32) < 0 {
                return None;
            }
            (*this).size = left;
            Some(*Self::slot(this, left))
        }
    }

    /// Adds an object; false when there is no room.
    ///
    /// # Safety
    ///
    /// `this` must be a sheaf that the caller owns.
    #[inline]
    pub(crate) unsafe fn push(this: *mut Self, obj: *mut u8) -> bool {
        // SAFETY: The caller owns the sheaf, and `n < cap` where the slot is written.
        unsafe {
            let n = (*this).size;
            if n == (*this).cap {
                return false;
            }
            *Self::slot(this, n) = obj;
            (*this).size = n.wrapping_add(1);
            true
        }
    }

    /// Adds an object to a sheaf that has some already and stays short of full; false otherwise.
    ///
    /// The first object of a batch and the one that fills it need more than a store.
    ///
    /// # Safety
    ///
    /// `this` must be a sheaf that the caller owns.
    #[inline]
    pub(crate) unsafe fn push_more(this: *mut Self, obj: *mut u8) -> bool {
        // SAFETY: The caller owns the sheaf; `0 < n < cap - 1` where the slot is written.
        unsafe {
            let n = (*this).size;
            if n == 0 || n.wrapping_add(1) >= (*this).cap {
                return false;
            }
            *Self::slot(this, n) = obj;
            (*this).size = n.wrapping_add(1);
            true
        }
    }

    /// The slot after the last object.
    ///
    /// # Safety
    ///
    /// `this` must be a sheaf that the caller owns.
    pub(crate) unsafe fn end(this: *mut Self) -> *mut *mut u8 {
        // SAFETY: `size <= cap` by the sheaf's invariants.
        unsafe { Self::slot(this, (*this).size) }
    }

    /// Counts `n` objects that were written to [`Self::end`] and what follows.
    ///
    /// # Safety
    ///
    /// `this` must be a sheaf that the caller owns, with room for them.
    pub(crate) unsafe fn grew(this: *mut Self, n: u32) {
        // SAFETY: By the function's requirements.
        unsafe {
            debug_assert!(n <= (*this).cap - (*this).size);
            (*this).size = (*this).size.wrapping_add(n);
        }
    }

    /// The objects held, oldest first.
    ///
    /// # Safety
    ///
    /// `this` must be a sheaf that the caller owns for as long as the slice is used.
    pub(crate) unsafe fn objects<'a>(this: *mut Self) -> &'a mut [*mut u8] {
        // SAFETY: The first `size` slots are initialised by the sheaf's invariants.
        unsafe { core::slice::from_raw_parts_mut(Self::slot(this, 0), (*this).size as usize) }
    }

    /// Puts the objects in another order: `random` gives a number below its argument.
    ///
    /// # Safety
    ///
    /// `this` must be a sheaf that the caller owns.
    pub(crate) unsafe fn shuffle(this: *mut Self, mut random: impl FnMut(usize) -> usize) {
        // SAFETY: By the function's requirement.
        let objects = unsafe { Self::objects(this) };
        for i in (1..objects.len()).rev() {
            objects.swap(i, random(i + 1));
        }
    }

    /// Forgets all objects but the first `len`, which its owner has dealt with elsewhere.
    pub(crate) fn truncate(&mut self, len: u32) {
        debug_assert!(len <= self.size);
        self.size = len;
    }
}
