//! Names and numbers of signals.

/// Standard signals in the order of their numbers on x86-64, from 1 (signal(7)).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Largest signal number.
const MAX_SIGNAL: i32 = 64;

/// Reads a number or a name with or without `SIG`, in any case, `RTMIN+n` and `RTMAX-n` included.
pub fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=MAX_SIGNAL).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |base: i32, offset: &str| -> Option<i32> {
        let offset: i32 = if offset.is_empty() { 0 } else { offset.parse().ok()? };
        let signo = base + offset;
        (34..=MAX_SIGNAL).contains(&signo).then_some(signo)
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return offset(34, rest);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return offset(MAX_SIGNAL, rest);
    }
    match name {
        "IOT" => Some(libc::SIGABRT),
        "CLD" => Some(libc::SIGCHLD),
        "POLL" => Some(libc::SIGIO),
        _ => NAMES.iter().position(|&known| known == name).map(|index| index as i32 + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, signo) in [
            ("9", Some(9)),
            ("KILL", Some(libc::SIGKILL)),
            ("sigterm", Some(libc::SIGTERM)),
            ("SIGWINCH", Some(libc::SIGWINCH)),
            ("SYS", Some(libc::SIGSYS)),
            ("RTMIN+1", Some(35)),
            ("SIGRTMAX-1", Some(63)),
            ("RTMAX", Some(64)),
            ("0", None),
            ("65", None),
            ("-9", None),
            ("RTMIN+31", None),
            ("nonsense", None),
            ("", None),
        ] {
            assert_eq!(parse(text), signo, "{text}");
        }
    }
}
