// SPDX-License-Identifier: GPL-2.0

//! What served others' pointers when a CPU's page of them was full: counters, from the cheapest
//! step to the last one.

use crate::percpu::Cpu;
use crate::sys;
use crate::trace;
use kernel::sync::atomic::Relaxed;

/// A step; `enum gs_step` of the header.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Step {
    /// A page from the CPU's reserve.
    CachedPage = 0,
    /// A page by the caller's gfp.
    Page = 1,
    /// A batch of one, from the reserve.
    ReserveWrapper = 2,
    /// A batch of one, by the caller's gfp.
    Wrapper = 3,
    /// The caller waited for the grace period itself.
    Waited = 4,
    /// The caller got its pointer back.
    Refused = 5,
    /// The object's own head linked it.
    Linked = 6,
    /// A slot for a pointer without a head whose caller can neither wait nor be refused.
    Slot = 7,
    /// Not even that: the pointer was leaked.
    Leaked = 8,
}

/// Names of the steps, as debugfs has them.
pub(crate) const NAMES: [&str; 9] = [
    "cached_pages",
    "pages",
    "reserve_wrappers",
    "wrappers",
    "waited",
    "refused",
    "linked",
    "slots",
    "leaked",
];

/// Counts a step, for the CPU that this happens to be.
///
/// Context: Any context.
pub(crate) fn count(step: Step) {
    // SAFETY: May be called in any context.
    let here = Cpu::get(unsafe { sys::gs_sys_this_cpu() });
    here.steps[step as usize].fetch_add(1, Relaxed);
    trace::fallback(step);
}

/// How often `step` served on `cpu`; 0 if there is no such step.
pub(crate) fn on_cpu(cpu: &Cpu, step: u32) -> u64 {
    cpu.steps.get(step as usize).map_or(0, |c| c.load(Relaxed))
}

/// How often `step` served; 0 if there is no such step.
pub(crate) fn get(step: u32) -> u64 {
    Cpu::possible().map(|cpu| on_cpu(cpu, step)).sum()
}
