//! Floating-point state as XSAVE images (standard format, Intel SDM volume 1, chapter 13).

use std::arch::x86_64::__cpuid_count;

use linux_abi::Errno;

/// The legacy area (`fxsave`), and the header behind it.
const LEGACY_BYTES: usize = 512;
const HEADER_BYTES: usize = 64;
/// What the processor leaves alone in the legacy area.
const SOFTWARE_BYTES: std::ops::Range<usize> = 464..LEGACY_BYTES;

const X87_AND_SSE: u64 = 3;
const PKRU: u64 = 1 << 9;
const MXCSR_OFFSET: usize = 24;
const DEFAULT_MXCSR: u32 = 0x1f80;
const DEFAULT_CONTROL_WORD: u16 = 0x37f;

/// Completes an image to `full_bytes`; what is missing gets its initial state.
///
/// Errors: EINVAL for an image that is too long or too short for the legacy area.
pub(crate) fn completed(image: &[u8], full_bytes: usize) -> Result<Vec<u8>, Errno> {
    if image.len() < LEGACY_BYTES || image.len() > full_bytes {
        return Err(Errno::EINVAL);
    }
    let mut full = image.to_vec();
    full.resize(full_bytes, 0);
    if image.len() < LEGACY_BYTES + HEADER_BYTES {
        full[LEGACY_BYTES..].fill(0);
        set_features(&mut full, X87_AND_SSE);
    }
    Ok(full)
}

/// Puts what the host's ptrace puts into the bytes that are software's: the enabled features.
pub(crate) fn set_software_bytes(image: &mut [u8], enabled: u64) {
    if let Some(bytes) = image.get_mut(SOFTWARE_BYTES) {
        bytes.fill(0);
        bytes[..8].copy_from_slice(&enabled.to_le_bytes());
    }
}

/// Checks an image as the kernel does before it loads one from a signal frame.
///
/// Errors: EINVAL for features not in `supported`, for a compacted image, and for bits of MXCSR
/// or of the header that are reserved.
pub(crate) fn check_loadable(image: &[u8], supported: u64) -> Result<(), Errno> {
    let word = |at: usize| {
        let bytes = image.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes).ok_or(Errno::EINVAL)
    };
    const DEFAULT_MXCSR_MASK: u32 = 0xffbf;
    let mask = match word(MXCSR_OFFSET + 4)? {
        0 => DEFAULT_MXCSR_MASK,
        mask => mask | DEFAULT_MXCSR_MASK,
    };
    let reserved_mxcsr = word(MXCSR_OFFSET)? & !mask;
    let header = image.get(LEGACY_BYTES..LEGACY_BYTES + HEADER_BYTES);
    let is_clean = header.is_none_or(|header| {
        features(image) & !supported == 0 && header[8..].iter().all(|&byte| byte == 0)
    });
    if reserved_mxcsr == 0 && is_clean { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Makes the image of a process that has run nothing, keeping only the default memory protection
/// key rights (`PKRU`) of `image`.
pub(crate) fn blank(image: &[u8]) -> Vec<u8> {
    let mut blank = vec![0; image.len()];
    blank[..2].copy_from_slice(&DEFAULT_CONTROL_WORD.to_le_bytes());
    blank[MXCSR_OFFSET..MXCSR_OFFSET + 4].copy_from_slice(&DEFAULT_MXCSR.to_le_bytes());
    // The mask of usable MXCSR bits and what software put behind the registers stay.
    blank[28..32].copy_from_slice(&image[28..32]);
    blank[464..LEGACY_BYTES].copy_from_slice(&image[464..LEGACY_BYTES]);
    if image.len() < LEGACY_BYTES + HEADER_BYTES {
        return blank;
    }
    let mut present = X87_AND_SSE;
    if features(image) & PKRU != 0
        && let Some(place) = component(9, image.len())
    {
        blank[place.clone()].copy_from_slice(&image[place]);
        present |= PKRU;
    }
    set_features(&mut blank, present);
    blank
}

/// XSTATE_BV: which components are not in their initial state.
fn features(image: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&image[LEGACY_BYTES..LEGACY_BYTES + 8]);
    u64::from_le_bytes(bytes)
}

fn set_features(image: &mut [u8], features: u64) {
    if image.len() >= LEGACY_BYTES + HEADER_BYTES {
        image[LEGACY_BYTES..LEGACY_BYTES + 8].copy_from_slice(&features.to_le_bytes());
    }
}

/// Where a state component lies in the standard format.
fn component(number: u32, image_bytes: usize) -> Option<std::ops::Range<usize>> {
    let leaf = __cpuid_count(0xd, number);
    let range = leaf.ebx as usize..leaf.ebx as usize + leaf.eax as usize;
    (leaf.eax != 0 && range.end <= image_bytes).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_image_holds_nothing_of_the_old_one() {
        let mut image = vec![0xaa; 832];
        set_features(&mut image, 7);
        let blank = blank(&image);
        assert_eq!(&blank[..4], &[0x7f, 3, 0, 0]);
        assert_eq!(features(&blank), X87_AND_SSE);
        assert!(blank[32..464].iter().all(|&byte| byte == 0));
        assert!(blank[520..].iter().all(|&byte| byte == 0));
    }
}
