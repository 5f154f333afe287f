//! A hostile guest: calls the kernel at random, in every way it can think of.
//!
//! `syscall-fuzz --seed N --seconds N [--calls N] [--processes N] [--threads N]` must be the first
//! process of a sandbox. It supervises: one child after the other, each with a seed of its own,
//! makes itself a world of descriptors and files ([`world`]), then several threads of it make
//! random calls ([`run`]) with arguments that are mostly of the right kind ([`args`], [`table`])
//! and sometimes not, change their own memory, fork, execute garbage ([`code`]) and send signals.
//! Children may die in any way. Afterwards the supervisor kills whatever is left, checks that all
//! of it ends and that the kernel still works ([`health`]), and exits with status 0.
//!
//! A seed fixes what each thread tries, not how the threads interleave.

mod args;
mod code;
mod health;
mod pointers;
mod rng;
mod run;
mod supervise;
mod support;
mod table;
mod world;

use std::process::ExitCode;

/// Limits of a run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub seed: u64,
    pub seconds: u64,
    /// Calls of one thread.
    pub calls: u64,
    /// Children at a time.
    pub processes: usize,
    /// Threads of a child.
    pub threads: usize,
    /// Continues in the image that a child has executed, with this seed.
    pub leaf: Option<u64>,
    /// Prints how often each call was made.
    pub stats: bool,
}

fn parse() -> Result<Options, String> {
    let mut options = Options {
        seed: 1,
        seconds: 10,
        calls: 3000,
        processes: 2,
        threads: 3,
        leaf: None,
        stats: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--stats" {
            options.stats = true;
            continue;
        }
        let value = words.next().and_then(|value| value.parse::<u64>().ok());
        let value = value.ok_or_else(|| format!("{word} needs a number"))?;
        match word.as_str() {
            "--seed" => options.seed = value,
            "--seconds" => options.seconds = value,
            "--calls" => options.calls = value,
            "--processes" => options.processes = value as usize,
            "--threads" => options.threads = value as usize,
            "--leaf" => options.leaf = Some(value),
            other => return Err(format!("{other} is no option")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match parse() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("syscall-fuzz: {error}");
            return ExitCode::from(2);
        }
    };
    if let Some(seed) = options.leaf {
        run::leaf(seed);
    }
    // Anywhere else this program would attack the machine it runs on.
    if std::process::id() != 1 {
        eprintln!("syscall-fuzz: must be the first process of a sandbox");
        return ExitCode::from(2);
    }
    supervise::run(&options)
}
