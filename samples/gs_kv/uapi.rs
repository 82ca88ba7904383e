// SPDX-License-Identifier: GPL-2.0

//! What `/dev/gs_kv` speaks: `gs_kv.h` in Rust, and said there.

use kernel::{
    ioctl::{
        _IO,
        _IOR,
        _IOW,
        _IOWR, //
    },
    prelude::*,
    transmute::{
        AsBytes,
        FromBytes, //
    },
};

/// The longest key, in bytes.
pub(crate) const KEY_MAX: usize = 512;

/// With this many entries the table is full.
pub(crate) const MAX_ENTRIES: usize = 1 << 20;

/// The longest wait or linger.
pub(crate) const LINGER_MAX: u16 = 1 << 14;

/// The argument of `SET`, `DEL` and `GET`.
#[repr(C)]
pub(crate) struct Op {
    pub(crate) key: u64,
    pub(crate) key_len: u32,
    pub(crate) wait: u16,
    pub(crate) linger: u16,
    pub(crate) value: u64,
    pub(crate) generation: u64,
}

/// The argument of `STATS`.
#[repr(C)]
pub(crate) struct TableStats {
    pub(crate) entries: u64,
    pub(crate) buckets: u64,
    pub(crate) resizes: u64,
    pub(crate) created: u64,
    pub(crate) dropped: u64,
    pub(crate) queued: u64,
    pub(crate) done: u64,
    pub(crate) early: u64,
}

static_assert!(size_of::<Op>() == 32);
static_assert!(size_of::<TableStats>() == 64);

// SAFETY: Integers only, so that all bit patterns are valid; no interior mutability.
unsafe impl FromBytes for Op {}
// SAFETY: Integers that fill the type, so that no byte is uninitialized; no interior mutability.
unsafe impl AsBytes for Op {}
// SAFETY: As for `Op`.
unsafe impl AsBytes for TableStats {}

const IOC: u32 = 0xc7;
pub(crate) const SET: u32 = _IOW::<Op>(IOC, 1);
pub(crate) const DEL: u32 = _IOW::<Op>(IOC, 2);
pub(crate) const GET: u32 = _IOWR::<Op>(IOC, 3);
pub(crate) const STATS: u32 = _IOR::<TableStats>(IOC, 4);
pub(crate) const REBUILD: u32 = _IO(IOC, 5);
