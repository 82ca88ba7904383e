// SPDX-License-Identifier: GPL-2.0

//! Where memory is in several nodes: objects that were freed far from home go back there.
//!
//! A fast free asks its object nothing, so that a CPU's sheaves, and its batches, take objects of
//! any node. They are told apart where a whole sheaf changes hands anyway:
//!
//! ```text
//!   full spare, on its way to the barn   ─► objects of other nodes: to their slabs
//!   ripe batch, taken by an allocation   ─► the same
//!   ripe batch, reclaimed                ─► to the barn of the node that most of it is of,
//!                                           the rest to their slabs
//! ```
//!
//! So a barn has objects of its own node alone. With one node nothing is looked at.

use super::barn::Node;
use super::core::Core;
use super::free;
use crate::rcu::queue::Batch;
use crate::sys;

/// The node of `obj`; none for what is no memory, which is found out where it comes to a slab.
fn node_of(obj: *mut u8) -> Option<usize> {
    // SAFETY: Any pointer may be asked for.
    usize::try_from(unsafe { sys::gs_sys_node_of(obj.cast()) }).ok()
}

/// The node that more than half of `objects` are of, if there is one; else any of theirs.
fn most(core: &Core, objects: &[*mut u8]) -> usize {
    let (mut node, mut lead) = (core.local_node_id(), 0);
    for at in objects.iter().filter_map(|&obj| node_of(obj)) {
        if at == node {
            lead += 1;
        } else if lead == 0 {
            (node, lead) = (at, 1);
        } else {
            lead -= 1;
        }
    }
    node
}

/// Gives what is not of `node` back to its slabs; how many objects that were.
///
/// # Safety
///
/// The caller owns `sheaf`; its objects are free.
unsafe fn send_others(core: &Core, sheaf: *mut Batch, node: usize) -> u32 {
    // SAFETY: By the function's requirement.
    let objects = unsafe { Batch::objects(sheaf) };
    let mut kept = 0;
    for i in 0..objects.len() {
        if node_of(objects[i]).is_none_or(|at| at == node) {
            objects.swap(kept, i);
            kept += 1;
        }
    }
    let others = objects.len() - kept;
    if others != 0 {
        free::to_slabs(core, &objects[kept..]);
        // SAFETY: As above.
        unsafe { (*sheaf).truncate(kept as u32) };
    }
    others as u32
}

/// Gives what is not of this CPU's node back to its slabs; how many objects that were.
///
/// Context: Any context, NMI included, with preemption off.
///
/// # Safety
///
/// The caller owns `sheaf`, which may be the null batch; its objects are free.
pub(super) unsafe fn keep_local(core: &Core, sheaf: *mut Batch) -> u32 {
    if !core.spans_nodes() {
        return 0;
    }
    // SAFETY: By the function's requirement.
    unsafe { send_others(core, sheaf, core.local_node_id()) }
}

/// The node whose barn `sheaf` is for: that of most of its objects. The others go to their slabs.
///
/// Context: Any context.
///
/// # Safety
///
/// The caller owns `sheaf`; its objects are free.
pub(super) unsafe fn sort(core: &Core, sheaf: *mut Batch) -> &Node {
    if !core.spans_nodes() {
        return core.local_node();
    }
    // SAFETY: By the function's requirement.
    unsafe {
        let node = most(core, Batch::objects(sheaf));
        send_others(core, sheaf, node);
        &core.nodes()[node]
    }
}
