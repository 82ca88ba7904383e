// SPDX-License-Identifier: GPL-2.0

//! Who runs a cache's destructors: so that a barrier which waits for itself is told.

use super::core::Core;
use crate::list::{Link, List};
use crate::lock::{Class, RawLock};
use crate::percpu::Section;
use crate::sys::{self, Misuse};
use core::mem::offset_of;
use kernel::ffi::c_void;

struct Runner {
    link: Link,
    task: *mut c_void,
}

/// The tasks that run destructors of one cache.
pub(crate) struct Running(RawLock<List<Runner, { offset_of!(Runner, link) }>>);

impl Running {
    /// Nobody.
    pub(crate) const fn new() -> Self {
        Self(RawLock::new(List::new()))
    }

    /// Makes the lock usable, at the address where it stays.
    pub(crate) fn init(&self) {
        self.0.init(Class::Dtors);
    }
}

/// Calls `f`, which runs destructors of `core`, and remembers that this task does: with the root,
/// for all of its family. Process context.
pub(crate) fn run(core: &Core, f: impl FnOnce()) {
    if core.dtor_addr() == 0 {
        return f();
    }
    let mut runner = Runner {
        link: Link::new(),
        // SAFETY: The pointer is only compared.
        task: unsafe { sys::gs_sys_current() },
    };
    {
        let (section, _) = Section::open_task();
        // SAFETY: `runner` stays in place until it is removed below.
        unsafe { core.root().running.0.lock(&section).push_back(&mut runner) };
    }
    f();
    let (section, _) = Section::open_task();
    // SAFETY: It was put on the list above.
    unsafe { core.root().running.0.lock(&section).remove(&mut runner) };
}

/// Whether the caller is a destructor of `core`, which then must not wait for it: says so.
pub(crate) fn is_caller(core: &Core) -> bool {
    let found = runs_here(core);
    if found {
        core.misuse(Misuse::BarrierInDtor, core::ptr::null(), None);
    }
    found
}

/// Whether the caller is a destructor of `core`.
pub(crate) fn runs_here(core: &Core) -> bool {
    if core.dtor_addr() == 0 {
        return false;
    }
    // SAFETY: The pointer is only compared.
    let task = unsafe { sys::gs_sys_current() };
    let (section, _) = Section::open_task();
    {
        let list = core.root().running.0.lock(&section);
        let mut runner = list.front();
        // SAFETY: A runner is on the list for as long as it runs.
        while !runner.is_null() && unsafe { (*runner).task } != task {
            // SAFETY: As above.
            runner = unsafe { list.next(runner) };
        }
        !runner.is_null()
    }
}
