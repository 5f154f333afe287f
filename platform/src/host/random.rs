//! Random bytes of the host, `getrandom(2)`.

use linux_abi::Errno;
use rustix::rand::GetRandomFlags;

use super::retry;

/// Fills `buf`; blocks only until the host's generator is seeded once after boot.
pub fn fill(buf: &mut [u8]) -> Result<(), Errno> {
    let mut filled = 0;
    while filled < buf.len() {
        filled += retry(|| rustix::rand::getrandom(&mut buf[filled..], GetRandomFlags::empty()))?;
    }
    Ok(())
}

/// A random number.
pub fn number() -> Result<u64, Errno> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    #[test]
    fn fills_long_buffers() {
        let mut buf = vec![0; 1000];
        super::fill(&mut buf).expect("getrandom");
        assert!(buf[900..].iter().any(|&byte| byte != 0));
    }
}
