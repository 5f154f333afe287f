//! Making a process from its configuration: the container's first one, or one of `exec`.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use control_protocol::ProcessConfig;
use linux_abi::Errno;
use linux_abi::task::{RLIM_INFINITY, RLIM_NLIMITS, RLIMIT_CORE, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE};
use linux_abi::task::{RLIMIT_NICE, RLIMIT_NOFILE, RLIMIT_RTPRIO, RLIMIT_STACK, Rlimit64};
use platform::NewProcess;

use super::BootError;
use crate::kernel::{Container, Kernel};
use crate::task::{
    ALL_CAPABILITIES, Credentials, Ctx, ExecRequest, FirstProcess, Pid, Task, ThreadGroup,
};
use crate::vfs::{FdTable, FsContext};

/// A process to start.
pub(crate) struct Launch {
    pub process: ProcessConfig,
    pub stdio: [Option<OwnedFd>; 3],
    /// Parent inside the container; none for the first process and for `exec`.
    pub parent: Option<Arc<ThreadGroup>>,
}

/// A loaded process that waits to run.
pub(crate) struct Prepared {
    pub task: Arc<Task>,
    ctx: Ctx,
}

impl Prepared {
    pub fn pid(&self) -> Pid {
        self.task.pid()
    }

    /// Lets the process run.
    pub fn start(self) {
        FirstProcess::start(self.ctx);
    }
}

/// Makes and loads a process. Must run on a kernel worker.
///
/// # Errors
/// [`BootError::Process`] naming the field, [`BootError::Program`].
pub(crate) async fn prepare_process(
    kernel: &Arc<Kernel>,
    container: &Container,
    launch: Launch,
) -> Result<Prepared, BootError> {
    let Launch { process, stdio, parent } = launch;
    let limits = limits(&process)?;
    let fs = FsContext::new(container.namespace.clone());
    if let Some(umask) = process.umask {
        fs.set_umask(umask);
    }
    let first = FirstProcess {
        credentials: credentials(&process),
        limits,
        fs,
        fds: FdTable::new(),
        parent,
    };
    let (task, empty) = first.create(kernel).await.map_err(BootError::Kernel)?;
    match load(&task, empty, &process, stdio).await {
        Ok(ctx) => Ok(Prepared { task, ctx }),
        Err(error) => {
            FirstProcess::abandon(&task);
            Err(error)
        }
    }
}

async fn load(
    task: &Arc<Task>,
    empty: NewProcess,
    process: &ProcessConfig,
    stdio: [Option<OwnedFd>; 3],
) -> Result<Ctx, BootError> {
    change_directory(task, &process.cwd)?;
    let name = process.args.first().filter(|name| !name.is_empty()).ok_or_else(|| {
        BootError::Process { field: "args", reason: "no program given".to_owned() }
    })?;
    let (path, file) = find_program(task, process, name)?;
    let bytes = |list: &[String]| list.iter().map(|text| text.clone().into_bytes()).collect();
    let request = ExecRequest { file, path, args: bytes(&process.args), env: bytes(&process.env) };
    let wrong = |errno| BootError::Program { name: name.clone(), errno, searched_path: false };
    let ctx = crate::task::load_first(task.clone(), empty, request).await.map_err(wrong)?;
    // After the exec, which would close nothing here but changes credentials by its rules.
    task.set_credentials(credentials(process));
    crate::fs::host_stdio::install(task, stdio, process.terminal)
        .map_err(|errno| BootError::Process { field: "stdio", reason: errno.to_string() })?;
    Ok(ctx)
}

fn change_directory(task: &Arc<Task>, cwd: &str) -> Result<(), BootError> {
    let directory = if cwd.is_empty() { "/" } else { cwd };
    crate::vfs::chdir(task, directory.as_bytes()).map_err(|errno| BootError::Process {
        field: "cwd",
        reason: format!("cannot change to {directory:?}: {errno}"),
    })
}

type Found = (Vec<u8>, Arc<crate::vfs::FileDescription>);

/// Opens the program, searching `$PATH` of the new environment as `execvp` does.
fn find_program(task: &Arc<Task>, process: &ProcessConfig, name: &str) -> Result<Found, BootError> {
    let open = |path: &[u8]| crate::vfs::open_for_exec(task, None, path, true);
    let wrong =
        |errno, searched_path| BootError::Program { name: name.to_owned(), errno, searched_path };
    if name.contains('/') {
        let path = name.as_bytes().to_vec();
        return open(&path).map(|file| (path, file)).map_err(|errno| wrong(errno, false));
    }
    let search = process
        .env
        .iter()
        .rev()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let mut failure = Errno::ENOENT;
    for directory in search.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let path = format!("{directory}/{name}").into_bytes();
        match open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(Errno::EACCES) => failure = Errno::EACCES,
            Err(_) => {}
        }
    }
    Err(wrong(failure, true))
}

fn credentials(process: &ProcessConfig) -> Credentials {
    let caps = &process.capabilities;
    let mut groups = process.additional_gids.clone();
    groups.sort_unstable();
    Credentials {
        uid: process.uid,
        euid: process.uid,
        suid: process.uid,
        fsuid: process.uid,
        gid: process.gid,
        egid: process.gid,
        sgid: process.gid,
        fsgid: process.gid,
        groups,
        effective: caps.effective & caps.permitted & ALL_CAPABILITIES,
        permitted: caps.permitted & ALL_CAPABILITIES,
        inheritable: caps.inheritable & ALL_CAPABILITIES,
        bounding: caps.bounding & ALL_CAPABILITIES,
        ambient: caps.ambient & caps.permitted & caps.inheritable & ALL_CAPABILITIES,
        securebits: 0,
        no_new_privs: process.no_new_privileges,
    }
}

/// Limits of a Linux system at boot, with those of the configuration over them.
fn limits(process: &ProcessConfig) -> Result<[Rlimit64; RLIM_NLIMITS], BootError> {
    let unlimited = Rlimit64 { cur: RLIM_INFINITY, max: RLIM_INFINITY };
    let mut limits = [unlimited; RLIM_NLIMITS];
    let defaults = [
        (RLIMIT_STACK, 8 << 20, RLIM_INFINITY),
        (RLIMIT_CORE, 0, RLIM_INFINITY),
        (RLIMIT_NOFILE, 1024, 1 << 20),
        (RLIMIT_MEMLOCK, 8 << 20, 8 << 20),
        (RLIMIT_MSGQUEUE, 819_200, 819_200),
        (RLIMIT_NICE, 0, 0),
        (RLIMIT_RTPRIO, 0, 0),
    ];
    for (resource, cur, max) in defaults {
        limits[resource as usize] = Rlimit64 { cur, max };
    }
    for limit in &process.rlimits {
        let slot = usize::try_from(limit.resource).ok().and_then(|index| limits.get_mut(index));
        let slot = slot.ok_or_else(|| BootError::Process {
            field: "rlimits",
            reason: format!("unknown resource number {}", limit.resource),
        })?;
        if limit.soft > limit.hard {
            return Err(BootError::Process {
                field: "rlimits",
                reason: format!("soft limit {} is above hard limit {}", limit.soft, limit.hard),
            });
        }
        *slot = Rlimit64 { cur: limit.soft, max: limit.hard };
    }
    Ok(limits)
}
