use std::collections::BTreeMap as Map;

use iced_x86::{Code, Decoder, DecoderOptions, Instruction};

use super::*;
use crate::systrap::patch::{AREA_BYTES, Clobbered, Form, Step, Stub, Threads};

const BASE: u64 = 0x5555_5555_0000;
const AREA: u64 = 0x5555_6000_0000;
const STUB: Stub = Stub { entry: 0x7abc_0123_4560, table: 0x7abc_1000_0000 };

/// `cmp rax, -4096` as in libc.
const CMP: [u8; 6] = [0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff];

/// Guest memory, by address.
#[derive(Clone, Default)]
struct Memory(Map<u64, u8>);

impl Memory {
    fn put(&mut self, address: u64, bytes: &[u8]) {
        self.0.extend((address..).zip(bytes.iter().copied()));
    }

    fn get(&self, address: u64, len: usize) -> Vec<u8> {
        (address..).take(len).map_while(|at| self.0.get(&at).copied()).collect()
    }

    fn carry_out(&mut self, steps: &[Step]) {
        for step in steps {
            if let Step::Write { address, bytes } = step {
                self.put(*address, bytes);
            }
        }
    }
}

/// What a thread does between two places: guest instructions, as bytes, and the call. In a
/// trampoline it takes the way of a thread that is in the table or not.
fn trace(memory: &Memory, patches: &Patches, from: u64, to: u64, listed: bool) -> Vec<Vec<u8>> {
    let mut done = Vec::new();
    let mut ip = from;
    for _ in 0..60 {
        if ip == to {
            return done;
        }
        let code = memory.get(ip, 15);
        let instruction = Decoder::with_ip(64, &code, ip, DecoderOptions::NONE).decode();
        let next = instruction.next_ip();
        let trampoline = patches.trampoline_at(ip);
        let is_own = trampoline.is_some_and(|t| (t.enter()..t.follower()).contains(&ip));
        match instruction.code() {
            Code::Int3 => match patches.trapped(next, memory.get(ip, 1).first().copied()) {
                Trapped::Redirect(target) | Trapped::Retry(target) => ip = target,
                Trapped::Guest => panic!("a stray trap at {ip:#x}"),
            },
            Code::Jmp_rel32_64 | Code::Jmp_rel8_64 => ip = instruction.near_branch_target(),
            Code::Jrcxz_rel8_64 => {
                let t = trampoline.expect("a trampoline");
                let is_slow = instruction.near_branch_target() == t.slow();
                ip = if is_slow == listed { next } else { instruction.near_branch_target() };
            }
            Code::Jmp_rm64 if is_own => {
                let word = |at| u64::from_le_bytes(memory.get(at, 8).try_into().expect("8 bytes"));
                let info = trampoline.map(Trampoline::info).expect("a trampoline");
                assert_eq!(instruction.ip_rel_memory_address(), info + 16);
                assert_eq!(
                    (word(info + 16), word(info + 8)),
                    (STUB.entry, trampoline.map(Trampoline::slow).expect("one"))
                );
                done.push(vec![0x0f, 0x05]);
                ip = word(info);
            }
            Code::Syscall => {
                done.push(vec![0x0f, 0x05]);
                ip = next;
            }
            _ if is_own => {
                assert!(patches.guest_point(ip).is_some() && !changes_flags(&instruction));
                ip = next;
            }
            _ => {
                assert!(!instruction.is_invalid(), "{code:02x?} at {ip:#x}");
                done.push(code[..instruction.len()].to_vec());
                ip = next;
            }
        }
    }
    panic!("no way from {from:#x} to {to:#x}");
}

fn changes_flags(instruction: &Instruction) -> bool {
    instruction.rflags_modified() != 0
}

/// Code with a site, and the patches of its address space.
#[derive(Clone)]
struct Case {
    memory: Memory,
    patches: Patches,
    site: u64,
    number: u64,
}

