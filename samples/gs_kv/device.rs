// SPDX-License-Identifier: GPL-2.0

//! `/dev/gs_kv`: checks what user space asks for and hands it to the table.
//!
//! Keys are read into kernel memory before the table is looked at: copying from user space may
//! sleep, which neither a reader nor anyone in its way should.

use crate::{
    table::Table,
    uapi::{
        self,
        Op,
        KEY_MAX, //
    },
};
use core::mem::MaybeUninit;
use kernel::{
    bindings,
    container_of,
    error::to_result,
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::Opaque,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
    ThisModule, //
};

/// The registered device with its table.
///
/// [`MiscDeviceRegistration`] keeps nothing for `open()` to find and, in 7.2, leaves
/// `file_operations.owner` empty, with which the module could be unloaded under an open file. Hence
/// this registration: the table beside the `miscdevice`, and a copy of the operations that names the
/// owner.
///
/// # Invariants
///
/// `misc` is registered, and its operations are `fops`.
#[pin_data(PinnedDrop)]
pub(crate) struct Device {
    #[pin]
    misc: Opaque<bindings::miscdevice>,
    fops: KBox<bindings::file_operations>,
    table: Arc<Table>,
}

// SAFETY: A `miscdevice` may be deregistered by any thread; the rest is `Send`.
unsafe impl Send for Device {}
// SAFETY: There is nothing to do with a shared `Device` but to clone `table`, which is `Sync`.
unsafe impl Sync for Device {}

impl Device {
    /// Registers the device. Open files keep `owner` loaded.
    pub(crate) fn new(
        owner: &'static ThisModule,
        table: Arc<Table>,
    ) -> Result<impl PinInit<Self, Error>> {
        let mut misc = MiscDeviceOptions { name: c"gs_kv" }.into_raw::<Table>();
        // SAFETY: `into_raw()` has set `fops` to a static.
        let mut fops = KBox::new(unsafe { *misc.fops }, GFP_KERNEL)?;
        fops.owner = owner.as_ptr();
        misc.fops = &raw const *fops;

        Ok(try_pin_init!(Self {
            fops,
            table,
            // INVARIANT: Registered, or the initialization fails. Comes last: the device can be
            // opened from here on.
            misc <- Opaque::try_ffi_init(move |slot: *mut bindings::miscdevice| {
                // SAFETY: `slot` may be written to.
                unsafe { slot.write(misc) };
                // SAFETY: `slot` is pinned and `fops` boxed, both until `drop` has deregistered
                // the device.
                to_result(unsafe { bindings::misc_register(slot) })
            }),
        }))
    }
}

#[pinned_drop]
impl PinnedDrop for Device {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered, by the type invariants.
        unsafe { bindings::misc_deregister(self.misc.get()) };
    }
}

#[vtable]
impl MiscDevice for Table {
    type Ptr = Arc<Table>;

    fn open(_file: &File, misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        let misc = Opaque::cast_from(misc.as_raw()).cast_mut();
        // SAFETY: `Device::new` is the one place where a `miscdevice` with these operations is
        // registered, inside a `Device`; it stays while the device is being opened.
        let device = unsafe { &*container_of!(misc, Device, misc) };
        Ok(device.table.clone())
    }

    fn ioctl(table: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let arg = UserPtr::from_addr(arg);
        match cmd {
            uapi::SET => set(&table, arg),
            uapi::DEL => remove(&table, arg),
            uapi::GET => get(&table, arg),
            uapi::STATS => UserSlice::new(arg, size_of::<uapi::TableStats>())
                .writer()
                .write(&table.stats()),
            uapi::REBUILD => table.rebuild(),
            _ => Err(ENOTTY),
        }?;
        Ok(0)
    }
}

fn set(table: &Table, arg: UserPtr) -> Result {
    let op = read_op(arg, 0)?;
    let slice = key_slice(&op)?;
    let mut key = KVec::with_capacity(op.key_len as usize, GFP_KERNEL)?;
    slice.read_all(&mut key, GFP_KERNEL)?;
    check_key(&key)?;
    table.set(key, op.value)
}

fn remove(table: &Table, arg: UserPtr) -> Result {
    let op = read_op(arg, 0)?;
    let mut buf = [MaybeUninit::uninit(); KEY_MAX];
    if table.remove(read_key(&op, &mut buf)?) {
        Ok(())
    } else {
        Err(ENOENT)
    }
}

fn get(table: &Table, arg: UserPtr) -> Result {
    let mut op = read_op(arg, uapi::LINGER_MAX)?;
    let mut buf = [MaybeUninit::uninit(); KEY_MAX];
    let key = read_key(&op, &mut buf)?;
    let found = table.get(key, op.wait, op.linger)?;
    let found = found.ok_or(ENOENT)?;
    op.value = found.value;
    op.generation = found.generation;
    UserSlice::new(arg, size_of::<Op>()).writer().write(&op)
}

fn read_op(arg: UserPtr, linger_max: u16) -> Result<Op> {
    let op: Op = UserSlice::new(arg, size_of::<Op>()).reader().read()?;
    if op.wait.max(op.linger) > linger_max {
        return Err(EINVAL);
    }
    Ok(op)
}

/// The user memory that holds the key; its length is checked, its address by who reads it.
fn key_slice(op: &Op) -> Result<UserSlice> {
    let len = op.key_len as usize;
    if len == 0 || len > KEY_MAX {
        return Err(EINVAL);
    }
    let addr = usize::try_from(op.key).map_err(|_| EFAULT)?;
    Ok(UserSlice::new(UserPtr::from_addr(addr), len))
}

fn read_key<'b>(op: &Op, buf: &'b mut [MaybeUninit<u8>; KEY_MAX]) -> Result<&'b [u8]> {
    let mut reader = key_slice(op)?.reader();
    let buf = &mut buf[..reader.len()];
    reader.read_raw(buf)?;
    // SAFETY: `read_raw()` has filled it.
    let key = unsafe { &*(core::ptr::from_ref(buf) as *const [u8]) };
    check_key(key)?;
    Ok(key)
}

fn check_key(key: &[u8]) -> Result {
    if key.contains(&0) {
        return Err(EINVAL);
    }
    Ok(())
}
