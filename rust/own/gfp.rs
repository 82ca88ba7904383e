// SPDX-License-Identifier: GPL-2.0

//! Allocation flags on their way to C.

use kernel::{
    alloc::{
        flags::*,
        Flags, //
    },
    bindings, //
};

/// The C side's form of `flags`.
///
/// The kernel crate keeps the number to itself, but lets one ask what is in it: `flags` is taken
/// apart into the pieces that its constants have in common, or to themselves.
#[inline]
pub(crate) fn raw(flags: Flags) -> bindings::gfp_t {
    let kswapd = GFP_ATOMIC & GFP_NOWAIT;
    let raw_kswapd = bindings::GFP_ATOMIC & bindings::GFP_NOWAIT;
    let parts = [
        (__GFP_ZERO, bindings::__GFP_ZERO),
        (__GFP_HIGHMEM, bindings::__GFP_HIGHMEM),
        (__GFP_NOWARN, bindings::__GFP_NOWARN),
        (kswapd, raw_kswapd),
        (
            GFP_ATOMIC & !GFP_NOWAIT,
            bindings::GFP_ATOMIC & !bindings::GFP_NOWAIT,
        ),
        (
            GFP_NOWAIT & !GFP_ATOMIC,
            bindings::GFP_NOWAIT & !bindings::GFP_ATOMIC,
        ),
        (GFP_KERNEL & !kswapd, bindings::GFP_KERNEL & !raw_kswapd),
        (
            GFP_KERNEL_ACCOUNT & !GFP_KERNEL,
            bindings::GFP_KERNEL_ACCOUNT & !bindings::GFP_KERNEL,
        ),
    ];
    let mut raw = 0;
    for (part, bits) in parts {
        if flags.contains(part) {
            raw |= bits;
        }
    }
    raw
}

/// `gfp`, less what would make it sleep; as it is where nothing would.
#[inline]
pub(crate) fn at_once(gfp: bindings::gfp_t) -> bindings::gfp_t {
    const SLEEPS: bindings::gfp_t = bindings::GFP_KERNEL & !bindings::GFP_NOWAIT;

    if gfp & SLEEPS == 0 {
        gfp
    } else {
        (gfp & !SLEEPS) | bindings::__GFP_NOWARN
    }
}
