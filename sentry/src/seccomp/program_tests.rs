use super::*;

fn op(code: u16, jt: u8, jf: u8, k: u32) -> SockFilter {
    SockFilter { code, jt, jf, k }
}

fn is_valid(code: &[SockFilter]) -> bool {
    Program::new(code.to_vec()).is_ok()
}

fn answer(code: &[SockFilter], data: &SeccompData) -> u32 {
    Program::new(code.to_vec()).expect("the program is valid").run(data)
}

const RETURN: SockFilter = SockFilter { code: RET_A, jt: 0, jf: 0, k: 0 };

#[test]
fn the_end_is_a_return() {
    assert!(!is_valid(&[]));
    assert!(is_valid(&[op(RET_K, 0, 0, 1)]));
    assert!(!is_valid(&[op(LD_IMM, 0, 0, 1)]));
    assert!(!is_valid(&[RETURN, op(LD_IMM, 0, 0, 1)]));
    assert!(is_valid(&vec![RETURN; 4096]));
    assert!(!is_valid(&vec![RETURN; 4097]));
}

#[test]
fn loads_are_aligned_words_of_the_data() {
    for k in 0..80 {
        assert_eq!(is_valid(&[op(LD_W_ABS, 0, 0, k), RETURN]), k < 64 && k % 4 == 0, "{k}");
    }
    // Halves, bytes, indirect ones, extensions.
    for code in [0x28, 0x30, 0x40, 0x48, 0x50, 0xb1] {
        assert!(!is_valid(&[op(code, 0, 0, 0), RETURN]), "{code:#x}");
    }
    assert!(!is_valid(&[op(LD_W_ABS, 0, 0, 0xffff_f000), RETURN]));
}

#[test]
fn jumps_stay_inside() {
    let jump = BPF_JMP | BPF_JEQ;
    assert!(is_valid(&[op(jump, 1, 0, 0), RETURN, RETURN]));
    assert!(!is_valid(&[op(jump, 2, 0, 0), RETURN, RETURN]));
    assert!(!is_valid(&[op(jump, 0, 255, 0), RETURN, RETURN]));
    assert!(is_valid(&[op(JA, 0, 0, 1), RETURN, RETURN]));
    assert!(!is_valid(&[op(JA, 0, 0, 2), RETURN, RETURN]));
    assert!(!is_valid(&[op(JA, 0, 0, u32::MAX), RETURN, RETURN]));
}

#[test]
fn every_other_code_is_refused() {
    let known = [
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0c, 0x14, 0x15, 0x16, 0x1c, 0x1d, 0x20,
        0x24, 0x25, 0x2c, 0x2d, 0x34, 0x35, 0x3c, 0x3d, 0x44, 0x45, 0x4c, 0x4d, 0x54, 0x5c, 0x60,
        0x61, 0x64, 0x6c, 0x74, 0x7c, 0x80, 0x81, 0x84, 0x87, 0xa4, 0xac,
    ];
    for code in 0..=0x1ff {
        // Written before it is read; a constant of 4 is in all bounds.
        let program = [op(BPF_ST, 0, 0, 4), op(code, 0, 0, 4), op(RET_K, 0, 0, 0)];
        let mut program = program.to_vec();
        program.extend([RETURN; 5]);
        assert_eq!(is_valid(&program), known.contains(&code), "{code:#x}");
    }
}

#[test]
fn arithmetic_is_that_of_32_bits() {
    let with = |code: u16, a: u32, k: u32| {
        answer(&[op(LD_IMM, 0, 0, a), op(BPF_ALU | code, 0, 0, k), RETURN], &SeccompData::default())
    };
    assert_eq!(with(BPF_ADD, u32::MAX, 2), 1);
    assert_eq!(with(BPF_SUB, 1, 2), u32::MAX);
    assert_eq!(with(BPF_MUL, 1 << 31, 2), 0);
    assert_eq!(with(BPF_DIV, 7, 2), 3);
    assert_eq!(with(BPF_LSH, 1, 31), 1 << 31);
    assert_eq!(with(BPF_RSH, 1 << 31, 31), 1);
    assert_eq!(with(BPF_XOR, 6, 3), 5);
    assert_eq!(with(BPF_NEG, 1, 0), u32::MAX);
    assert!(!is_valid(&[op(BPF_ALU | BPF_DIV, 0, 0, 0), RETURN]));
    assert!(!is_valid(&[op(BPF_ALU | BPF_LSH, 0, 0, 32), RETURN]));
    // X is 0.
    let division = [op(LD_IMM, 0, 0, 9), op(BPF_ALU | BPF_DIV | BPF_X, 0, 0, 0), RETURN];
    assert_eq!(answer(&division, &SeccompData::default()), 0);
}

#[test]
fn memory_is_written_before_it_is_read() {
    assert!(!is_valid(&[op(LD_MEM, 0, 0, 3), RETURN]));
    assert!(is_valid(&[op(BPF_ST, 0, 0, 3), op(LD_MEM, 0, 0, 3), RETURN]));
    assert!(!is_valid(&[op(BPF_ST, 0, 0, 16), RETURN]));
    // One of two ways leaves the write out.
    let jump = BPF_JMP | BPF_JEQ;
    let program = [op(jump, 0, 1, 5), op(BPF_ST, 0, 0, 3), op(LD_MEM, 0, 0, 3), RETURN];
    assert!(!is_valid(&program));
}

#[test]
fn all_words_of_the_data_can_be_read() {
    let args = [1, 2, 3, 4, 5, 6].map(|word: u64| word << 32 | (word + 16));
    let data = SeccompData { nr: -7, arch: 9, instruction_pointer: 0x1234_5678_9abc_def0, args };
    let read = |k| answer(&[op(LD_W_ABS, 0, 0, k), RETURN], &data);
    assert_eq!([read(0), read(4)], [-7_i32 as u32, 9]);
    assert_eq!([read(8), read(12)], [0x9abc_def0, 0x1234_5678]);
    for index in 0..6 {
        assert_eq!([read(16 + 8 * index), read(20 + 8 * index)], [index + 17, index + 1]);
    }
    assert_eq!(answer(&[op(LD_W_LEN, 0, 0, 0), RETURN], &data), 64);
    assert_eq!(answer(&[op(LDX_W_LEN, 0, 0, 0), op(TXA, 0, 0, 0), RETURN], &data), 64);
}
