// SPDX-License-Identifier: GPL-2.0

//! A grace period that is asked about instead of waited for.

use kernel::{
    bindings,
    ffi::c_ulong, //
};

/// A cookie for a grace period: says whether the readers of a moment are all gone.
pub(crate) struct GracePeriod(c_ulong);

impl GracePeriod {
    /// Starts a grace period: over when everyone is gone who reads now.
    ///
    /// What was stored before this call is seen by all who are not waited for.
    pub(crate) fn start() -> Self {
        // SAFETY: The call has no requirements.
        Self(unsafe { bindings::start_poll_synchronize_rcu() })
    }

    /// Returns whether it is over. Never waits.
    pub(crate) fn is_over(&self) -> bool {
        // SAFETY: The cookie is from `start_poll_synchronize_rcu()`.
        unsafe { bindings::poll_state_synchronize_rcu(self.0) }
    }
}
