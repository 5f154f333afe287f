//! Formatting and parsing that several files share.

use linux_abi::Errno;

/// Replaces bytes of `set` by `\ooo`, as `seq_path` and `mangle` do.
pub(super) fn escape(text: &[u8], set: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len());
    for &byte in text {
        if set.contains(&byte) {
            escaped.extend_from_slice(format!("\\{byte:03o}").as_bytes());
        } else {
            escaped.push(byte);
        }
    }
    escaped
}

/// The number in what was written to a file: decimal, white space around it.
///
/// Errors: EINVAL.
pub(super) fn parse_number(data: &[u8]) -> Result<i64, Errno> {
    let text = std::str::from_utf8(data).map_err(|_| Errno::EINVAL)?;
    text.trim_matches(['\0', ' ', '\t', '\n']).parse().map_err(|_| Errno::EINVAL)
}

/// A bit mask in hexadecimal words of 32 bits, the highest first (`%*pb`).
pub(super) fn mask(words: &[u64], bits: usize) -> String {
    let mut text = String::new();
    for word in (0..bits.div_ceil(32)).rev() {
        let whole = words.get(word / 2).copied().unwrap_or(0);
        let half = (whole >> (word % 2 * 32)) as u32;
        if text.is_empty() {
            let digits = (bits - word * 32).min(32).div_ceil(4);
            text = format!("{half:0digits$x}");
        } else {
            text.push_str(&format!(",{half:08x}"));
        }
    }
    text
}

/// The bits of a mask as a list of ranges (`%*pbl`): `0-3,8`.
pub(super) fn list(words: &[u64], bits: usize) -> String {
    let is_set = |bit: usize| words.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 != 0);
    let mut ranges = Vec::new();
    let mut bit = 0;
    while bit < bits {
        if !is_set(bit) {
            bit += 1;
            continue;
        }
        let first = bit;
        while bit < bits && is_set(bit) {
            bit += 1;
        }
        let last = bit - 1;
        ranges.push(if first == last { first.to_string() } else { format!("{first}-{last}") });
    }
    ranges.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_and_lists() {
        assert_eq!(mask(&[3], 2), "3");
        assert_eq!(mask(&[0xff], 8), "ff");
        assert_eq!(mask(&[1, 2], 66), "2,00000000,00000001");
        assert_eq!(list(&[0b1011_0111], 8), "0-2,4-5,7");
        assert_eq!(list(&[], 8), "");
    }

    #[test]
    fn names_are_escaped_in_octal() {
        assert_eq!(escape(b"a b\n\\", b" \n\\"), b"a\\040b\\012\\134");
    }

    #[test]
    fn numbers_may_end_in_a_newline() {
        assert_eq!(parse_number(b" -17\n"), Ok(-17));
        assert_eq!(parse_number(b""), Err(Errno::EINVAL));
        assert_eq!(parse_number(b"1 2"), Err(Errno::EINVAL));
    }
}