impl Case {
    fn new(before: &[u8], behind: &[u8], number: u64) -> Self {
        let mut patches = Patches::default();
        patches.add_area(AREA..AREA + AREA_BYTES);
        let mut memory = Memory::default();
        let site = BASE + before.len() as u64;
        memory.put(BASE, before);
        memory.put(site, &[0x0f, 0x05]);
        memory.put(site + 2, behind);
        Self { memory, patches, site, number }
    }

    fn plan(&mut self) -> Result<Arc<Patch>, Refusal> {
        let code = self.memory.get(BASE, 4096);
        let (address, number) = (self.site, self.number);
        let site = Site { address, number, code_start: BASE, code: &code, lead: None };
        self.patches.plan(&site, &STUB)
    }

    /// Code as the compiler leaves it: with more before `before`.
    fn amid(before: &[u8], behind: &[u8], number: u64) -> Self {
        Self::new(&[&[0x90; 96], before].concat(), behind, number)
    }

    /// Checks that from wherever a thread can be, it does the same as in `original` at every
    /// moment of `steps`, each of whose writes goes byte by byte in either direction.
    fn check(&self, patch: &Patch, original: &Memory, before: &Memory, steps: &[Step]) -> Memory {
        let covered = patch.covered();
        let mut froms = vec![covered.start, self.site, self.site + 2];
        froms.dedup();
        let mut memory = before.clone();
        let check = |memory: &Memory| {
            for from in &froms {
                let want = trace(original, &Patches::default(), *from, covered.end, true);
                for listed in [true, false] {
                    let done = trace(memory, &self.patches, *from, covered.end, listed);
                    assert_eq!(done, want, "{from:#x}");
                }
            }
        };
        for step in steps {
            let Step::Write { address, bytes } = step else { continue };
            if *address == patch.trampoline().address {
                // Nobody goes there yet.
                memory.put(*address, bytes);
                check(&memory);
                continue;
            }
            let bytes: Vec<_> = (*address..).zip(bytes).collect();
            let mut backwards = memory.clone();
            for ((at, byte), (back_at, back_byte)) in bytes.iter().zip(bytes.iter().rev()) {
                memory.put(*at, &[**byte]);
                backwards.put(*back_at, &[**back_byte]);
                check(&memory);
                check(&backwards);
            }
        }
        memory
    }

    /// Plans, and checks every moment of applying and restoring.
    fn works(mut self, form: Form) -> Arc<Patch> {
        let patch = self.plan().expect("a plan");
        assert_eq!(patch.form(), form);
        let original = self.memory.clone();
        let done = self.check(&patch, &original, &original, &patch.install(Threads::Many));
        assert_eq!(done.get(patch.range().start, 5), patch.patched());
        let mut alone = original.clone();
        alone.carry_out(&patch.install(Threads::One));
        assert!(alone.0 == done.0);
        let back = self.check(&patch, &original, &done, &patch.restore(Threads::Many));
        assert_eq!(back.get(BASE, 4096), original.get(BASE, 4096));
        // A trap that is handled when everything is over.
        self.patches.remove(patch.covered());
        assert_eq!(self.patches.trapped(self.site + 1, Some(0x0f)), Trapped::Retry(self.site));
        patch
    }

    fn refused(mut self, why: Refusal) {
        assert_eq!(self.plan().map(|patch| patch.form()), Err(why));
        assert_eq!(self.patches.iter().count(), 0);
    }
}

#[test]
fn numbers_before_the_call_are_displaced() {
    // glibc's getpid, without and with what usually comes before.
    let getpid = [0xb8, 0x27, 0, 0, 0];
    Case::amid(&getpid, &[0xc3], 39).works(Form::Leading);
    let mut padded = [0x66, 0x90].repeat(50);
    padded.extend([0xf3, 0x0f, 0x1e, 0xfa, 0x31, 0xd2]);
    padded.extend(getpid);
    let patch = Case::new(&padded, &CMP, 39).works(Form::Leading);
    assert_eq!(patch.range(), BASE + 106..BASE + 111);
    // musl's and Go's.
    Case::amid(&[0x48, 0xc7, 0xc0, 1, 0, 0, 0], &[0x48, 0x89, 0xc7], 1).works(Form::Leading);
    let negative = [0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff];
    Case::amid(&negative, &[0xc3], u64::MAX).works(Form::Leading);
}

