//! Signal sets, actions and information.

use linux_abi::signal::{
    SI_KERNEL, SIG_DFL, SIG_IGN, SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP,
    SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, SaFlags, SigAction, SigAltStack, SigEvent, SigInfo,
    SigSet, SigSetArg,
};

use super::choices::named;
use super::flags::join;
use super::memory::{ReadMemory, read};
use super::numbers::signal;
use super::{Arg, ArgKind, names};

/// Shows signals in memory; `None` for other kinds.
pub(super) fn signal_argument(kind: ArgKind, arg: &Arg<'_>) -> Option<String> {
    let (memory, addr) = (arg.memory, arg.value());
    match kind {
        ArgKind::SigSet | ArgKind::OutSigSet => read(memory, addr).map(set),
        ArgKind::SigSetArg => set_and_size(memory, addr),
        ArgKind::SigAction | ArgKind::OutSigAction => read(memory, addr).map(action),
        ArgKind::SigAltStack | ArgKind::OutSigAltStack => read(memory, addr).map(alternate_stack),
        ArgKind::SigInfo | ArgKind::OutSigInfo => read(memory, addr).map(information),
        ArgKind::SigEvent => read(memory, addr).map(event),
        _ => None,
    }
}

/// A set as `[INT TERM]`; one that is more than half full as what it lacks, `~[KILL STOP]`.
fn set(set: SigSet) -> String {
    let list = |set: SigSet| {
        let short = |number| signal(number).trim_start_matches("SIG").to_owned();
        set.iter().map(short).collect::<Vec<_>>().join(" ")
    };
    if set.len() > 32 {
        format!("~[{}]", list(set.complement()))
    } else {
        format!("[{}]", list(set))
    }
}

fn set_and_size(memory: ReadMemory<'_>, addr: u64) -> Option<String> {
    let pair: SigSetArg = read(memory, addr)?;
    let shown = match read::<SigSet>(memory, pair.sigset) {
        Some(mask) => set(mask),
        None if pair.sigset == 0 => "NULL".to_owned(),
        None => format!("{:#x}", pair.sigset),
    };
    Some(format!("{{sigmask={shown}, sigsetsize={}}}", pair.size))
}

fn action(action: SigAction) -> String {
    let handler = match action.handler {
        SIG_DFL => "SIG_DFL".to_owned(),
        SIG_IGN => "SIG_IGN".to_owned(),
        handler => format!("{handler:#x}"),
    };
    let flags = join::<SaFlags>("SA_", action.flags);
    let mut shown =
        format!("{{sa_handler={handler}, sa_mask={}, sa_flags={flags}", set(action.mask));
    if action.sa_flags().contains(SaFlags::RESTORER) {
        shown.push_str(&format!(", sa_restorer={:#x}", action.restorer));
    }
    shown + "}"
}

fn alternate_stack(stack: SigAltStack) -> String {
    let mut flags = Vec::new();
    let names =
        [(SS_ONSTACK, "SS_ONSTACK"), (SS_DISABLE, "SS_DISABLE"), (SS_AUTODISARM, "SS_AUTODISARM")];
    let mut rest = stack.flags;
    for (bit, name) in names {
        if rest & bit != 0 {
            flags.push(name.to_owned());
            rest &= !bit;
        }
    }
    if rest != 0 || flags.is_empty() {
        flags.push(if rest == 0 { "0".to_owned() } else { format!("{rest:#x}") });
    }
    let (sp, size) = (stack.sp, stack.size);
    format!("{{ss_sp={sp:#x}, ss_flags={}, ss_size={size}}}", flags.join("|"))
}

/// The fields that belong to the code: the sender, the child's status or the faulting address.
fn information(info: SigInfo) -> String {
    let code = match (info.signo, info.code) {
        (SIGCHLD, 1..) => named(names::CHILD_CODE, info.code.into()),
        _ => named(names::SIGNAL_CODE, info.code.into()),
    };
    let head = format!("{{si_signo={}, si_code={code}", signal(info.signo));
    let rest = match (info.signo, info.code) {
        (SIGCHLD, 1..) => {
            format!(", si_pid={}, si_uid={}, si_status={}", info.pid(), info.uid(), info.status())
        }
        (SIGSYS, 1..) => {
            format!(", si_call_addr={:#x}, si_syscall={}", info.call_addr(), info.syscall())
        }
        // Linux: SI_KERNEL, the highest code, carries nothing.
        (SIGILL | SIGTRAP | SIGBUS | SIGFPE | SIGSEGV, 1..SI_KERNEL) => {
            format!(", si_addr={:#x}", info.addr())
        }
        (_, 1..) => String::new(),
        (_, ..=0) => format!(", si_pid={}, si_uid={}", info.pid(), info.uid()),
    };
    format!("{head}{rest}}}")
}

fn event(event: SigEvent) -> String {
    let notify = named(names::SIGEV, event.notify.into());
    format!("{{sigev_signo={}, sigev_notify={notify}}}", signal(event.signo))
}
