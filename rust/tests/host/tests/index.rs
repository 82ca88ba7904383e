// SPDX-License-Identifier: GPL-2.0

//! Tables of caches against a vector: what was entered and not removed is found, in the order that
//! is promised, and nothing else is looked at.

use graceslab_host::brief;
use proptest::prelude::*;
use std::cell::RefCell;
use std::mem::offset_of;
use std::ptr::null_mut;

#[allow(dead_code)]
#[path = "../../../cache/index.rs"]
mod index;

/// What stands for a cache.
struct Item {
    id: usize,
    hash: usize,
    next: *mut Item,
}

type Index = index::Index<Item, { offset_of!(Item, next) }>;

/// Hashes in a few buckets, more than one to a bucket.
fn hash() -> impl Strategy<Value = usize> {
    (0usize..3, 0usize..3).prop_map(|(bucket, above)| bucket + above * 1024)
}

#[derive(Clone, Debug)]
enum Op {
    Insert(usize),
    Remove(prop::sample::Index),
    /// Of one that is not in the table.
    RemoveOther(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => hash().prop_map(Op::Insert),
        3 => any::<prop::sample::Index>().prop_map(Op::Remove),
        1 => hash().prop_map(Op::RemoveOther),
    ]
}

/// The items that a search for `hash` looks at, in the order that it does.
fn looked_at(index: &Index, hash: usize) -> Vec<usize> {
    let seen = RefCell::new(Vec::new());
    let found = index.find(hash, |item| {
        seen.borrow_mut().push(item.id);
        // Of a chain that does not end, too.
        seen.borrow().len() > 1000
    });
    assert!(found.is_null());
    seen.into_inner()
}

proptest! {
    #![proptest_config(brief!(300))]

    #[test]
    fn like_a_vector(ops in prop::collection::vec(op(), 0..60)) {
        let mut index = Index::new();
        // Oldest first; those that were removed are freed at once.
        let mut there: Vec<Box<Item>> = Vec::new();
        for (id, op) in ops.into_iter().enumerate() {
            match op {
                Op::Insert(hash) => {
                    let mut item = Box::new(Item { id, hash, next: null_mut() });
                    // SAFETY: The item is in the vector until it is removed.
                    unsafe { index.insert(hash, &mut *item) };
                    there.push(item);
                }
                Op::Remove(which) if !there.is_empty() => {
                    let mut item = there.remove(which.index(there.len()));
                    index.remove(item.hash, &mut *item);
                }
                Op::Remove(_) => {}
                Op::RemoveOther(hash) => {
                    let mut item = Item { id, hash, next: null_mut() };
                    index.remove(hash, &mut item);
                }
            }
            for bucket in 0..4 {
                let newest_first: Vec<usize> = there.iter().rev()
                    .filter(|item| item.hash % 1024 == bucket)
                    .map(|item| item.id)
                    .collect();
                prop_assert_eq!(looked_at(&index, bucket), newest_first);
            }
            for item in &there {
                let found = index.find(item.hash, |other| other.id == item.id);
                prop_assert!(std::ptr::eq(found, &**item));
            }
        }
    }
}

/// Names and addresses spread over the buckets: of as many as there are buckets, few share one.
#[test]
fn spread() {
    let most = |hashes: &mut dyn Iterator<Item = usize>| {
        let mut buckets = [0; 1024];
        hashes.for_each(|hash| buckets[hash % 1024] += 1);
        *buckets.iter().max().unwrap()
    };
    let names = (0..1024).map(|i| format!("cache_{i}"));
    assert!(most(&mut names.map(|name| index::of_name(name.as_bytes()))) <= 10);
    let addresses = (0..1024usize).map(|i| 0xffff_8880_0000_0000_usize.wrapping_add(i * 1024));
    assert!(most(&mut addresses.map(|at| index::of_address(at as *const Item))) <= 10);
}
