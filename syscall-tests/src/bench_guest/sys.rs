//! The few host calls that the benchmark makes without the standard library.

/// Makes a system call and ends the benchmark if it fails.
pub fn call(number: libc::c_long, arguments: [usize; 6]) -> usize {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the callers pass addresses of live buffers of the lengths they name.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    assert!(result >= 0, "call {number}: {}", std::io::Error::last_os_error());
    result as usize
}

/// Makes a system call with one argument.
pub fn call1(number: libc::c_long, argument: usize) -> usize {
    call(number, [argument, 0, 0, 0, 0, 0])
}

/// Makes a system call with three arguments.
pub fn call3(number: libc::c_long, a: usize, b: usize, c: usize) -> usize {
    call(number, [a, b, c, 0, 0, 0])
}
