//! `/proc/sys/kernel/random`.

use linux_abi::Errno;

/// A random version 4 UUID.
pub(in crate::fs::proc) fn uuid() -> Result<String, Errno> {
    let mut bytes = [0; 16];
    platform::host::random::fill(&mut bytes)?;
    Ok(format_uuid(bytes))
}

/// Formats 16 random bytes as a version 4 UUID (RFC 9562).
fn format_uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_version_and_variant() {
        assert_eq!(format_uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_ne!(uuid().unwrap(), uuid().unwrap());
    }
}
