//! An OCI bundle that holds nothing but the case binary.

use anyhow::{Context, Result};
use linux_abi::task::CAP_NAMES;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A bundle: `config.json` and a root file system with the static binary in it.
pub struct Bundle {
    dir: tempfile::TempDir,
}

/// Where the binary is in the container.
pub const GUEST_PATH: &str = "/bin/syscall-cases";

impl Bundle {
    /// Makes the root file system. Its directory is open to all: cases change their user.
    pub fn new(guest: &Path) -> Result<Bundle> {
        let dir = tempfile::Builder::new().prefix("syscall-tests-").tempdir()?;
        let rootfs = dir.path().join("rootfs");
        for name in ["bin", "dev", "etc", "proc", "sys", "tmp", "root"] {
            fs::create_dir_all(rootfs.join(name))?;
        }
        for path in [dir.path(), &rootfs] {
            set_mode(path, 0o755)?;
        }
        set_mode(&rootfs.join("tmp"), 0o1777)?;
        fs::write(rootfs.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n")?;
        fs::write(rootfs.join("etc/group"), "root:x:0:\n")?;
        let target = rootfs.join(GUEST_PATH.trim_start_matches('/'));
        fs::copy(guest, &target).with_context(|| format!("copying {}", guest.display()))?;
        Ok(Bundle { dir })
    }

    /// Returns the bundle's directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns a directory for the runtime's state.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Makes a bundle that uses a root file system elsewhere, with more mounts.
    pub fn of_root(
        rootfs: &Path,
        readonly: bool,
        args: &[String],
        cwd: &str,
        more: &[Value],
    ) -> Result<Bundle> {
        let dir = tempfile::Builder::new().prefix("syscall-tests-").tempdir()?;
        set_mode(dir.path(), 0o755)?;
        let mut config = config(args);
        config["root"] = json!({"path": rootfs, "readonly": readonly});
        config["process"]["cwd"] = json!(cwd);
        if let Some(mounts) = config["mounts"].as_array_mut() {
            mounts.extend_from_slice(more);
        }
        let bundle = Bundle { dir };
        bundle.write(&config)?;
        Ok(bundle)
    }

    /// Writes `config.json` for a command line.
    pub fn configure(&self, args: &[String]) -> Result<()> {
        self.write(&config(args))
    }

    /// Reads the configuration back, with the absolute path of the root file system.
    pub fn config(&self) -> Result<Value> {
        let mut config: Value =
            serde_json::from_slice(&fs::read(self.dir.path().join("config.json"))?)?;
        let root = config["root"]["path"].as_str().context("a bundle without a root")?;
        config["root"]["path"] = json!(self.dir.path().join(root));
        Ok(config)
    }

    fn write(&self, config: &Value) -> Result<()> {
        Ok(fs::write(self.dir.path().join("config.json"), serde_json::to_vec_pretty(config)?)?)
    }
}

fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Returns a configuration: root, with every capability this process may give.
fn config(args: &[String]) -> Value {
    let capabilities = capabilities();
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": args,
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "TZ=UTC"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities
            },
            "noNewPrivileges": false
        },
        "root": {"path": "rootfs", "readonly": false},
        "hostname": "conformance",
        "mounts": mounts(),
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "mount"}
            ]
        }
    })
}

fn mounts() -> Value {
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
         "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
         "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs",
         "options": ["nosuid", "noexec", "nodev", "ro"]}
    ])
}

/// Returns the capabilities that this process holds: more cannot be given to the container.
fn capabilities() -> Vec<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let permitted = status.lines().find_map(|line| line.strip_prefix("CapPrm:"));
    let permitted = permitted.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    // An ordinary user starts the runtime in a user namespace, where it has them all.
    let permitted = permitted.filter(|set| *set != 0).unwrap_or(u64::MAX);
    let held = CAP_NAMES.iter().enumerate().filter(|(bit, _)| permitted & (1 << bit) != 0);
    held.map(|(_, name)| format!("CAP_{name}")).collect()
}
