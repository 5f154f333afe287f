//! Building the new address space of a program.

use std::ops::Range;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::mm::{MapFlags, ProtFlags};
use linux_abi::task::RLIMIT_STACK;
use linux_abi::task::auxv::{
    AT_BASE, AT_CLKTCK, AT_EGID, AT_ENTRY, AT_EUID, AT_FLAGS, AT_GID, AT_HWCAP, AT_HWCAP2,
    AT_MINSIGSTKSZ, AT_PAGESZ, AT_PHDR, AT_PHENT, AT_PHNUM, AT_SECURE, AT_SYSINFO_EHDR, AT_UID,
};
use platform::{AddressSpace, Heap, HostOp, NewProcess, Thread};

use super::elf::{ElfImage, parse};
use super::plan::{Mapping, Placed, Plan, bounds};
use super::{Loaded, Program, Strings, stack};
use crate::memory::{UserAddr, UserMemory};
use crate::mm::{Mm, MmRecord, PAGE_SIZE, page_down, page_up};
use crate::task::{Credentials, Task};
use crate::vfs::{FileDescription, IoContext};

/// Where position-independent programs start, before randomisation (two thirds of the space).
const PIE_BASE: u64 = 0x5555_5555_4000;
/// Random bits (in pages) of the program base and of the break, as on Linux x86-64.
const PIE_RANDOM_BITS: u32 = 28;
const BRK_RANDOM_BITS: u32 = 13;
/// The stack ends at most this far below the top of user space (1 GiB of random pages).
const STACK_RANDOM_BITS: u32 = 18;
/// First piece of the stack that is mapped; the host grows it downwards to the limit.
const STACK_INITIAL_BYTES: u64 = 132 << 10;

/// An address space under construction.
struct Builder<'a> {
    task: &'a Arc<Task>,
    space: Arc<dyn AddressSpace>,
    thread: Box<dyn Thread>,
    memory: UserMemory,
    plan: Plan,
}

pub(super) async fn build(
    task: &Arc<Task>,
    program: &Program,
    credentials: &Credentials,
    is_secure: bool,
    empty: Option<NewProcess>,
) -> Result<Loaded, Errno> {
    let io = IoContext { task: Some(task), flags: program.file.flags() };
    let image = parse(&program.file, &io)?;
    let interpreter = match &image.interpreter {
        Some(path) => {
            let file = crate::vfs::open_for_exec(task, None, path, true)?;
            let io = IoContext { task: Some(task), flags: file.flags() };
            let image = parse(&file, &io).map_err(|_| Errno::ELIBBAD)?;
            Some((file, image))
        }
        None => None,
    };
    let stack_limit = task.group.soft_limit(RLIMIT_STACK as usize);
    Strings::check(&program.args, &program.env, stack_limit)?;

    let (space, mut thread) = match empty {
        Some(empty) => empty,
        None => {
            // Programs that are executed are seldom the last.
            task.kernel.platform.expect_address_space();
            task.kernel.platform.new_address_space().await?
        }
    };
    thread.set_domain(task.kernel.domains.find(task, credentials));
    let memory = UserMemory::new(space.clone());
    let plan = Plan::new(space.layout().user.clone());
    let mut builder = Builder { task, space, thread, memory, plan };
    let start = if !image.is_relocatable {
        None
    } else if interpreter.is_some() {
        Some(PIE_BASE + random_pages(PIE_RANDOM_BITS)?)
    } else {
        Some(builder.find_room(&image).await?.start)
    };
    let placed = builder.plan.place(&program.file, &image, start)?;
    let linker = match &interpreter {
        Some((file, image)) => {
            let linker = builder.place_interpreter(file, image, &placed).await;
            Some(linker.map_err(bad_interpreter)?)
        }
        None => None,
    };
    let base = linker.as_ref().map_or(0, |linker| linker.bias);
    let first = linker.as_ref().unwrap_or(&placed);
    let kernel = &task.kernel;
    builder.plan.prepare(first, &kernel.prepared, &*kernel.platform);
    let auxv = auxiliary_vector(&builder, &image, &placed, base, credentials, is_secure);
    builder.finish(program, &image, &placed, first.entry, &auxv).await
}

