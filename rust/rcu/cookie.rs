// SPDX-License-Identifier: GPL-2.0

//! Grace-period cookies.

use crate::sys;
use kernel::ffi::c_ulong;

/// A full cookie: one word for normal grace periods, one for expedited ones.
///
/// The single-word cookie of the kernel can miss a grace period when the two kinds overlap.
#[derive(Clone, Copy, Default, PartialEq)]
#[repr(transparent)]
pub(crate) struct Cookie([c_ulong; 2]);

impl Cookie {
    /// A cookie of nothing, for batches that are not sealed.
    pub(crate) const fn none() -> Self {
        Self([0; 2])
    }

    /// What completes with the next full grace period that starts from now.
    ///
    /// Context: Any context.
    pub(crate) fn now() -> Self {
        let mut cookie = Self::none();
        // SAFETY: The shim writes two words at most.
        unsafe { sys::gs_sys_cookie_get(&mut cookie.0) };
        cookie
    }

    /// Has the next full grace period begin as soon as it can.
    ///
    /// Context: any that may call `call_rcu`.
    pub(crate) fn start() {
        // SAFETY: By the function's contract.
        unsafe { sys::gs_sys_period_start() }
    }

    /// Whether that grace period is over.
    ///
    /// Context: Any context.
    pub(crate) fn poll(&mut self) -> bool {
        // SAFETY: The cookie came from `now`.
        unsafe { sys::gs_sys_cookie_poll(&mut self.0) }
    }

    /// Waits until it is. Process context, may sleep.
    pub(crate) fn wait(&mut self) {
        // SAFETY: As for `poll`.
        unsafe { sys::gs_sys_cookie_wait(&mut self.0) }
    }
}
