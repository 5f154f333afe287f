//! The host side of the conformance suite: runs the case binary in a runtime, reads its lines and
//! compares them with what is expected.

pub mod build;
pub mod bundle;
pub mod expectations;
pub mod guest;
pub mod native;
pub mod outcome;
pub mod programs;
pub mod report;
pub mod run;
pub mod runtime;
