// SPDX-License-Identifier: GPL-2.0

//! Intrusive lists of raw pointers: a doubly linked one for lock holders, and a stack that any
//! context may push to.
//!
//! The kernel crate's list owns its items by reference count; slabs and per-CPU queues belong to
//! their cache and must be linked without memory or counting.

use core::marker::{PhantomData, PhantomPinned};
use core::ptr::null_mut;
use kernel::sync::atomic::{Acquire, Atomic, Full, Relaxed};

/// A place in a [`List`].
///
/// # Invariants
///
/// `next` and `prev` are both null (unlinked) or both the neighbours in one circle.
#[repr(C)]
pub(crate) struct Link {
    next: *mut Link,
    prev: *mut Link,
}

impl Link {
    /// An unlinked place.
    pub(crate) const fn new() -> Self {
        Self {
            next: null_mut(),
            prev: null_mut(),
        }
    }

    /// Whether the place is on a list.
    pub(crate) fn is_linked(&self) -> bool {
        !self.next.is_null()
    }
}

/// A circle of `T`s, linked by the [`Link`] at offset `OFF` of each.
///
/// The head links to itself when first used, so that a list may move until then.
pub(crate) struct List<T, const OFF: usize> {
    head: Link,
    len: usize,
    _p: PhantomData<*mut T>,
    // Neighbours point to the head: a `&mut` to the list is not the only way to it.
    _pin: PhantomPinned,
}

impl<T, const OFF: usize> List<T, OFF> {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self {
            head: Link::new(),
            len: 0,
            _p: PhantomData,
            _pin: PhantomPinned,
        }
    }

    /// Items on the list.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn link(item: *mut T) -> *mut Link {
        // SAFETY: `OFF` is the offset of a `Link` within `T`.
        unsafe { item.cast::<u8>().add(OFF).cast() }
    }

    fn item(link: *mut Link) -> *mut T {
        // SAFETY: `link` is the `Link` at offset `OFF` of a `T`.
        unsafe { link.cast::<u8>().sub(OFF).cast() }
    }

    /// # Safety
    ///
    /// `item` must be valid and unlinked, and stay valid while it is linked.
    unsafe fn insert(&mut self, item: *mut T, back: bool) {
        let head = &raw mut self.head;
        let link = Self::link(item);
        // SAFETY: `head` and its neighbours are valid by the list's invariants, `link` by the
        // function's requirements.
        unsafe {
            if (*head).next.is_null() {
                (*head).next = head;
                (*head).prev = head;
            }
            let (prev, next) = if back {
                ((*head).prev, head)
            } else {
                (head, (*head).next)
            };
            (*link).prev = prev;
            (*link).next = next;
            (*prev).next = link;
            (*next).prev = link;
        }
        self.len += 1;
    }

    /// Appends `item`.
    ///
    /// # Safety
    ///
    /// `item` must be valid and unlinked, and stay valid while it is linked.
    pub(crate) unsafe fn push_back(&mut self, item: *mut T) {
        // SAFETY: By the function's requirements.
        unsafe { self.insert(item, true) }
    }

    /// Prepends `item`.
    ///
    /// # Safety
    ///
    /// `item` must be valid and unlinked, and stay valid while it is linked.
    pub(crate) unsafe fn push_front(&mut self, item: *mut T) {
        // SAFETY: By the function's requirements.
        unsafe { self.insert(item, false) }
    }

    /// Unlinks `item`.
    ///
    /// # Safety
    ///
    /// `item` must be on this list.
    pub(crate) unsafe fn remove(&mut self, item: *mut T) {
        let link = Self::link(item);
        // SAFETY: `item` is linked, so its neighbours are valid.
        unsafe {
            (*(*link).prev).next = (*link).next;
            (*(*link).next).prev = (*link).prev;
            *link = Link::new();
        }
        self.len -= 1;
    }

    /// The first item, or null.
    pub(crate) fn front(&self) -> *mut T {
        self.after_link(&self.head)
    }

    /// The item after `item`, or null.
    ///
    /// # Safety
    ///
    /// `item` must be on this list.
    pub(crate) unsafe fn next(&self, item: *mut T) -> *mut T {
        // SAFETY: `item` is linked.
        self.after_link(unsafe { &*Self::link(item) })
    }

    fn after_link(&self, link: &Link) -> *mut T {
        if link.next.is_null() || core::ptr::eq(link.next, &self.head) {
            null_mut()
        } else {
            Self::item(link.next)
        }
    }

    /// Takes the first item, or null.
    pub(crate) fn pop_front(&mut self) -> *mut T {
        let item = self.front();
        if !item.is_null() {
            // SAFETY: `item` is the first on this list.
            unsafe { self.remove(item) };
        }
        item
    }
}

/// A stack linked by the `*mut T` at offset `OFF` of each item; any context may push.
///
/// Only whole stacks are taken, so there is no ABA problem.
pub(crate) struct Stack<T, const OFF: usize>(Atomic<*mut T>);

impl<T, const OFF: usize> Stack<T, OFF> {
    /// An empty stack.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(null_mut()))
    }

    fn next_of(item: *mut T) -> *mut *mut T {
        // SAFETY: `OFF` is the offset of a `*mut T` within `T`.
        unsafe { item.cast::<u8>().add(OFF).cast() }
    }

    /// Whether nothing is on it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Relaxed).is_null()
    }

    /// Pushes `item`; true when the stack was empty. Fully ordered.
    ///
    /// # Safety
    ///
    /// `item` must be valid, on no such stack, and stay valid until it is taken.
    pub(crate) unsafe fn push(&self, item: *mut T) -> bool {
        let mut head = self.0.load(Relaxed);
        loop {
            // SAFETY: `item` is valid and nobody else's until the exchange below succeeds.
            unsafe { *Self::next_of(item) = head };
            // Pairs with the acquire in `take`: the taker sees what was written to the item.
            match self.0.cmpxchg(head, item, Full) {
                Ok(_) => return head.is_null(),
                Err(now) => head = now,
            }
        }
    }

    /// Takes all items, newest first; walk them with [`Self::pop_taken`].
    pub(crate) fn take(&self) -> *mut T {
        // Pairs with the full ordering in `push`.
        self.0.xchg(null_mut(), Acquire)
    }

    /// Splits the first item off `taken`, or null.
    ///
    /// # Safety
    ///
    /// `taken` must come from [`Self::take`] of a stack with this `OFF`.
    pub(crate) unsafe fn pop_taken(taken: &mut *mut T) -> *mut T {
        let item = *taken;
        if !item.is_null() {
            // SAFETY: The items taken belong to the caller.
            *taken = unsafe { *Self::next_of(item) };
        }
        item
    }
}
