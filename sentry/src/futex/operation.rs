//! The operation that `FUTEX_WAKE_OP` does on its second word.

use linux_abi::Errno;
use linux_abi::futex::{
    FUTEX_OP_ADD, FUTEX_OP_ANDN, FUTEX_OP_CMP_EQ, FUTEX_OP_CMP_GE, FUTEX_OP_CMP_GT,
    FUTEX_OP_CMP_LE, FUTEX_OP_CMP_LT, FUTEX_OP_CMP_NE, FUTEX_OP_OPARG_SHIFT, FUTEX_OP_OR,
    FUTEX_OP_SET, FUTEX_OP_XOR,
};

/// The decoded `val3` of `FUTEX_WAKE_OP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WakeOperation {
    operation: u32,
    operand: i32,
    comparison: u32,
    compared: i32,
}

impl WakeOperation {
    /// Errors: ENOSYS for an unknown operation.
    pub fn decode(encoded: u32) -> Result<WakeOperation, Errno> {
        let operation = encoded >> 28;
        let kind = operation & !FUTEX_OP_OPARG_SHIFT;
        let signed12 = |bits: u32| ((bits << 20) as i32) >> 20;
        let mut operand = signed12(encoded >> 12);
        if operation & FUTEX_OP_OPARG_SHIFT != 0 {
            // Linux: a shift out of range is cut to its low five bits.
            operand = 1 << (operand & 31);
        }
        if kind > FUTEX_OP_XOR {
            return Err(Errno::ENOSYS);
        }
        let comparison = (encoded >> 24) & 0xf;
        Ok(WakeOperation { operation: kind, operand, comparison, compared: signed12(encoded) })
    }

    /// The new value of a word.
    pub fn apply(&self, old: u32) -> u32 {
        let operand = self.operand as u32;
        match self.operation {
            FUTEX_OP_SET => operand,
            FUTEX_OP_ADD => old.wrapping_add(operand),
            FUTEX_OP_OR => old | operand,
            FUTEX_OP_ANDN => old & !operand,
            _ => old ^ operand,
        }
    }

    /// Whether the old value asks for the second wake-up.
    ///
    /// Errors: ENOSYS for an unknown comparison (found after the word was changed, as on Linux).
    pub fn compare(&self, old: u32) -> Result<bool, Errno> {
        let old = old as i32;
        match self.comparison {
            FUTEX_OP_CMP_EQ => Ok(old == self.compared),
            FUTEX_OP_CMP_NE => Ok(old != self.compared),
            FUTEX_OP_CMP_LT => Ok(old < self.compared),
            FUTEX_OP_CMP_GE => Ok(old >= self.compared),
            FUTEX_OP_CMP_LE => Ok(old <= self.compared),
            FUTEX_OP_CMP_GT => Ok(old > self.compared),
            _ => Err(Errno::ENOSYS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(operation: u32, comparison: u32, operand: i32, compared: i32) -> u32 {
        operation << 28
            | comparison << 24
            | (operand as u32 & 0xfff) << 12
            | compared as u32 & 0xfff
    }

    #[test]
    fn operations_change_the_word() {
        let apply = |operation, operand, old| {
            WakeOperation::decode(encode(operation, 0, operand, 0)).unwrap().apply(old)
        };
        assert_eq!(apply(FUTEX_OP_SET, 5, 9), 5);
        assert_eq!(apply(FUTEX_OP_ADD, -1, 9), 8);
        assert_eq!(apply(FUTEX_OP_OR, 6, 9), 15);
        assert_eq!(apply(FUTEX_OP_ANDN, 1, 9), 8);
        assert_eq!(apply(FUTEX_OP_XOR, 3, 9), 10);
        assert_eq!(apply(FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT, 4, 1), 17);
    }

    #[test]
    fn comparisons_are_signed() {
        let compare = |comparison, compared, old: i32| {
            WakeOperation::decode(encode(0, comparison, 0, compared)).unwrap().compare(old as u32)
        };
        assert_eq!(compare(FUTEX_OP_CMP_LT, 0, -1), Ok(true));
        assert_eq!(compare(FUTEX_OP_CMP_GT, -1, 0), Ok(true));
        assert_eq!(compare(FUTEX_OP_CMP_EQ, -5, -5), Ok(true));
        assert_eq!(compare(9, 0, 0), Err(Errno::ENOSYS));
        assert_eq!(WakeOperation::decode(encode(7, 0, 0, 0)), Err(Errno::ENOSYS));
    }
}
