//! The floating-point state in a signal frame: the platform's XSAVE image with the marks by which
//! programs and `rt_sigreturn` recognise it (Linux: `save_xstate_epilog`, `check_xstate_in_sigframe`).
//!
//! The software-reserved bytes of the image that a platform hands out begin with the set of
//! features that the processor has enabled (`XCR0`), as in ptrace's `NT_X86_XSTATE`.

use linux_abi::Errno;
pub(crate) use linux_abi::signal::FXSAVE_SIZE;
use linux_abi::signal::{
    FP_XSTATE_MAGIC1, FP_XSTATE_MAGIC2, FP_XSTATE_MAGIC2_SIZE, FPX_SW_BYTES_OFFSET, FpxSwBytes,
    UC_FP_XSTATE,
};
use zerocopy::{FromBytes, IntoBytes};

use crate::memory::{UserAddr, UserMemory};

/// Size of the header behind the legacy area.
const HEADER_BYTES: usize = 64;
/// Least size of an image with a header.
const XSAVE_MIN: usize = FXSAVE_SIZE + HEADER_BYTES;
/// The x87 and SSE components, which the legacy area holds.
const LEGACY_FEATURES: u64 = 3;
const SW_BYTES: std::ops::Range<usize> = FPX_SW_BYTES_OFFSET..FXSAVE_SIZE;
/// The header begins with the set of components in the image (`XSTATE_BV`).
const FEATURES: std::ops::Range<usize> = FXSAVE_SIZE..FXSAVE_SIZE + 8;

/// Turns a platform's image into that of a frame.
pub(super) fn to_frame(mut image: Vec<u8>) -> Vec<u8> {
    if image.len() < XSAVE_MIN {
        return image;
    }
    let marks = FpxSwBytes {
        magic1: FP_XSTATE_MAGIC1,
        extended_size: (image.len() + FP_XSTATE_MAGIC2_SIZE) as u32,
        xfeatures: enabled_features(&image),
        xstate_size: image.len() as u32,
        _padding: [0; 7],
    };
    image[SW_BYTES].copy_from_slice(marks.as_bytes());
    image.extend_from_slice(&FP_XSTATE_MAGIC2.to_le_bytes());
    image
}

/// The flag of a context whose frame holds `image`.
pub(super) fn context_flag(image: &[u8]) -> u64 {
    if image.len() > FXSAVE_SIZE { UC_FP_XSTATE } else { 0 }
}

/// Reads the state of the frame at `addr`, as an image to load; `current` is the thread's
/// image now, whose size and features bound it.
///
/// Errors: EFAULT when it cannot be read, EINVAL when it is no state that a processor could load.
pub(super) fn from_frame(
    memory: &UserMemory,
    addr: UserAddr,
    current: &[u8],
) -> Result<Vec<u8>, Errno> {
    let mut image = vec![0; current.len() + FP_XSTATE_MAGIC2_SIZE];
    // There may be less.
    let there = memory.read_partial(addr, &mut image)?;
    if there < FXSAVE_SIZE.min(current.len()) {
        return Err(Errno::EFAULT);
    }
    let extended = match current.len() < XSAVE_MIN {
        true => None,
        false => extended_size(&image[..there], current.len())?,
    };
    image.truncate(current.len());
    if image.len() < XSAVE_MIN {
        return Ok(image);
    }
    let enabled = enabled_features(current);
    match extended {
        Some((size, features)) => {
            image[size..].fill(0);
            check_header(&image, enabled)?;
            let present = read_u64(&image, FEATURES.start) & features;
            image[FEATURES].copy_from_slice(&present.to_le_bytes());
        }
        None => {
            // Only the legacy part: the rest gets its initial values.
            image[FXSAVE_SIZE..].fill(0);
            image[FEATURES].copy_from_slice(&LEGACY_FEATURES.to_le_bytes());
        }
    }
    image[SW_BYTES].fill(0);
    image[FPX_SW_BYTES_OFFSET..FPX_SW_BYTES_OFFSET + 8].copy_from_slice(&enabled.to_le_bytes());
    Ok(image)
}

/// Size and features of the extended state, if the marks say that there is one.
///
/// Errors: EFAULT when the second mark is not among `bytes`.
fn extended_size(bytes: &[u8], max: usize) -> Result<Option<(usize, u64)>, Errno> {
    let Ok(marks) = FpxSwBytes::read_from_bytes(&bytes[SW_BYTES]) else { return Ok(None) };
    let size = marks.xstate_size as usize;
    let fits = (XSAVE_MIN..=max).contains(&size) && marks.xstate_size <= marks.extended_size;
    if marks.magic1 != FP_XSTATE_MAGIC1 || !fits {
        return Ok(None);
    }
    let magic2 = bytes.get(size..size + FP_XSTATE_MAGIC2_SIZE).ok_or(Errno::EFAULT)?;
    let is_complete = magic2 == FP_XSTATE_MAGIC2.to_le_bytes();
    Ok(is_complete.then_some((size, marks.xfeatures)))
}

