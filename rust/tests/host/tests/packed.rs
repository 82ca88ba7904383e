// SPDX-License-Identifier: GPL-2.0

//! One-word links: every address and offset that can be had comes back.

use proptest::prelude::*;

#[path = "../../../rcu/packed.rs"]
mod packed;

/// Multiples of 8 in the two halves of a 57-bit address space.
fn address() -> impl Strategy<Value = usize> {
    (any::<u64>(), any::<bool>()).prop_map(|(bits, kernel)| {
        let low = (bits as usize & ((1 << 56) - 1)) & !7;
        if kernel {
            low | !((1usize << 56) - 1)
        } else {
            low.max(8)
        }
    })
}

proptest! {
    #![proptest_config(graceslab_host::brief!(2000))]

    #[test]
    fn what_is_packed_comes_back(addr in address(), eighths in 0usize..512) {
        let word = packed::pack(addr, eighths * 8);
        prop_assert_eq!(packed::unpack(word), (addr, eighths * 8));
        prop_assert_ne!(word, 0);
    }
}
