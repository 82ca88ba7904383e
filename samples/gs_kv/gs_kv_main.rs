// SPDX-License-Identifier: GPL-2.0

//! A key-value table behind `/dev/gs_kv`, as a module that uses `graceslab` would be written.
//!
//! - [`entry`]: what is kept, in a [`graceslab::Cache`], and freed headless.
//! - [`buckets`]: the array that is replaced under readers and freed by [`graceslab::kvfree_rcu`].
//! - [`table`]: the hash table made of these, and how it is resized.
//! - [`grace`]: a grace period to ask about.
//! - [`device`], [`uapi`]: the way in from user space.

#![deny(
    unsafe_op_in_unsafe_fn,
    clippy::undocumented_unsafe_blocks,
    missing_docs
)]

mod buckets;
mod device;
mod entry;
mod grace;
mod table;
mod uapi;

use device::Device;
use kernel::{
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc, //
    }, //
};
use table::Table;

module! {
    type: GsKv,
    name: "gs_kv",
    authors: ["The graceslab authors"],
    description: "Key-value table on graceslab caches and headless RCU freeing",
    license: "GPL",
}

struct GsKv {
    device: Option<Pin<KBox<Device>>>,
    table: Option<Arc<Table>>,
}

impl kernel::Module for GsKv {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let table = Arc::pin_init(Table::new(), GFP_KERNEL)?;
        let device = KBox::try_pin_init(Device::new(module, table.clone())?, GFP_KERNEL)?;
        Ok(Self {
            device: Some(device),
            table: Some(table),
        })
    }
}

impl Drop for GsKv {
    fn drop(&mut self) {
        if let Some(table) = &self.table {
            let stats = table.cache_stats();
            pr_info!("exit: {} frees pending\n", stats.queued - stats.done);
        }

        // No file is open, or we would not be here: with the device goes the last but one reference
        // to the table, with ours the table and its cache.
        self.device = None;
        self.table = None;

        // The last two of them just now.
        let retired = buckets::RETIRED.load(Relaxed);
        pr_info!("{retired} pointers were given to kvfree_rcu\n");

        let created = entry::CREATED.load(Relaxed);
        let dropped = entry::DROPPED.load(Relaxed);
        if created == dropped {
            pr_info!("all {created} objects came back (created {created}, dropped {dropped})\n");
        } else {
            pr_err!("objects are missing (created {created}, dropped {dropped})\n");
        }
    }
}
