//! Interpreter scripts (`#!`), execve(2).

use std::sync::Arc;

use linux_abi::Errno;

use super::Program;
use crate::memory::IoDest;
use crate::task::Task;
use crate::vfs::{FileDescription, IoContext};

/// Bytes of a file's start that are looked at (`BINPRM_BUF_SIZE`).
const PROBE_BYTES: usize = 256;
/// Scripts interpreted by scripts: Linux gives up with ELOOP after this many.
const MAX_DEPTH: usize = 5;

/// Follows `#!` lines until `program` is no script.
///
/// # Errors
/// ENOEXEC for a malformed first line, ELOOP for too many scripts in a row, and those of opening
/// the interpreter (ENOENT, EACCES, …).
pub fn resolve(task: &Arc<Task>, mut program: Program) -> Result<Program, Errno> {
    for _ in 0..=MAX_DEPTH {
        let Some((interpreter, argument)) = first_line(task, &program.file)? else {
            return Ok(program);
        };
        let script = program.exec_path.clone();
        let mut args = vec![interpreter.clone()];
        args.extend(argument);
        args.push(script);
        args.extend(program.args.drain(..).skip(1));
        program.args = args;
        program.file = crate::vfs::open_for_exec(task, None, &interpreter, true)?;
        program.exec_path = interpreter;
    }
    Err(Errno::ELOOP)
}

type Line = (Vec<u8>, Option<Vec<u8>>);

/// Interpreter and optional single argument, if the file is a script.
fn first_line(task: &Arc<Task>, file: &FileDescription) -> Result<Option<Line>, Errno> {
    let io = IoContext { task: Some(task), flags: file.flags() };
    let mut probe = [0_u8; PROBE_BYTES];
    let got = file.file().read(&mut IoDest::kernel(&mut probe), 0, &io)?;
    parse_line(&probe[..got])
}

fn parse_line(probe: &[u8]) -> Result<Option<Line>, Errno> {
    let Some(rest) = probe.strip_prefix(b"#!") else { return Ok(None) };
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let newline = rest.iter().position(|&byte| byte == b'\n');
    let line = &rest[..newline.unwrap_or(rest.len())];
    let start = line.iter().position(|byte| !is_blank(byte)).ok_or(Errno::ENOEXEC)?;
    let line = &line[start..];
    let end = line.iter().position(|byte| is_blank(byte) || *byte == 0);
    // Linux: a name cut off by the end of the probe is not run.
    if end.is_none() && newline.is_none() && probe.len() == PROBE_BYTES {
        return Err(Errno::ENOEXEC);
    }
    let (name, tail) = line.split_at(end.unwrap_or(line.len()));
    if name.is_empty() {
        return Err(Errno::ENOEXEC);
    }
    let tail_end = tail.iter().position(|&byte| byte == 0).unwrap_or(tail.len());
    let argument = tail[..tail_end].trim_ascii();
    let argument = (!argument.is_empty()).then(|| argument.to_vec());
    Ok(Some((name.to_vec(), argument)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreter_with_one_argument() {
        let line = parse_line(b"#! /bin/sh -e x \nrest").unwrap().unwrap();
        assert_eq!(line, (b"/bin/sh".to_vec(), Some(b"-e x".to_vec())));
    }

    #[test]
    fn no_script_is_none_and_an_empty_line_is_refused() {
        assert_eq!(parse_line(b"\x7fELF"), Ok(None));
        assert_eq!(parse_line(b"#!  \n/bin/sh"), Err(Errno::ENOEXEC));
    }

    #[test]
    fn name_cut_off_by_the_probe_is_refused() {
        let mut long = b"#!/".to_vec();
        long.resize(PROBE_BYTES, b'a');
        assert_eq!(parse_line(&long), Err(Errno::ENOEXEC));
    }
}