#[test]
fn the_instruction_behind_the_call_is_displaced() {
    let patch = Case::new(&[0x31, 0xc0], &CMP, 0).works(Form::General);
    assert_eq!(patch.patched()[2], INT3);
    assert_eq!(patch.covered(), BASE + 2..BASE + 10);
    // Go's, then musl's `mov rdi, rax`, then the longest.
    Case::new(&[], &[0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0x76], 0).works(Form::General);
    Case::new(&[0x90], &[0x48, 0x89, 0xc7], 1).works(Form::General);
    let mut longest = vec![0x2e; 4];
    longest.extend([0x48, 0xc7, 0x84, 0x24, 1, 0, 0, 0, 2, 0, 0]);
    longest.push(0);
    longest.remove(0);
    Case::new(&[0x90], &longest, 1).works(Form::General);
}

#[test]
fn other_instructions_before_the_call_are_displaced_last() {
    // musl's cancellable call: `mov [rsp + 8], r11; syscall; ret`.
    let store = [0x4c, 0x89, 0x5c, 0x24, 0x08];
    Case::amid(&store, &[0xc3], 0).works(Form::Leading);
    Case::amid(&store, &CMP, 0).works(Form::General);
    // A number that is not the one called: the syscall is a jump's target.
    Case::amid(&[0xb8, 0x27, 0, 0, 0], &CMP, 40).works(Form::General);
}

#[test]
fn ambiguous_numbers_are_left_alone() {
    // `mov r8d, 39`: what looks like `mov eax, 39` begins with its second byte.
    let r8d = [0x41, 0xb8, 0x27, 0, 0, 0];
    let patch = Case::amid(&r8d, &[0xc3], 39).works(Form::Leading);
    assert_eq!(patch.range().start, BASE + 96);
    Case::new(&r8d, &[0xc3], 39).refused(Refusal::ControlTransfer);
    // `xor edx, edx; mov eax, 39` or, from the second byte, `sar byte [rax + 39], cl`.
    let shift = [0x31, 0xd2, 0xb8, 0x27, 0, 0, 0];
    Case::new(&shift, &[0xc3], 39).refused(Refusal::ControlTransfer);
    Case::new(&shift, &CMP, 39).works(Form::General);
}

#[test]
fn unsafe_sites_are_refused() {
    let refused = |behind: &[u8], why| Case::new(&[0x31, 0xc0], behind, 0).refused(why);
    refused(&[0xc3], Refusal::ControlTransfer);
    refused(&[0x89, 0xc7, 0x90, 0x90], Refusal::ShortFollower);
    refused(&[0x90, 0x90, 0x90], Refusal::ShortFollower);
    refused(&[0x48, 0x8b, 0x05, 1, 0, 0, 0], Refusal::IpRelative);
    refused(&[0xe8, 1, 0, 0, 0], Refusal::ControlTransfer);
    refused(&[0x0f, 0x84, 1, 0, 0, 0], Refusal::ControlTransfer);
    refused(&[0xff, 0x25, 1, 0, 0, 0], Refusal::ControlTransfer);
    refused(&[0xf0, 0x48, 0x0f, 0xb1, 0x0f], Refusal::Locked);
    refused(&[0x06, 0x90, 0x90, 0x90, 0x90], Refusal::Undecodable);
    refused(&[0x48, 0x3d, 0x00, 0xf0, 0xff], Refusal::Unreadable);
    refused(&[], Refusal::Unreadable);
    let sigreturn = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0];
    Case::new(&sigreturn, &CMP, 15).refused(Refusal::SignalReturn);
}

