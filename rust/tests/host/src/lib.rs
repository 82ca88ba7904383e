// SPDX-License-Identifier: GPL-2.0

//! Tests of the parts of graceslab that know nobody: state bits and tokens, sheaves, the list of
//! sealed batches, epochs.
//!
//! Each file in `tests/` compiles the module's own sources by `#[path]`. All that they ask of
//! their surroundings is `crate::word`, and that is what this crate has, three times over:
//!
//! - [`plain`]: the machine's atomics, for comparisons with a reference model;
//! - [`weak`]: loom's, for every interleaving and every reordering of a few threads;
//! - [`steps`]: a memory that can be put back, for every interleaving of larger programs.

#![deny(missing_docs, unsafe_op_in_unsafe_fn)]

pub mod plain;
pub mod steps;
pub mod weak;

/// How property tests are run: briefly, and without leaving files behind.
#[macro_export]
macro_rules! brief {
    ($cases:expr) => {
        proptest::test_runner::Config {
            cases: $cases,
            failure_persistence: None,
            ..Default::default()
        }
    };
}
