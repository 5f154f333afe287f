//! The memory map of a process as `/proc/[pid]/maps` shows it.

use linux_abi::Errno;
use platform::HostMapping;

use super::{FileMapping, Mm};

/// One line of the map.
pub struct MapEntry {
    pub host: HostMapping,
    /// The file it came from, with its offset.
    pub file: Option<FileMapping>,
    /// `[heap]`, `[stack]`, `[vdso]`, … or empty.
    pub label: String,
}

impl Mm {
    /// All mappings in ascending order.
    ///
    /// # Errors
    /// ESRCH when the process is gone.
    pub fn map_entries(&self) -> Result<Vec<MapEntry>, Errno> {
        let host = self.memory().space().mappings()?;
        Ok(self.with_record(|record| {
            host.into_iter()
                .map(|host| {
                    let file = record.files.find(host.range.start);
                    let label = if file.is_some() {
                        String::new()
                    } else if host.range.contains(&record.stack_start) {
                        "[stack]".to_owned()
                    } else {
                        host.label.clone()
                    };
                    MapEntry { host, file, label }
                })
                .collect()
        }))
    }
}