/// Errors: EINVAL for components that are not enabled, or reserved bytes that are not zero.
fn check_header(image: &[u8], enabled: u64) -> Result<(), Errno> {
    let reserved = &image[FEATURES.end..FXSAVE_SIZE + HEADER_BYTES];
    let unknown = read_u64(image, FEATURES.start) & !enabled;
    if unknown != 0 || reserved.iter().any(|&byte| byte != 0) {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// Checks an image that a tracer gives in the place of `current`.
///
/// Errors: EFAULT for one without a header, EINVAL when it is no state that a processor could load.
///
/// Divergence: Linux takes an image of the full size only (EFAULT), so debuggers fail that do not
/// know all features of the processor. Here the rest stays as it is.
pub(crate) fn checked_state(current: &[u8], image: &[u8]) -> Result<Vec<u8>, Errno> {
    let is_full = image.len() == current.len();
    if !is_full && !(XSAVE_MIN..current.len()).contains(&image.len()) {
        return Err(Errno::EFAULT);
    }
    check_mxcsr(image)?;
    if image.len() >= XSAVE_MIN {
        check_header(image, enabled_features(current))?;
    }
    let mut image = image.to_vec();
    image.extend_from_slice(&current[image.len()..]);
    if let (Some(own), Some(known)) = (image.get_mut(SW_BYTES), current.get(SW_BYTES)) {
        own.copy_from_slice(known);
    }
    Ok(image)
}

/// `current` with another legacy area, or the first part of one.
///
/// Errors: EINVAL when it is no state that a processor could load.
pub(crate) fn with_legacy_state(current: &[u8], legacy: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut image = current.to_vec();
    let part = image.get_mut(..legacy.len()).ok_or(Errno::EINVAL)?;
    part.copy_from_slice(legacy);
    if image.len() >= XSAVE_MIN {
        let present = read_u64(&image, FEATURES.start) | LEGACY_FEATURES;
        image[FEATURES].copy_from_slice(&present.to_le_bytes());
    }
    checked_state(current, &image)
}

/// Errors: EINVAL for reserved bits of MXCSR.
fn check_mxcsr(image: &[u8]) -> Result<(), Errno> {
    const MXCSR: usize = 24;
    const USABLE: u32 = 0xffff;
    let word = image.get(MXCSR..MXCSR + 4).and_then(|bytes| bytes.try_into().ok());
    let mxcsr = word.map(u32::from_le_bytes).ok_or(Errno::EINVAL)?;
    if mxcsr & !USABLE == 0 { Ok(()) } else { Err(Errno::EINVAL) }
}

/// The components that the processor has enabled, according to a platform's image.
fn enabled_features(image: &[u8]) -> u64 {
    read_u64(image, FPX_SW_BYTES_OFFSET) | LEGACY_FEATURES
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(len: usize, enabled: u64) -> Vec<u8> {
        let mut image = vec![0x11; len];
        image[SW_BYTES].fill(0);
        image[FPX_SW_BYTES_OFFSET..FPX_SW_BYTES_OFFSET + 8].copy_from_slice(&enabled.to_le_bytes());
        image
    }

    #[test]
    fn a_frame_carries_the_marks() {
        let framed = to_frame(image(832, 7));
        assert_eq!(framed.len(), 836);
        let marks = FpxSwBytes::read_from_bytes(&framed[SW_BYTES]).unwrap();
        assert_eq!((marks.magic1, marks.extended_size, marks.xstate_size), (0x46505853, 836, 832));
        assert_eq!(marks.xfeatures, 7);
        assert_eq!(framed[832..], 0x46505845_u32.to_le_bytes());
        assert_eq!(context_flag(&framed), UC_FP_XSTATE);
    }

    #[test]
    fn a_legacy_image_stays_as_it_is() {
        let framed = to_frame(vec![0; 512]);
        assert_eq!(framed.len(), 512);
        assert_eq!(context_flag(&framed), 0);
    }

    #[test]
    fn a_tracers_image_is_checked_and_completed() {
        let clean = |len: usize| {
            let mut image = vec![0; len];
            image[SW_BYTES.start] = 7;
            image[FEATURES.start] = 7;
            image
        };
        let mut current = clean(832);
        current[800] = 9;
        let mut given = clean(640);
        given[SW_BYTES.start] = 0xff;
        let taken = checked_state(&current, &given).unwrap();
        assert_eq!((taken.len(), taken[800], taken[SW_BYTES.start]), (832, 9, 7));
        for len in [0, 512, 575, 833] {
            let part = &clean(len.max(577))[..len];
            assert_eq!(checked_state(&current, part), Err(Errno::EFAULT));
        }
        given[24..28].fill(0xff);
        assert_eq!(checked_state(&current, &given), Err(Errno::EINVAL));
        let legacy = with_legacy_state(&current, &[0; 512]).unwrap();
        assert_eq!((legacy[FEATURES.start], legacy[800]), (7, 9));
    }

    #[test]
    fn headers_are_checked() {
        let mut image = image(832, 7);
        image[FEATURES].copy_from_slice(&7_u64.to_le_bytes());
        assert_eq!(check_header(&image, 7), Err(Errno::EINVAL));
        image[FEATURES.end..XSAVE_MIN].fill(0);
        assert_eq!(check_header(&image, 7), Ok(()));
        assert_eq!(check_header(&image, 3), Err(Errno::EINVAL));
    }
}
