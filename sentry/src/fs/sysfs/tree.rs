//! Making nodes of the tree.

use std::sync::Arc;

use crate::fs::synthetic::{FixedChildren, NodeSource, SyntheticDir, SyntheticFile};
use crate::vfs::Inode;

/// A directory.
pub(super) fn dir(source: &NodeSource, children: FixedChildren) -> Arc<dyn Inode> {
    SyntheticDir::fixed(source, children)
}

/// A file that holds one line.
pub(super) fn text(source: &NodeSource, line: impl Into<String>) -> Arc<dyn Inode> {
    SyntheticFile::fixed(source, line.into() + "\n")
}

/// Numbers from 0 to `count` - 1 as Linux lists them: `0`, `0-3`.
pub(super) fn range(count: u32) -> String {
    match count {
        0 => String::new(),
        1 => "0".to_owned(),
        more => format!("0-{}", more - 1),
    }
}

/// A mask of bits `first` to `last`, in hexadecimal words of 32 bits (`%*pb` of `width` bits).
pub(super) fn mask(first: u32, last: u32, width: u32) -> String {
    let bit = |index: u32| u32::from((first..=last).contains(&index));
    let words: Vec<String> = (0..width.div_ceil(32).max(1))
        .rev()
        .map(|word| {
            let value = (0..32).fold(0, |sum, index| sum | bit(word * 32 + index) << index);
            let digits = (width - word * 32).clamp(1, 32).div_ceil(4) as usize;
            format!("{value:0digits$x}")
        })
        .collect();
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_masks() {
        assert_eq!(range(1), "0");
        assert_eq!(range(8), "0-7");
        assert_eq!(mask(0, 1, 2), "3");
        assert_eq!(mask(1, 1, 4), "2");
        assert_eq!(mask(0, 39, 40), "ff,ffffffff");
        assert_eq!(mask(33, 33, 64), "00000002,00000000");
    }
}
