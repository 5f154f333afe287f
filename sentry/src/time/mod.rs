//! Clocks and timers.

#[derive(Default)]
pub struct Timers {}
#[derive(Default)]
pub struct ItimerState {}
