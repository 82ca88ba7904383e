// SPDX-License-Identifier: GPL-2.0

//! One-word links: the address of an object, and where in it the link to the next one is.
//!
//! An object's own head is one word. It has to say where the next object starts and where *its*
//! head is, and objects of all kinds are on one list. Objects start at multiples of 8 and heads
//! lie at multiples of 8 below 4096, so that six bits of the address make room for the offset:
//! those that only repeat its sign.

/// The word for the object at `addr` with its head at `offset`, which is below 4096: never 0.
#[inline]
pub(crate) const fn pack(addr: usize, offset: usize) -> usize {
    ((addr >> 3) << 9) | (offset >> 3)
}

/// The address and the offset that a word was made of.
#[inline]
pub(crate) const fn unpack(word: usize) -> (usize, usize) {
    (
        ((((word as isize) >> 9) as usize) << 3),
        (word & 0x1ff) << 3,
    )
}
