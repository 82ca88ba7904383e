// SPDX-License-Identifier: GPL-2.0

//! Sheaves against a vector, in memory that has guards before and behind.

use graceslab_host::brief;
use proptest::prelude::*;
use proptest::sample::Index;
use std::fmt::Debug;

#[path = "../../../cache/sheaf.rs"]
mod sheaf;

use sheaf::Sheaf;

const GUARD: usize = 0x6a72_6475;
/// What the memory holds before a sheaf is made of it.
const JUNK: usize = 0x6b6e_756a;

#[derive(Clone, Debug)]
enum Op {
    Push(usize),
    PushMore(usize),
    Pop,
    PushMany(Vec<usize>),
    /// Some of which are null.
    PushSome(Vec<usize>),
    PopMany(usize),
    Truncate(Index),
    /// Writes through the slice of objects.
    Reverse,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => any::<usize>().prop_map(Op::Push),
        4 => any::<usize>().prop_map(Op::PushMore),
        3 => Just(Op::Pop),
        2 => prop::collection::vec(any::<usize>(), 0..30).prop_map(Op::PushMany),
        2 => prop::collection::vec(prop_oneof![1 => Just(0), 9 => 1usize..], 0..30)
            .prop_map(Op::PushSome),
        3 => (0..50usize).prop_map(Op::PopMany),
        1 => any::<Index>().prop_map(Op::Truncate),
        1 => Just(Op::Reverse),
    ]
}

/// A sheaf in memory of exactly its size, between guards.
struct Guarded<C> {
    memory: Vec<usize>,
    sheaf: *mut Sheaf<C>,
}

impl<C: Default + Copy + PartialEq + Debug> Guarded<C> {
    fn new(cap: u32) -> Self {
        let word = size_of::<usize>();
        assert_eq!(Sheaf::<C>::bytes(cap) % word, 0);
        let words = Sheaf::<C>::bytes(cap) / word;
        let mut memory = vec![JUNK; words + 2];
        memory[0] = GUARD;
        memory[words + 1] = GUARD;
        // SAFETY: The second word is in the vector.
        let at = unsafe { memory.as_mut_ptr().add(1) };
        // SAFETY: `at` is aligned for a pointer, and a sheaf's size short of the last guard.
        let sheaf = unsafe { Sheaf::<C>::init(at.cast(), cap) };
        Self { memory, sheaf }
    }

    fn len(&self) -> u32 {
        // SAFETY: The sheaf is this test's own.
        unsafe { (*self.sheaf).len() }
    }

    fn objects(&mut self) -> &mut [*mut u8] {
        // SAFETY: As above.
        unsafe { Sheaf::objects(self.sheaf) }
    }

    fn check(&mut self, cap: u32, model: &[usize], cookie: C) {
        let start = self.memory.as_ptr();
        // SAFETY: Both are in the vector. Not through the vector itself, of which the sheaf has
        // pointers.
        let guards = unsafe { (start.read(), start.add(self.memory.len() - 1).read()) };
        assert_eq!(guards, (GUARD, GUARD));
        // SAFETY: The sheaf is this test's own.
        let s = unsafe { &*self.sheaf };
        assert_eq!((s.len(), s.cap()), (model.len() as u32, cap));
        assert_eq!(s.is_full(), model.len() as u32 == cap);
        assert!(s.next.is_null());
        assert_eq!(s.cookie, cookie);
        let held: Vec<usize> = self.objects().iter().map(|&p| p as usize).collect();
        assert_eq!(held, model);
    }

    fn apply(&mut self, op: &Op, cap: u32, model: &mut Vec<usize>) {
        let ptr = |v: usize| v as *mut u8;
        match *op {
            Op::Push(v) => {
                // SAFETY: The sheaf is this test's own.
                let pushed = unsafe { Sheaf::push(self.sheaf, ptr(v)) };
                assert_eq!(pushed, model.len() < cap as usize);
                model.extend(pushed.then_some(v));
            }
            Op::PushMore(v) => {
                // SAFETY: As above.
                let pushed = unsafe { Sheaf::push_more(self.sheaf, ptr(v)) };
                assert_eq!(pushed, !model.is_empty() && model.len() + 1 < cap as usize);
                model.extend(pushed.then_some(v));
            }
            Op::Pop => {
                // SAFETY: As above.
                let popped = unsafe { Sheaf::pop(self.sheaf) };
                assert_eq!(popped as usize, model.pop().unwrap_or(0));
            }
            Op::PushMany(ref from) => {
                let objects: Vec<*mut u8> = from.iter().map(|&v| ptr(v)).collect();
                // SAFETY: As above, and `objects` has as many.
                let n = unsafe { Sheaf::push_many(self.sheaf, objects.as_ptr(), objects.len()) };
                assert_eq!(n, from.len().min(cap as usize - model.len()));
                model.extend(&from[..n]);
            }
            Op::PushSome(ref from) => {
                let mut objects: Vec<*mut u8> = from.iter().map(|&v| ptr(v)).collect();
                // SAFETY: As above.
                let n = unsafe { Sheaf::push_some(self.sheaf, &mut objects) };
                let some = from.iter().take_while(|&&v| v != 0).count();
                assert_eq!(n, some.min(cap as usize - model.len()));
                assert!(objects[..n].iter().all(|p| p.is_null()));
                assert!(objects[n..]
                    .iter()
                    .map(|&p| p as usize)
                    .eq(from[n..].iter().copied()));
                model.extend(&from[..n]);
            }
            Op::PopMany(n) => {
                let mut to = vec![ptr(JUNK); n];
                // SAFETY: As above, and `to` has as many places.
                let got = unsafe { Sheaf::pop_many(self.sheaf, to.as_mut_ptr(), n) };
                assert_eq!(got, n.min(model.len()));
                let newest = model.split_off(model.len() - got);
                assert!(to[..got].iter().map(|&p| p as usize).eq(newest));
                assert!(to[got..].iter().all(|&p| p as usize == JUNK));
            }
            Op::Truncate(len) => {
                let len = len.index(model.len() + 1);
                // SAFETY: As above.
                unsafe { (*self.sheaf).truncate(len as u32) };
                model.truncate(len);
            }
            Op::Reverse => {
                self.objects().reverse();
                model.reverse();
            }
        }
    }
}

