//! Signals.

#[derive(Default)]
pub struct TaskSignals {}
#[derive(Default)]
pub struct GroupSignals {}
#[derive(Default)]
pub struct SignalActions {}
