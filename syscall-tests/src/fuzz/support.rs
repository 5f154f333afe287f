//! What the conformance cases use to make raw calls.
#![allow(dead_code, reason = "the fuzzer uses a part")]

#[path = "../cases/support/errno.rs"]
pub mod errno;
#[path = "../cases/support/numbers.rs"]
pub mod numbers;
#[path = "../cases/support/sys.rs"]
pub mod sys;