#[test]
fn foreign_addresses_are_refused() {
    let plan = |address, code_start, code: &[u8]| {
        let mut patches = Patches::default();
        let site = Site { address, number: 1, code_start, code, lead: None };
        patches.plan(&site, &STUB).map(|_| ())
    };
    let code = [0x0f, 0x05, 0x48, 0x3d, 0, 0xf0, 0xff, 0xff];
    assert_eq!(plan(BASE, BASE, &code), Err(Refusal::NoSpace));
    assert_eq!(plan(BASE, BASE + 1, &code), Err(Refusal::NotSyscall));
    assert_eq!(plan(BASE + 1, BASE, &code), Err(Refusal::NotSyscall));
    assert_eq!(plan(BASE + 100, BASE, &code), Err(Refusal::NotSyscall));
    assert_eq!(plan(BASE, BASE, &[]), Err(Refusal::NotSyscall));
    assert_eq!(plan(0, 0, &code), Err(Refusal::OutOfRange));
    assert_eq!(plan(u64::MAX - 3, u64::MAX - 3, &code), Err(Refusal::OutOfRange));
}

#[test]
fn far_areas_are_of_no_use() {
    let mut case = Case::amid(&[0xb8, 1, 0, 0, 0], &CMP, 1);
    case.patches = Patches::default();
    case.patches.add_area(BASE + (1 << 32)..BASE + (1 << 32) + AREA_BYTES);
    assert_eq!(case.plan(), Err(Refusal::NoSpace));
    case.patches.add_area(BASE + (1 << 20)..BASE + (1 << 20) + AREA_BYTES);
    assert!(case.plan().is_ok());
}

#[test]
fn patches_do_not_overlap() {
    // Two calls of which the second's number is what follows the first: both at once will not do.
    let mut behind = vec![0xb8, 0x27, 0, 0, 0, 0x0f, 0x05];
    let mut case = Case::new(&[0x90], &behind, 1);
    let first = case.plan().expect("a plan");
    assert_eq!(first.form(), Form::General);
    case.memory.carry_out(&first.install(Threads::Many));
    (case.site, case.number) = (case.site + 7, 39);
    assert_eq!(case.plan(), Err(Refusal::Unreadable));
    behind.extend(CMP);
    case.memory.put(BASE + 10, &CMP);
    assert_eq!(case.plan().map(|patch| patch.form()), Ok(Form::General));
    (case.site, case.number) = (case.site - 7, 1);
    assert_eq!(case.plan(), Err(Refusal::Overlap));
}

