// SPDX-License-Identifier: GPL-2.0

//! The kernel's boxes and vectors are freed after a grace period.

use core::mem::MaybeUninit;
use graceslab::{
    kvfree_rcu,
    KvFree, //
};
use kernel::{
    alloc::{
        KVVec,
        VVec, //
    },
    bindings,
    prelude::*, //
};

/// Memory that is looked for when it has not come back.
const SIZE: usize = 1 << 20;
const ROUNDS: usize = 96;

type Block = [u8; SIZE];
type Uninit<T> = MaybeUninit<T>;

/// A pointer that is dangling, but to more than the address 16.
#[derive(Clone, Copy)]
#[repr(align(4096))]
struct Aligned(#[expect(dead_code)] u8);

#[derive(Clone, Copy)]
#[repr(align(4096))]
struct Nothing;

/// Bytes of memory that can be had.
fn available() -> usize {
    // SAFETY: No requirements.
    unsafe { bindings::si_mem_available() as usize * kernel::page::PAGE_SIZE }
}

/// Makes and frees many; whether their memory came back. What else the kernel does with memory
/// is less than half of it.
fn comes_back<P: KvFree>(make: impl Fn() -> Result<P>) -> Result<bool> {
    graceslab::barrier();
    let before = available();
    for i in 0..ROUNDS {
        kvfree_rcu(make()?);
        if i % 16 == 15 {
            graceslab::barrier();
        }
    }
    Ok(available() + ROUNDS * SIZE / 2 > before)
}

#[kunit_tests(gs_rust_kvfree)]
mod tests {
    use super::*;

    #[test]
    fn gs_rust_kvfree_boxes() -> Result {
        assert!(comes_back(|| Ok(KBox::<Uninit<Block>>::new_uninit(
            GFP_KERNEL
        )?))?);
        assert!(comes_back(|| Ok(VBox::<Uninit<Block>>::new_uninit(
            GFP_KERNEL
        )?))?);
        assert!(comes_back(|| Ok(KVBox::<Uninit<Block>>::new_uninit(
            GFP_KERNEL
        )?))?);
        Ok(())
    }

    #[test]
    fn gs_rust_kvfree_vectors() -> Result {
        assert!(comes_back(|| Ok(KVec::<u8>::with_capacity(
            SIZE, GFP_KERNEL
        )?))?);
        assert!(comes_back(|| Ok(VVec::<u8>::with_capacity(
            SIZE, GFP_KERNEL
        )?))?);
        assert!(comes_back(|| Ok(KVVec::<u8>::with_capacity(
            SIZE, GFP_KERNEL
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
}
