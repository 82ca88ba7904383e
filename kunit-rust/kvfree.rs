// SPDX-License-Identifier: GPL-2.0

//! The kernel's boxes and vectors are freed after a grace period.

use crate::support::{
    comes_back,
    Attempt,
    Failing,
    BLOCK, //
};
use core::mem::MaybeUninit;
use graceslab::{
    kvfree_rcu,
    try_kvfree_rcu,
    KvFree, //
};
use kernel::{
    alloc::{
        KVVec,
        VVec, //
    },
    prelude::*,
    sync::rcu, //
};

type Block = [u8; BLOCK];
type Uninit<T> = MaybeUninit<T>;

/// A pointer that is dangling, but to more than the address 16.
#[derive(Clone, Copy)]
#[repr(align(4096))]
struct Aligned(#[expect(dead_code)] u8);

#[derive(Clone, Copy)]
#[repr(align(4096))]
struct Nothing;

/// Frees many, by the one way and by the other; whether their memory came back.
fn both_come_back<P: KvFree>(make: impl Fn() -> Result<P>) -> Result<bool> {
    let may_sleep = comes_back(|| {
        kvfree_rcu(make()?);
        Ok(())
    })?;
    let may_not = comes_back(|| {
        let p = make()?;
        let guard = rcu::read_lock();
        let left = try_kvfree_rcu(p, GFP_NOWAIT | __GFP_NOWARN).err();
        drop(guard);
        left.map_or(Ok(()), |_| Err(ENOMEM))
    })?;
    Ok(may_sleep && may_not)
}

/// Has something refused where there is no memory, and what was not; the former as it is now.
fn refused<P: KvFree>(make: impl Fn(usize) -> Result<P>) -> Result<P> {
    let _failing = Failing::new(&[
        Attempt::Page,
        Attempt::CachedPage,
        Attempt::Reserve,
        Attempt::Wrapper,
    ]);
    // What room there is in pages that were there before is used up first.
    for n in 0..10_000 {
        if let Err(p) = try_kvfree_rcu(make(n)?, GFP_NOWAIT) {
            return Ok(p);
        }
    }
    Err(EIO)
}

#[kunit_tests(gs_rust_kvfree)]
mod tests {
    use super::*;

    #[test]
    fn gs_rust_kvfree_boxes() -> Result {
        assert!(both_come_back(|| Ok(KBox::<Uninit<Block>>::new_uninit(
            GFP_KERNEL
        )?))?);
        assert!(both_come_back(|| Ok(VBox::<Uninit<Block>>::new_uninit(
            GFP_KERNEL
        )?))?);
        assert!(both_come_back(|| Ok(KVBox::<Uninit<Block>>::new_uninit(
            GFP_KERNEL
        )?))?);
        Ok(())
    }

    #[test]
    fn gs_rust_kvfree_vectors() -> Result {
        assert!(both_come_back(|| Ok(KVec::<u8>::with_capacity(
            BLOCK, GFP_KERNEL
        )?))?);
        assert!(both_come_back(|| Ok(VVec::<u8>::with_capacity(
            BLOCK, GFP_KERNEL
        )?))?);
        assert!(both_come_back(|| Ok(KVVec::<u8>::with_capacity(
            BLOCK, GFP_KERNEL
        )?))?);
        Ok(())
    }

    /// From a word to some pages, empty or not, and of things that are not bytes.
    #[test]
    fn gs_rust_kvfree_sizes() -> Result {
        for n in [1, 2, 3, 7, 64, 511, 1024, 5000] {
            let mut numbers = KVec::from_elem(n as u64, n, GFP_KERNEL)?;
            numbers.clear();
            kvfree_rcu(numbers);
            kvfree_rcu(VVec::from_elem((n, n as u8), n, GFP_KERNEL)?);
            kvfree_rcu(KVVec::from_elem([n as u16; 3], n, GFP_KERNEL)?);
        }
        kvfree_rcu(KBox::new(1u8, GFP_KERNEL)?);
        kvfree_rcu(VBox::new([1u64; 9], GFP_KERNEL)?);
        kvfree_rcu(KVBox::new((1u8, 2u64), GFP_KERNEL)?);
        kvfree_rcu(KBox::new(Aligned(0), GFP_KERNEL)?);
        graceslab::barrier();
        Ok(())
    }

    /// Where there is no memory, none is freed: these pointers lead nowhere.
    #[test]
    fn gs_rust_kvfree_nothing() -> Result {
        kvfree_rcu(KVec::<Aligned>::new());
        kvfree_rcu(VVec::<Aligned>::new());
        kvfree_rcu(KVVec::<Aligned>::new());
        kvfree_rcu(KVec::<u8>::new());
        kvfree_rcu(KBox::new(Nothing, GFP_KERNEL)?);
        kvfree_rcu(VBox::new(Nothing, GFP_KERNEL)?);
        kvfree_rcu(KVBox::new(Nothing, GFP_KERNEL)?);
        kvfree_rcu(KVec::from_elem(Nothing, 3, GFP_KERNEL)?);
        kvfree_rcu(VVec::from_elem(Nothing, 3, GFP_KERNEL)?);
        kvfree_rcu(KVVec::from_elem(Nothing, 3, GFP_KERNEL)?);
        graceslab::barrier();
        Ok(())
    }
    /// Nor where it is to be queued without sleeping, even where there is no memory for that.
    #[test]
    fn gs_rust_kvfree_try_nothing() -> Result {
        // There is no room anywhere.
        drop(refused(|_| Ok(KBox::new(0u64, GFP_KERNEL)?))?);
        drop(refused(|_| Ok(VVec::from_elem(0u8, 1, GFP_KERNEL)?))?);
        let _failing = Failing::new(&[
            Attempt::Page,
            Attempt::CachedPage,
            Attempt::Reserve,
            Attempt::Wrapper,
        ]);
        assert!(try_kvfree_rcu(KVec::<Aligned>::new(), GFP_NOWAIT).is_ok());
        assert!(try_kvfree_rcu(KVVec::<u8>::new(), GFP_NOWAIT).is_ok());
        assert!(try_kvfree_rcu(KBox::new(Nothing, GFP_KERNEL)?, GFP_NOWAIT).is_ok());
        let nothings = VVec::from_elem(Nothing, 3, GFP_KERNEL)?;
        assert!(try_kvfree_rcu(nothings, GFP_NOWAIT).is_ok());
        Ok(())
    }

    /// What is refused comes back as it was, and can be used, dropped, or given again.
    #[test]
    fn gs_rust_kvfree_refused() -> Result {
        let mut numbers = refused(|n| {
            let mut numbers = KVVec::with_capacity(100 + n, GFP_KERNEL)?;
            numbers.extend_from_slice(&[n, !n], GFP_KERNEL)?;
            Ok(numbers)
        })?;
        let n = numbers[0];
        assert_eq!(numbers[..], [n, !n]);
        assert!(numbers.capacity() >= 100 + n);
        let first = numbers.as_ptr();
        numbers.push(n + 1, GFP_KERNEL)?;
        assert_eq!(numbers.as_ptr(), first);
        assert!(try_kvfree_rcu(numbers, GFP_KERNEL).is_ok());

        let number = refused(|n| Ok(KBox::new(n, GFP_KERNEL)?))?;
        assert!(*number < 10_000);
        kvfree_rcu(number);
        let number = refused(|n| Ok(VBox::new([n; 2], GFP_KERNEL)?))?;
        assert_eq!(number[0], number[1]);
        drop(number);
        graceslab::barrier();
        Ok(())
    }
}