#[test]
fn instruction_pointers_are_translated() {
    let mut case = Case::amid(&[0xb8, 0x27, 0, 0, 0], &CMP, 39);
    let patch = case.plan().expect("a plan");
    let (t, site) = (*patch.trampoline(), case.site);
    let point = |ip, clobbered| Some(GuestPoint { ip, clobbered });
    let after = site + 2;
    let expected = [
        (t.address, point(site - 5, Clobbered::No)),
        (t.enter(), point(site, Clobbered::No)),
        (t.enter() + 6, point(site, Clobbered::Lost)),
        (t.slow(), point(site, Clobbered::Lost)),
        (t.slow() + 2, point(after, Clobbered::Due(after))),
        (t.resume() - 6, point(site, Clobbered::Lost)),
        (t.resume(), point(after, Clobbered::Due(after))),
        (t.resume() + 7, point(after, Clobbered::No)),
        (t.address + 1, None),
        (t.info(), None),
        (t.end(), None),
        (site, None),
    ];
    for (ip, guest) in expected {
        assert_eq!(case.patches.guest_point(ip), guest, "{ip:#x}");
    }
    assert_eq!(case.patches.trampoline_of(t.info()), Some(&t));
    assert_eq!(case.patches.trampoline_of(t.info() + 8), None);
    case.patches.remove(patch.covered());
    assert_eq!(case.patches.guest_point(t.enter()), point(site, Clobbered::No));

    let mut case = Case::new(&[], &CMP, 39);
    let patch = case.plan().expect("a plan");
    let t = *patch.trampoline();
    assert_eq!(case.patches.guest_point(t.address), point(BASE, Clobbered::No));
    assert_eq!(case.patches.guest_point(t.resume() + 7), point(BASE + 2, Clobbered::No));
    assert_eq!(case.patches.guest_point(t.resume() + 13), point(BASE + 8, Clobbered::No));
    assert_eq!(case.patches.resume_at(BASE + 2), BASE + 2);
    case.patches.applied(&patch);
    assert_eq!(case.patches.resume_at(BASE + 2), t.resume() + 7);
    assert_eq!(case.patches.resume_at(BASE + 8), BASE + 8);
    assert_eq!(case.patches.trapped(BASE + 3, Some(INT3)), Trapped::Redirect(t.resume() + 7));
    assert_eq!(case.patches.trapped(BASE + 3, Some(0x48)), Trapped::Retry(BASE + 2));
    assert_eq!(case.patches.trapped(BASE + 4, Some(INT3)), Trapped::Guest);
    assert_eq!(case.patches.trapped(0, None), Trapped::Retry(u64::MAX));
}

#[test]
fn original_bytes_are_shown() {
    let mut case = Case::new(&[0x90, 0x90], &CMP, 39);
    let before = case.memory.clone();
    let patch = case.plan().expect("a plan");
    case.memory.carry_out(&patch.install(Threads::Many));
    for start in BASE..BASE + 10 {
        for len in 0..10 {
            let mut bytes = case.memory.get(start, len);
            case.patches.hide(start, &mut bytes);
            assert_eq!(bytes, before.get(start, len));
        }
    }
    assert!(!patch.is_stale(&case.memory.get(patch.range().start, 5)));
    assert!(patch.is_stale(&before.get(patch.range().start, 5)));
    assert!(patch.is_stale(&[]));
}

#[test]
fn copies_are_independent() {
    let mut case = Case::new(&[], &CMP, 39);
    let patch = case.plan().expect("a plan");
    let child = case.patches.clone();
    assert_eq!(case.patches.remove(BASE + 7..BASE + 8), [patch]);
    assert_eq!((case.patches.iter().count(), child.iter().count()), (0, 1));
    assert!(child.patch_at(BASE + 7).is_some() && child.patch_at(BASE + 8).is_none());
}

#[test]
fn lost_areas_take_their_trampolines_along() {
    let mut case = Case::new(&[], &CMP, 39);
    let patch = case.plan().expect("a plan");
    let place = patch.trampoline().address;
    assert_eq!(case.patches.with_trampoline_in(place + 1..place + 2).count(), 1);
    assert_eq!(case.patches.with_trampoline_in(AREA..place).count(), 0);
    case.patches.remove(patch.covered());
    case.patches.remove_area(AREA..AREA + 1);
    assert_eq!(case.patches.guest_point(place), None);
    assert_eq!(case.plan(), Err(Refusal::NoSpace));
}

#[test]
fn random_code_is_refused_or_patched_safely() {
    let mut state = 99_u64;
    let mut number = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % limit
    };
    let mut planned = 0;
    for _ in 0..800 {
        let mut before: Vec<u8> = (0..number(120)).map(|_| number(256) as u8).collect();
        let behind: Vec<u8> = (0..number(20)).map(|_| number(256) as u8).collect();
        if number(3) == 0 {
            before.extend([0xb8, 0x27, 0, 0, 0]);
        }
        let mut case = Case::new(&before, &behind, 39);
        let unplanned = case.clone();
        let Ok(patch) = case.plan() else { continue };
        planned += 1;
        unplanned.works(patch.form());
    }
    assert!(planned > 40, "{planned}");
}
