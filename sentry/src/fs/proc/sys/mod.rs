//! `/proc/sys`: settings of the kernel, sysctl(2).
//!
//! The tree is a table. Most values only tell what holds here and cannot be changed: opening such
//! a file for writing is EACCES for everybody, as for a read-only setting of Linux.

mod random;
mod table;

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::task::{CAP_SYS_ADMIN, NEW_UTS_LEN};

pub(super) use random::uuid;

use super::Proc;
use crate::fs::synthetic::{
    Content, FixedChildren, NodeSource, SyntheticDir, SyntheticFile, Writable,
};
use crate::kernel::{Kernel, UtsNames};
use crate::vfs::{Inode, IoContext};

/// A setting or a directory of settings.
enum Knob {
    Dir(&'static [(&'static str, Knob)]),
    /// Always this, with a newline.
    Fixed(&'static str),
    /// What holds now, with a newline.
    Shown(fn(&Kernel) -> String),
    /// The random name of this sandbox.
    BootId,
    /// A fresh value at each read, readable by all.
    Fresh(fn() -> Result<String, Errno>),
    /// Host or domain name, which the administrator may change.
    Name(fn(&mut UtsNames) -> &mut Vec<u8>),
}

/// The directory `sys`.
pub(super) fn new(proc: &Arc<Proc>) -> Arc<dyn Inode> {
    directory(proc, table::ROOT)
}

fn directory(proc: &Arc<Proc>, knobs: &'static [(&'static str, Knob)]) -> Arc<dyn Inode> {
    let children = knobs.iter().fold(FixedChildren::new(), |children, (name, knob)| {
        let proc = proc.clone();
        children.with_lazy(*name, move || node(&proc, knob))
    });
    SyntheticDir::fixed(&proc.source, children)
}

fn node(proc: &Arc<Proc>, knob: &'static Knob) -> Arc<dyn Inode> {
    let source: &NodeSource = &proc.source;
    match knob {
        Knob::Dir(knobs) => directory(proc, knobs),
        Knob::Fixed(text) => {
            let line = Setting(move || Ok(format!("{text}\n")));
            SyntheticFile::with_mode(source, 0o444, line)
        }
        Knob::Shown(show) => {
            let proc = proc.clone();
            let line = Setting(move || Ok(format!("{}\n", show(&*proc.kernel()?))));
            SyntheticFile::with_mode(source, 0o444, line)
        }
        Knob::BootId => {
            let proc = proc.clone();
            let line = Setting(move || Ok(format!("{}\n", proc.boot_id()?)));
            SyntheticFile::with_mode(source, 0o444, line)
        }
        Knob::Fresh(make) => {
            let line = Setting(move || Ok(format!("{}\n", make()?)));
            SyntheticFile::with_mode(source, 0o444, line)
        }
        Knob::Name(field) => {
            let (reader, writer) = (proc.clone(), proc.clone());
            let read = move |_: &IoContext<'_>| {
                let kernel = reader.kernel()?;
                let mut name = field(&mut kernel.uts.lock()).clone();
                name.push(b'\n');
                Ok(name)
            };
            let write =
                move |data: &[u8], io: &IoContext<'_>| write_name(&writer, *field, data, io);
            SyntheticFile::with_mode(source, 0o644, Writable { read, write })
        }
    }
}

/// A setting that cannot be changed.
struct Setting<F>(F);

impl<F> Content for Setting<F>
where
    F: Fn() -> Result<String, Errno> + Send + Sync + 'static,
{
    fn generate(&self, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
        (self.0)().map(String::into_bytes)
    }

    fn check_open(&self, flags: OpenFlags, _: &IoContext<'_>) -> Result<(), Errno> {
        if flags.is_writable() { Err(Errno::EACCES) } else { Ok(()) }
    }
}

/// Takes the first line as the new name. Errors: EPERM without CAP_SYS_ADMIN.
fn write_name(
    proc: &Proc,
    field: fn(&mut UtsNames) -> &mut Vec<u8>,
    data: &[u8],
    io: &IoContext<'_>,
) -> Result<(), Errno> {
    if io.task.is_some_and(|task| !task.credentials().has(CAP_SYS_ADMIN)) {
        return Err(Errno::EPERM);
    }
    let end = data.iter().position(|&byte| matches!(byte, b'\n' | 0)).unwrap_or(data.len());
    let kernel = proc.kernel()?;
    *field(&mut kernel.uts.lock()) = data[..end.min(NEW_UTS_LEN)].to_vec();
    Ok(())
}