fn bad_interpreter(errno: Errno) -> Errno {
    if errno == Errno::ENOEXEC { Errno::ELIBBAD } else { errno }
}

impl Builder<'_> {
    /// Finds room for an image where nothing is mapped yet.
    async fn find_room(&mut self, image: &ElfImage) -> Result<Range<u64>, Errno> {
        let (first, last) = bounds(&image.segments)?;
        let kernel = &self.task.kernel;
        let known = kernel.free_room.lock().clone();
        if last - first <= known.end - known.start {
            return Ok(known.end - (last - first)..known.end);
        }
        let room = self.reserve(image).await?;
        *kernel.free_room.lock() = room.clone();
        Ok(room)
    }

    /// Has the host find room for an image. It is kept until the plan is carried out.
    async fn reserve(&mut self, image: &ElfImage) -> Result<Range<u64>, Errno> {
        let (first, last) = bounds(&image.segments)?;
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::NORESERVE;
        let room = HostOp::Mmap {
            addr: 0,
            len: last - first,
            prot: ProtFlags::empty().bits() as i32,
            flags: flags.bits() as i32,
            fd: None,
            offset: 0,
        };
        let start = self.host_op(room).await?;
        let room = start..start + (last - first);
        self.plan.clear_first(room.clone());
        Ok(room)
    }

    async fn place_interpreter(
        &mut self,
        file: &Arc<FileDescription>,
        image: &ElfImage,
        program: &Placed,
    ) -> Result<Placed, Errno> {
        let mut room = self.find_room(image).await?;
        if room.start < program.end && program.start < room.end {
            // The host does not know yet where the program will be.
            self.carry_out().await?;
            room = self.reserve(image).await?;
        }
        self.plan.place(file, image, Some(room.start))
    }

    /// Makes all mappings that are planned.
    async fn carry_out(&mut self) -> Result<(), Errno> {
        self.thread.host_ops(&self.plan.ops()).await.map_err(no_room)?;
        self.plan.mappings.clear();
        Ok(())
    }

    /// Maps the stack, fills it, sets the registers.
    async fn finish(
        mut self,
        program: &Program,
        image: &ElfImage,
        placed: &Placed,
        entry: u64,
        auxv: &[(u64, u64)],
    ) -> Result<Loaded, Errno> {
        let top = self.space.layout().user.end - random_pages(STACK_RANDOM_BITS)? - PAGE_SIZE;
        let top = page_down(top.min(below_reserved(&*self.space)));
        let mut random = [0; 16];
        platform::host::random::fill(&mut random)?;
        let stack =
            stack::build(top, &program.args, &program.env, &program.exec_path, auxv, random);
        let used = page_up(stack.bytes.len() as u64).ok_or(Errno::E2BIG)?;
        let len = used + STACK_INITIAL_BYTES;
        let mut prot = ProtFlags::READ | ProtFlags::WRITE;
        if image.executable_stack {
            prot |= ProtFlags::EXEC;
        }
        let flags = MapFlags::GROWSDOWN | MapFlags::STACK;
        self.plan.mappings.push(Mapping::Memory { range: top - len..top, prot, flags });
        let heap = self.heap(image, placed, stack.pointer)?;
        if self.space.layout().places_heap {
            self.plan.heap = Some(heap);
        }
        self.carry_out().await?;
        let brk = self.break_at(heap.start).await?;
        self.space.set_heap(brk);
        if let Some((start, code)) = &self.plan.prepared {
            self.space.set_prepared(*start, code);
        }
        for rest in &self.plan.file_ends {
            let zeros = [0_u8; PAGE_SIZE as usize];
            self.memory
                .write_exact(UserAddr(rest.start), &zeros[..(rest.end - rest.start) as usize])?;
        }
        self.memory.write_exact(UserAddr(stack.pointer), &stack.bytes)?;

        let registers = self.thread.registers_mut();
        registers.rip = entry;
        registers.rsp = stack.pointer;
        self.thread.reset_fp_state()?;
        self.task.apply_memory_limits(&*self.space)?;
        let record = MmRecord {
            brk_start: brk,
            code: placed.code.clone(),
            data: placed.data.clone(),
            stack_start: stack.pointer,
            args: stack.args,
            env: stack.env,
            auxv: stack.auxv,
            exe: Some(program.file.clone()),
            vdso: self.space.layout().vdso,
            files: self.plan.files,
            plain: 0..0,
        };
        let mm = Mm::new(self.memory, record);
        Ok(Loaded { mm, space: self.space, thread: self.thread })
    }

    /// Where the heap shall be.
    fn heap(&self, image: &ElfImage, placed: &Placed, stack: u64) -> Result<Heap, Errno> {
        // Linux: a static position-independent program lies among the mappings, where the heap
        // could not grow; its heap starts where other programs do.
        let is_among_mappings = image.is_relocatable && image.interpreter.is_none();
        let base = if is_among_mappings { PIE_BASE } else { placed.end };
        let start = page_up(base).ok_or(Errno::ENOMEM)? + random_pages(BRK_RANDOM_BITS)?;
        Ok(Heap { start, data: [placed.data.start, placed.data.end], stack })
    }

    /// Where the break is: at `placed`, if the host could be told so.
    async fn break_at(&mut self, placed: u64) -> Result<u64, Errno> {
        if self.space.layout().places_heap {
            return Ok(placed);
        }
        self.host_op(HostOp::Brk { addr: 0 }).await
    }

    async fn host_op(&mut self, op: HostOp<'_>) -> Result<u64, Errno> {
        self.thread.start_host_op(op);
        std::future::poll_fn(|cx| self.thread.poll_host_op(cx)).await
    }
}