fn follow<C: Default + Copy + PartialEq + Debug>(cap: u32, ops: &[Op], cookie: C) {
    let mut sheaf = Guarded::<C>::new(cap);
    let mut model = Vec::new();
    sheaf.check(cap, &model, C::default());
    // SAFETY: The sheaf is this test's own.
    unsafe { (*sheaf.sheaf).cookie = cookie };
    for op in ops {
        sheaf.apply(op, cap, &mut model);
        sheaf.check(cap, &model, cookie);
    }
    // To the brim, and not one further.
    while sheaf.len() < cap {
        sheaf.apply(&Op::Push(cap as usize), cap, &mut model);
    }
    sheaf.apply(&Op::Push(1), cap, &mut model);
    sheaf.apply(&Op::PushMore(1), cap, &mut model);
    sheaf.check(cap, &model, cookie);
    let end = sheaf.sheaf as usize + Sheaf::<C>::bytes(cap);
    assert_eq!(sheaf.objects().as_ptr_range().end as usize, end);
}

proptest! {
    #![proptest_config(brief!(250))]

    /// A sheaf is a stack of so many objects, and keeps to its memory.
    #[test]
    fn follow_the_model(cap in 0..=40u32, ops in prop::collection::vec(op(), 0..120)) {
        follow::<[usize; 2]>(cap, &ops, [3, 4]);
    }

    /// So is one with a cookie of another size.
    #[test]
    fn other_cookies(cap in 0..=9u32, ops in prop::collection::vec(op(), 0..40)) {
        follow::<()>(cap, &ops, ());
        follow::<u8>(cap, &ops, 5);
        follow::<(u32, u64)>(cap, &ops, (6, 7));
    }

    /// What fits is what there is memory for.
    #[test]
    fn fitting(cap in 0..100_000u32, more in 0..64usize) {
        type S = Sheaf<[usize; 2]>;
        prop_assert_eq!(S::bytes(cap), S::bytes(0) + cap as usize * size_of::<*mut u8>());
        prop_assert!(S::bytes(0) >= size_of::<S>());
        let bytes = S::bytes(cap) + more;
        let fits = S::fitting(bytes);
        prop_assert!(S::bytes(fits) <= bytes && bytes < S::bytes(fits + 1));
    }
}

/// A null sheaf in memory that cannot be written.
struct ReadOnly(Sheaf<usize>);

// SAFETY: Nobody writes to it.
unsafe impl Sync for ReadOnly {}

static NULL: ReadOnly = ReadOnly(Sheaf::null(9));

/// The null sheaf takes nothing and has nothing: nobody ever writes to it, or this test dies.
#[test]
fn null() {
    let sheaf = (&raw const NULL.0).cast_mut();
    let one = [0u8].as_mut_ptr();
    let mut some = [one; 2];
    // SAFETY: A sheaf without room is not written to.
    unsafe {
        assert!(!Sheaf::push(sheaf, one));
        assert!(!Sheaf::push_more(sheaf, one));
        assert_eq!(Sheaf::push_many(sheaf, some.as_ptr(), some.len()), 0);
        assert_eq!(Sheaf::push_some(sheaf, &mut some), 0);
        assert!(Sheaf::pop(sheaf).is_null());
        assert!(Sheaf::pop_some(sheaf).is_none());
        assert_eq!(Sheaf::pop_many(sheaf, some.as_mut_ptr(), some.len()), 0);
    }
    assert_eq!(some, [one; 2]);
    assert_eq!((NULL.0.len(), NULL.0.cap(), NULL.0.cookie), (0, 0, 9));
}
