// SPDX-License-Identifier: GPL-2.0

//! Epochs against two counters, one operation after the other.

use graceslab_host::{brief, plain as word};
use proptest::prelude::*;
use proptest::sample::Index;

#[path = "../../../rcu/epoch.rs"]
mod epoch;

use epoch::{Claim, Epochs};
use word::Word;

#[derive(Clone, Debug)]
enum Op {
    Claim,
    End(Index),
    /// Flips, if the idle counter is at zero as a waiter has to see it.
    Flip,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::Claim),
        4 => any::<Index>().prop_map(Op::End),
        2 => Just(Op::Flip),
    ]
}

proptest! {
    #![proptest_config(brief!(400))]

    /// Claims go to the counter that the next flip returns, and the last one to end says which.
    #[test]
    fn follow_the_model(ops in prop::collection::vec(op(), 1..120)) {
        let epochs = Epochs::new();
        let mut claims: Vec<(Claim, usize)> = Vec::new();
        let (mut parity, mut counts) = (0, [0usize; 2]);
        // Where each parity's counter is, as far as that is known.
        let mut words: [Option<*const Word>; 2] = [None; 2];
        let mut known = |parity: usize, word: &Word| {
            let at = &raw const *word;
            let same = *words[parity].get_or_insert(at) == at;
            same && words[0] != words[1]
        };
        for op in ops {
            match op {
                Op::Claim => {
                    claims.push((epochs.claim(), parity));
                    counts[parity] += 1;
                }
                Op::End(i) if !claims.is_empty() => {
                    let (claim, to) = claims.swap_remove(i.index(claims.len()));
                    counts[to] -= 1;
                    let woken = epochs.end(claim);
                    prop_assert_eq!(woken.is_some(), counts[to] == 0);
                    prop_assert!(woken.is_none_or(|word| known(to, word)));
                }
                Op::End(_) => (),
                Op::Flip if counts[parity ^ 1] == 0 => {
                    let word = epochs.flip();
                    prop_assert_eq!(word.load(), counts[parity]);
                    prop_assert!(known(parity, word));
                    parity ^= 1;
                }
                Op::Flip => (),
            }
            let idle = epochs.idle();
            prop_assert_eq!(idle.load(), counts[parity ^ 1]);
            prop_assert!(known(parity ^ 1, idle));
        }
    }
}
