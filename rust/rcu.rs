// SPDX-License-Identifier: GPL-2.0

//! Deferred freeing: batches, grace periods, and waiting for them.

pub(crate) mod barrier;
pub(crate) mod batch;
pub(crate) mod cookie;
pub(crate) mod domain;
pub(crate) mod doorbell;
pub(crate) mod epoch;
pub(crate) mod eras;
pub(crate) mod foreign;
pub(crate) mod head;
mod packed;
pub(crate) mod pressure;
pub(crate) mod queue;
pub(crate) mod request;
pub(crate) mod reserve;
pub(crate) mod steps;
pub(crate) mod twice;

use crate::cache::sheaf;
