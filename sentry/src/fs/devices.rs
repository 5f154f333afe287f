//! Which driver stands behind a device node.

use std::collections::HashMap;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;

use crate::sync::{Rank, RwLock};
use crate::vfs::{DeviceId, File, IoContext, Location};

/// What an opener gets to know.
pub struct DeviceOpen<'a> {
    /// The node that is opened.
    pub location: &'a Location,
    pub id: DeviceId,
    pub flags: OpenFlags,
    pub io: &'a IoContext<'a>,
}

/// Opens a device.
///
/// Errors: those of open(2) for the device, ENXIO when there is no such minor.
pub type DeviceOpener = Arc<dyn Fn(&DeviceOpen<'_>) -> Result<Box<dyn File>, Errno> + Send + Sync>;

/// All drivers by kind (character or block) and number.
pub struct Devices {
    openers: RwLock<HashMap<(bool, DeviceId), DeviceOpener>>,
    majors: RwLock<HashMap<(bool, u32), DeviceOpener>>,
}

impl Default for Devices {
    fn default() -> Devices {
        Devices {
            openers: RwLock::new(Rank::Leaf, HashMap::new()),
            majors: RwLock::new(Rank::Leaf, HashMap::new()),
        }
    }
}

impl Devices {
    /// Registers a character device.
    pub fn register_char(
        &self,
        major: u32,
        minor: u32,
        opener: impl Fn(&DeviceOpen<'_>) -> Result<Box<dyn File>, Errno> + Send + Sync + 'static,
    ) {
        let id = DeviceId { major, minor };
        self.openers.write().insert((true, id), Arc::new(opener));
    }

    /// Registers all minors of a character device that are not registered by themselves.
    pub fn register_char_major(
        &self,
        major: u32,
        opener: impl Fn(&DeviceOpen<'_>) -> Result<Box<dyn File>, Errno> + Send + Sync + 'static,
    ) {
        self.majors.write().insert((true, major), Arc::new(opener));
    }

    /// Opens the device that the node stands for.
    ///
    /// # Errors
    /// ENXIO when there is no driver, and those of the driver.
    pub fn open(&self, is_char: bool, open: &DeviceOpen<'_>) -> Result<Box<dyn File>, Errno> {
        let exact = self.openers.read().get(&(is_char, open.id)).cloned();
        let opener = exact.or_else(|| self.majors.read().get(&(is_char, open.id.major)).cloned());
        opener.ok_or(Errno::ENXIO)?(open)
    }
}