/// The end of the stack must stay below the platform's region if that lies at the top.
fn below_reserved(space: &dyn AddressSpace) -> u64 {
    let layout = space.layout();
    let near_top = layout.user.end - (64 << 30);
    if layout.reserved.start > near_top { layout.reserved.start - PAGE_SIZE } else { u64::MAX }
}

/// Overlap with what is there already (a vDSO, another segment) makes the image unusable.
fn no_room(errno: Errno) -> Errno {
    if errno == Errno::EEXIST { Errno::ENOMEM } else { errno }
}

/// A random number of whole pages below two to the `bits`, in bytes.
fn random_pages(bits: u32) -> Result<u64, Errno> {
    let mut bytes = [0; 8];
    platform::host::random::fill(&mut bytes)?;
    Ok((u64::from_le_bytes(bytes) & ((1 << bits) - 1)) * PAGE_SIZE)
}

fn auxiliary_vector(
    builder: &Builder<'_>,
    image: &ElfImage,
    placed: &Placed,
    base: u64,
    credentials: &Credentials,
    is_secure: bool,
) -> Vec<(u64, u64)> {
    let host = platform::host::process::auxiliary_value;
    let mut auxv = Vec::new();
    if let Some(vdso) = builder.space.layout().vdso {
        auxv.push((AT_SYSINFO_EHDR, vdso));
    }
    auxv.extend([
        (AT_MINSIGSTKSZ, host(AT_MINSIGSTKSZ)),
        (AT_HWCAP, host(AT_HWCAP)),
        (AT_PAGESZ, PAGE_SIZE),
        (AT_CLKTCK, 100),
        (AT_PHDR, header_address(image, placed)),
        (AT_PHENT, u64::from(image.header_size)),
        (AT_PHNUM, u64::from(image.header_count)),
        (AT_BASE, base),
        (AT_FLAGS, 0),
        (AT_ENTRY, placed.entry),
        (AT_UID, u64::from(credentials.uid)),
        (AT_EUID, u64::from(credentials.euid)),
        (AT_GID, u64::from(credentials.gid)),
        (AT_EGID, u64::from(credentials.egid)),
        (AT_SECURE, u64::from(is_secure)),
        (AT_HWCAP2, host(AT_HWCAP2)),
    ]);
    auxv
}

/// Where the program headers lie in memory: in the segment that holds their file offset.
fn header_address(image: &ElfImage, placed: &Placed) -> u64 {
    let offset = image.header_offset;
    image
        .segments
        .iter()
        .find(|segment| (segment.p_offset..segment.p_offset + segment.p_filesz).contains(&offset))
        .map_or(placed.start + offset, |segment| {
            placed.bias.wrapping_add(segment.p_vaddr + (offset - segment.p_offset))
        })
}
