//! Signals of the container's terminal that the host delivers to the sentry.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::signal::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGWINCH, SigInfo};
use platform::host::event::{Epoll, Ready};
use platform::host::process::SignalFd;

use crate::kernel::Kernel;
use crate::task::INIT_PID;

/// What a terminal sends to its foreground process group.
const TERMINAL_SIGNALS: [i32; 5] = [SIGINT, SIGQUIT, SIGTSTP, SIGWINCH, SIGHUP];

/// Starts the thread that passes terminal signals on. The sentry leads the terminal's session.
///
/// # Errors
/// Those of making the host objects.
pub(super) fn start(kernel: &Arc<Kernel>) -> Result<(), Errno> {
    let signals = SignalFd::new(&TERMINAL_SIGNALS)?;
    let epoll = Epoll::new()?;
    epoll.add(&signals, 0, 1)?;
    let kernel = kernel.clone();
    std::thread::Builder::new()
        .name("tty-signals".to_owned())
        .stack_size(128 << 10)
        .spawn(move || {
            let mut ready: Vec<Ready> = Vec::new();
            loop {
                ready.clear();
                let _ = epoll.wait(&mut ready, None);
                while let Ok(arrived) = signals.next() {
                    pass_on(&kernel, arrived.signo);
                }
            }
        })
        .map_err(Errno::from)?;
    Ok(())
}

fn pass_on(kernel: &Arc<Kernel>, signo: i32) {
    let Some(first) = kernel.tasks.group(INIT_PID) else { return };
    let terminal = first.session().terminal.lock().clone();
    let Some(terminal) = terminal else { return };
    let Some(group) = kernel.tasks.process_group(terminal.foreground()) else { return };
    crate::signal::send_to_process_group(&group, SigInfo::kernel(signo));
    if signo == SIGHUP {
        crate::signal::send_to_process_group(&group, SigInfo::kernel(SIGCONT));
    }
}
