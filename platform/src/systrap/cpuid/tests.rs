//! Tests of [`super`].

use super::*;

/// `mov eax, 4; mov ecx, esi; cpuid; mov [rdi], eax` among plain code.
fn code_with_cpuid() -> (Vec<u8>, usize) {
    let mut code = [0x48, 0x89, 0xd8, 0x90].repeat(40);
    code.extend([0xb8, 4, 0, 0, 0, 0x89, 0xf1]);
    let site = code.len();
    code.extend(CPUID);
    code.extend([0x89, 0x07]);
    code.extend([0x90; 16]);
    (code, site)
}

#[test]
fn a_cpuid_among_code_is_found() {
    let (code, site) = code_with_cpuid();
    assert_eq!(find_sites(&code), [site]);
}

#[test]
fn the_same_bytes_within_an_instruction_are_none() {
    let mut code = [0x48, 0x89, 0xd8, 0x90].repeat(40);
    // mov eax, 0xa20f
    code.extend([0xb8, 0x0f, 0xa2, 0, 0]);
    code.extend([0x90; 16]);
    assert_eq!(find_sites(&code), []);
}

#[test]
fn the_same_bytes_among_data_are_none() {
    // A table of 64-bit numbers, as ciphers keep among their code.
    let mut state = 1_u64;
    let mut number = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state
    };
    let mut table: Vec<u8> = (0..1 << 16).flat_map(|_| number().to_le_bytes()).collect();
    for place in (128..table.len() - 128).step_by(509) {
        table[place..place + 2].copy_from_slice(&CPUID);
    }
    assert_eq!(find_sites(&table), []);
}

#[test]
fn no_leaf_no_cpuid() {
    let mut code = [0x48, 0x89, 0xcb, 0x90].repeat(40);
    code.extend(CPUID);
    code.extend([0x90; 16]);
    assert_eq!(find_sites(&code), []);
}

#[test]
fn what_is_read_is_what_the_file_has() {
    let (code, site) = code_with_cpuid();
    let mut copy = code.clone();
    copy[site..site + 2].copy_from_slice(&CPUID_TRAP);
    let (start, changes) = (0x40_0000, changes(&code, &copy));
    for from in [0, site - 1, site, site + 1, site + 2] {
        for to in [site + 1, site + 2, code.len()].into_iter().filter(|to| *to >= from) {
            let mut bytes = copy[from..to].to_vec();
            hide(start, &changes, start + from as u64, &mut bytes);
            assert_eq!(bytes, code[from..to], "{from}..{to}");
        }
    }
    let mut other = [0; 8];
    hide(start, &changes, start + site as u64, &mut other);
    assert_eq!(other, [0; 8]);
    let range = start + site as u64..start + site as u64 + 1;
    for (there, expected) in [(&copy, Some(CPUID.to_vec())), (&code, None)] {
        let mut written = None;
        let read = |at: u64, bytes: &mut [u8]| {
            let at = (at - start) as usize;
            bytes.copy_from_slice(&there[at..at + bytes.len()]);
            true
        };
        uncover(start, &changes, &range, &read, &mut |_, bytes| written = Some(bytes.to_vec()));
        assert_eq!(written, expected);
    }
}

#[test]
fn the_table_has_what_the_processor_says() {
    let Some(all) = ask_all() else { return };
    assert!(all.len() > 10 && all.len() as u64 <= CpuidTable::MAX);
    assert!(all.iter().all(|entry| entry.leaf != 1 && entry.leaf != 0xb));
    let vendor = all.iter().find(|entry| entry.leaf == 0).expect("leaf 0");
    assert_eq!(vendor.registers, ask(0, 0));
}

#[test]
fn all_are_found_in_the_dynamic_linker() {
    let Ok(file) = std::fs::read("/lib64/ld-linux-x86-64.so.2") else { return };
    let all = memchr::memmem::find_iter(&file, &CPUID).count();
    let found = find_sites(&file);
    assert!(found.len() > 10 && found.len() <= all, "{} of {all}", found.len());
    let (mut copy, used) = (file.clone(), file.len());
    copy.resize(used + 8192, 0);
    detour::install(&mut copy, used, &found, &ask_all().unwrap_or_default());
    let jumps = changes(&file, &copy[..used]).iter().filter(|change| change.new[0] == 0xe9).count();
    // The others have nothing before them that can be displaced.
    assert!(jumps * 2 > found.len(), "{jumps} of {}", found.len());
}
