//! The end of a sentry that finds itself to be wrong.

use std::panic;

/// Exit status of a sentry that panicked: that of a runtime that failed, as with `docker run`.
///
/// Aborting would look as if the guest had died of a signal. (The first process of a pid namespace
/// cannot even abort: it would die of SIGSEGV.)
pub const PANIC_STATUS: u8 = 125;

/// Makes each panic, on any thread, print its message to standard error and end the process with
/// [`PANIC_STATUS`].
pub fn exit_on_panic() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        std::process::exit(i32::from(PANIC_STATUS));
    }));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    #[ignore = "ends the process: the next test runs it in one of its own"]
    fn panics_on_a_thread() {
        exit_on_panic();
        let _ = std::thread::spawn(|| panic!("out of order")).join();
    }

    #[test]
    fn a_panic_tells_why_and_is_status_125() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--nocapture",
                "--exact",
                "boot::panics::tests::panics_on_a_thread",
            ])
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(i32::from(PANIC_STATUS)), "{message}");
        assert!(message.contains("out of order"), "{message}");
    }
}
