//! The initial stack: strings, pointers and the auxiliary vector (`create_elf_tables`).

use linux_abi::Errno;
use linux_abi::task::auxv::{AT_EXECFN, AT_NULL, AT_PLATFORM, AT_RANDOM};

use super::MAX_STRING_BYTES;

/// Arguments and environment with Linux' limits checked.
pub struct Strings;

impl Strings {
    /// Checks sizes as `execve` does.
    ///
    /// # Errors
    /// E2BIG when a string is longer than `MAX_ARG_STRLEN`, or all together with their pointers
    /// take more than a quarter of the stack limit (at most 6 MiB, at least 128 KiB).
    pub fn check(args: &[Vec<u8>], env: &[Vec<u8>], stack_limit: u64) -> Result<(), Errno> {
        let limit = (stack_limit / 4).clamp(128 << 10, 6 << 20) as usize;
        let mut total = (args.len() + env.len() + 2) * 8;
        for text in args.iter().chain(env) {
            if text.len() + 1 > MAX_STRING_BYTES {
                return Err(Errno::E2BIG);
            }
            total += text.len() + 1;
            if total > limit {
                return Err(Errno::E2BIG);
            }
        }
        Ok(())
    }
}

/// A finished stack image.
pub(super) struct StackImage {
    /// Initial stack pointer: the address of `bytes`' first byte.
    pub pointer: u64,
    pub bytes: Vec<u8>,
    pub args: std::ops::Range<u64>,
    pub env: std::ops::Range<u64>,
    pub auxv: Vec<u8>,
}

/// Lays out the stack below `top` (page aligned). `auxv` is without the entries made here.
pub(super) fn build(
    top: u64,
    args: &[Vec<u8>],
    env: &[Vec<u8>],
    exec_path: &[u8],
    auxv: &[(u64, u64)],
    random: [u8; 16],
) -> StackImage {
    // Strings, in ascending order: platform, random, argv, envp, execfn, 8 zero bytes, top.
    let mut strings = Vec::new();
    let mut offsets = Vec::with_capacity(args.len() + env.len());
    let push = |strings: &mut Vec<u8>, text: &[u8]| {
        let at = strings.len();
        strings.extend_from_slice(text);
        strings.push(0);
        at
    };
    let platform_at = push(&mut strings, b"x86_64");
    let random_at = strings.len();
    strings.extend_from_slice(&random);
    let args_at = strings.len();
    for text in args {
        offsets.push(push(&mut strings, text));
    }
    let env_at = strings.len();
    for text in env {
        offsets.push(push(&mut strings, text));
    }
    let env_end = strings.len();
    let exec_at = push(&mut strings, exec_path);
    strings.extend_from_slice(&[0; 8]);
    let strings_base = (top - strings.len() as u64) & !15;
    let pad = (top - strings_base) as usize - strings.len();
    strings.extend(std::iter::repeat_n(0, pad));

    let mut aux: Vec<u64> = Vec::new();
    for &(kind, value) in auxv {
        aux.extend([kind, value]);
    }
    aux.extend([AT_RANDOM, strings_base + random_at as u64]);
    aux.extend([AT_EXECFN, strings_base + exec_at as u64]);
    aux.extend([AT_PLATFORM, strings_base + platform_at as u64]);
    aux.extend([AT_NULL, 0]);

    let mut words: Vec<u64> = vec![args.len() as u64];
    let address = |offset: &usize| strings_base + *offset as u64;
    words.extend(offsets[..args.len()].iter().map(address));
    words.push(0);
    words.extend(offsets[args.len()..].iter().map(address));
    words.push(0);
    words.extend(&aux);
    let pointer = (strings_base - words.len() as u64 * 8) & !15;

    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.resize((strings_base - pointer) as usize, 0);
    bytes.extend_from_slice(&strings);
    StackImage {
        pointer,
        bytes,
        args: strings_base + args_at as u64..strings_base + env_at as u64,
        env: strings_base + env_at as u64..strings_base + env_end as u64,
        auxv: aux.iter().flat_map(|word| word.to_le_bytes()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stack_pointer_is_aligned_and_points_to_argc() {
        let args = vec![b"a".to_vec(), b"bc".to_vec()];
        let image = build(0x7000_0000, &args, &[b"X=1".to_vec()], b"/bin/a", &[(6, 4096)], [7; 16]);
        assert_eq!(image.pointer % 16, 0);
        assert_eq!(image.bytes[..8], 2_u64.to_le_bytes());
        assert_eq!(image.pointer + image.bytes.len() as u64, 0x7000_0000);
        let first = u64::from_le_bytes(image.bytes[8..16].try_into().unwrap());
        assert_eq!(first, image.args.start);
        assert_eq!(image.args.end - image.args.start, 5);
    }

    #[test]
    fn long_strings_are_too_big() {
        let long = vec![vec![b'x'; MAX_STRING_BYTES]];
        assert_eq!(Strings::check(&long, &[], 8 << 20), Err(Errno::E2BIG));
        let many = vec![vec![b'x'; 1000]; 3000];
        assert_eq!(Strings::check(&many, &[], 8 << 20), Err(Errno::E2BIG));
        assert_eq!(Strings::check(&many[..100], &[], 8 << 20), Ok(()));
    }
}
