//! Code with a syscall site in memory of this process, and calls to it with chosen registers.

use std::ffi::c_void;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use platform::systrap::patch::{
    AREA_BYTES, LOOK_BEHIND, Patch, Refusal, Site, Step, Stub, find_gap,
};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

use super::{table, trap};

/// General registers before or after a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Registers {
    /// rax rbx rcx rdx rsi rdi rbp r8 … r15, flags.
    pub all: [u64; 16],
}

impl Registers {
    pub const RAX: usize = 0;
    pub const RBX: usize = 1;
    pub const RCX: usize = 2;
    pub const RDX: usize = 3;
    pub const RSI: usize = 4;
    pub const RDI: usize = 5;
    pub const FLAGS: usize = 15;
}

// `patch_test_call(registers, target)` calls `target` with all registers but rsp loaded, and stores
// them afterwards. `patch_test_entry` is the stub: it adds 1000 to rax, and sets r11 to the flags as
// the kernel does; the second word of a thread's block keeps the address of the data meanwhile.
std::arch::global_asm!(
    ".globl patch_test_call",
    "patch_test_call:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "push rdi",
    "push rsi",
    "push [rdi + 120]",
    "popfq",
    "mov rax, [rdi]",
    "mov rbx, [rdi + 8]",
    "mov rcx, [rdi + 16]",
    "mov rdx, [rdi + 24]",
    "mov rsi, [rdi + 32]",
    "mov rbp, [rdi + 48]",
    "mov r8, [rdi + 56]",
    "mov r9, [rdi + 64]",
    "mov r10, [rdi + 72]",
    "mov r11, [rdi + 80]",
    "mov r12, [rdi + 88]",
    "mov r13, [rdi + 96]",
    "mov r14, [rdi + 104]",
    "mov r15, [rdi + 112]",
    "mov rdi, [rdi + 40]",
    "call [rsp]",
    "pushfq",
    "push rdi",
    "mov rdi, [rsp + 24]",
    "mov [rdi], rax",
    "mov [rdi + 8], rbx",
    "mov [rdi + 16], rcx",
    "mov [rdi + 24], rdx",
    "mov [rdi + 32], rsi",
    "pop [rdi + 40]",
    "mov [rdi + 48], rbp",
    "mov [rdi + 56], r8",
    "mov [rdi + 64], r9",
    "mov [rdi + 72], r10",
    "mov [rdi + 80], r11",
    "mov [rdi + 88], r12",
    "mov [rdi + 96], r13",
    "mov [rdi + 104], r14",
    "mov [rdi + 112], r15",
    "pop [rdi + 120]",
    "cld",
    "add rsp, 16",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    ".globl patch_test_entry",
    "patch_test_entry:",
    "lea rax, [rax + 1000]",
    "mov [rcx + 8], r11",
    "lea rsp, [rsp - 128]",
    "pushfq",
    "pop r11",
    "lea rsp, [rsp + 128]",
    "mov rcx, [rcx + 8]",
    "jmp [rcx]",
);

unsafe extern "C" {
    fn patch_test_call(registers: *mut Registers, target: u64);
    fn patch_test_entry();
}

/// A mapping that holds `before; syscall; behind` after enough padding.
pub struct Code {
    start: u64,
    site: u64,
    end: u64,
}

impl Code {
    pub fn new(before: &[u8], behind: &[u8]) -> Self {
        let bytes = [before, &[0x0f, 0x05], behind].concat();
        let base = map(0, 4096);
        // Across a page's middle, with an odd distance to words.
        let start = base + 0x7fe;
        for address in base..base + 4096 {
            write(address, 0x90);
        }
        for (address, byte) in (start..).zip(&bytes) {
            write(address, *byte);
        }
        let site = start + before.len() as u64;
        Self { start, site, end: start + bytes.len() as u64 }
    }

    pub fn start(&self) -> u64 {
        self.start
    }

    pub fn site(&self) -> u64 {
        self.site
    }

    /// Calls the code at `target` within this mapping.
    pub fn call(&self, target: u64, registers: &mut Registers) {
        assert!((self.start..self.end).contains(&target));
        table::enter_thread();
        // SAFETY: the code keeps the stack, returns, and changes nothing but registers.
        unsafe { patch_test_call(registers, target) }
    }

    /// Plans a patch, with a new trampoline area if need be.
    pub fn plan(&self, number: u64) -> Arc<Patch> {
        let code_start = self.site - LOOK_BEHIND;
        let code: Vec<u8> = (code_start..self.end).map(read).collect();
        let site = Site { address: self.site, number, code_start, code: &code, lead: None };
        let stub = Stub { entry: patch_test_entry as *const () as u64, table: table::address() };
        let mut patches = trap::patches();
        match patches.plan(&site, &stub) {
            Err(Refusal::NoSpace) => (),
            result => return result.expect("a plan"),
        }
        let place = find_gap(&mappings(), self.site).expect("a gap");
        let area = map(place, AREA_BYTES);
        patches.add_area(area..area + AREA_BYTES);
        patches.plan(&site, &stub).expect("a plan in the new area")
    }

    pub fn forget(&self, patch: &Patch) {
        trap::patches().remove(patch.covered());
    }

    pub fn carry_out(&self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Sync => trap::sync(),
                Step::Write { address, bytes } => {
                    for (address, byte) in (*address..).zip(bytes) {
                        write(address, *byte);
                    }
                }
            }
        }
    }
}

/// Maps memory for code at `address`, or anywhere.
fn map(address: u64, len: u64) -> u64 {
    let hint = std::ptr::with_exposed_provenance_mut::<c_void>(address as usize);
    let fixed = if address == 0 { MapFlags::empty() } else { MapFlags::FIXED_NOREPLACE };
    let prot = ProtFlags::READ | ProtFlags::WRITE | ProtFlags::EXEC;
    // SAFETY: new memory, which replaces nothing.
    let place = unsafe { mmap_anonymous(hint, len as usize, prot, MapFlags::PRIVATE | fixed) };
    NonNull::new(place.expect("memory")).expect("not null").addr().get() as u64
}

fn mappings() -> Vec<Range<u64>> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("the mappings");
    let number = |text: &str| u64::from_str_radix(text, 16).expect("an address");
    let range = |line: &str| {
        let (start, rest) = line.split_once('-').expect("a range");
        number(start)..number(rest.split_once(' ').expect("an end").0)
    };
    maps.lines().map(range).collect()
}

/// Stores a byte of mapped code.
fn write(address: u64, byte: u8) {
    let place = std::ptr::with_exposed_provenance_mut::<u8>(address as usize);
    // SAFETY: `address` is in a mapping that these tests made, which is writable and never goes.
    unsafe { place.write_volatile(byte) }
}

/// Loads a byte of mapped code.
pub fn read(address: u64) -> u8 {
    let place = std::ptr::with_exposed_provenance::<u8>(address as usize);
    // SAFETY: as above.
    unsafe { place.read_volatile() }
}
