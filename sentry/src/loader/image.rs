//! Building the new address space of a program.

use std::os::fd::AsFd;
use std::sync::Arc;

use elf::abi::{PF_R, PF_W, PF_X};
use elf::segment::ProgramHeader;
use linux_abi::Errno;
use linux_abi::mm::{MapFlags, ProtFlags};
use linux_abi::task::RLIMIT_STACK;
use linux_abi::task::auxv::{
    AT_BASE, AT_CLKTCK, AT_EGID, AT_ENTRY, AT_EUID, AT_FLAGS, AT_GID, AT_HWCAP, AT_HWCAP2,
    AT_MINSIGSTKSZ, AT_PAGESZ, AT_PHDR, AT_PHENT, AT_PHNUM, AT_SECURE, AT_SYSINFO_EHDR, AT_UID,
};
use platform::{AddressSpace, HostOp, NewProcess, Thread};

use super::elf::{ElfImage, parse};
use super::{Loaded, Program, Strings, stack};
use crate::memory::{UserAddr, UserMemory};
use crate::mm::{FileMappings, Mm, MmRecord, PAGE_SIZE, page_down, page_up};
use crate::task::{Credentials, Task};
use crate::vfs::{FileDescription, IoContext, MapRequest, MapSource};

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
    files: FileMappings,
}

/// A mapped ELF image.
struct Placed {
    /// What was added to the file's addresses.
    bias: u64,
    start: u64,
    /// End of the last segment in memory.
    end: u64,
    code: std::ops::Range<u64>,
    data: std::ops::Range<u64>,
    entry: u64,
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

    let (space, thread) = match empty {
        Some(empty) => empty,
        None => task.kernel.platform.new_address_space().await?,
    };
    let memory = UserMemory::new(space.clone());
    let mut builder = Builder { task, space, thread, memory, files: FileMappings::default() };
    let bias = if !image.is_relocatable {
        Bias::Fixed
    } else if interpreter.is_some() {
        Bias::At(PIE_BASE + random_pages(PIE_RANDOM_BITS)?)
    } else {
        Bias::Anywhere
    };
    let placed = builder.place(&program.file, &image, bias).await?;
    let mut entry = placed.entry;
    let mut base = 0;
    if let Some((file, image)) = &interpreter {
        let placed = builder.place(file, image, Bias::Anywhere).await.map_err(bad_interpreter)?;
        entry = placed.entry;
        base = placed.bias;
    }
    let auxv = auxiliary_vector(&builder, &image, &placed, base, credentials, is_secure);
    builder.finish(program, &image, &placed, entry, &auxv).await
}

fn bad_interpreter(errno: Errno) -> Errno {
    if errno == Errno::ENOEXEC { Errno::ELIBBAD } else { errno }
}

/// How an image finds its place.
#[derive(Clone, Copy)]
enum Bias {
    /// At the addresses in the file.
    Fixed,
    /// The first segment at this address.
    At(u64),
    /// Where the host finds room.
    Anywhere,
}

impl Builder<'_> {
    async fn host_op(&mut self, op: HostOp<'_>) -> Result<u64, Errno> {
        self.thread.start_host_op(op);
        std::future::poll_fn(|cx| self.thread.poll_host_op(cx)).await
    }

    async fn map_anonymous(
        &mut self,
        addr: u64,
        len: u64,
        prot: ProtFlags,
        extra: MapFlags,
    ) -> Result<u64, Errno> {
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS | extra;
        self.host_op(HostOp::Mmap {
            addr,
            len,
            prot: prot.bits() as i32,
            flags: flags.bits() as i32,
            fd: None,
            offset: 0,
        })
        .await
    }

    /// Maps the segments of `image`.
    async fn place(
        &mut self,
        file: &Arc<FileDescription>,
        image: &ElfImage,
        bias: Bias,
    ) -> Result<Placed, Errno> {
        let (first, last) = bounds(&image.segments)?;
        let user = self.space.layout().user.clone();
        let bias = match bias {
            Bias::Fixed => 0,
            Bias::At(address) => address.checked_sub(first).ok_or(Errno::ENOEXEC)?,
            Bias::Anywhere => {
                // Reserve room for the whole image, then replace it segment by segment.
                let room = self
                    .map_anonymous(0, last - first, ProtFlags::empty(), MapFlags::NORESERVE)
                    .await?;
                self.host_op(HostOp::Munmap { addr: room, len: last - first }).await?;
                room.wrapping_sub(first)
            }
        };
        let mut placed = Placed {
            bias,
            start: bias.wrapping_add(first),
            end: 0,
            code: 0..0,
            data: 0..0,
            entry: bias.wrapping_add(image.entry),
        };
        let end = placed.start.checked_add(last - first).ok_or(Errno::ENOMEM)?;
        if placed.start < user.start.max(PAGE_SIZE) || end > user.end {
            return Err(Errno::ENOMEM);
        }
        for segment in &image.segments {
            self.map_segment(file, segment, &mut placed).await?;
        }
        Ok(placed)
    }

    async fn map_segment(
        &mut self,
        file: &Arc<FileDescription>,
        segment: &ProgramHeader,
        placed: &mut Placed,
    ) -> Result<(), Errno> {
        let start = placed.bias.wrapping_add(segment.p_vaddr);
        let prot = protection(segment.p_flags);
        let file_end = start + segment.p_filesz;
        let memory_end = start + segment.p_memsz;
        let page_start = page_down(start);
        let slack = start - page_start;
        let mapped_end = page_up(file_end).ok_or(Errno::ENOEXEC)?;
        if segment.p_filesz > 0 {
            let offset = segment.p_offset.checked_sub(slack).ok_or(Errno::ENOEXEC)?;
            if offset % PAGE_SIZE != 0 {
                return Err(Errno::ENOEXEC);
            }
            self.map_file(file, page_start..mapped_end, prot, offset).await?;
        }
        let zero_start = if segment.p_filesz > 0 { mapped_end } else { page_start };
        let zero_end = page_up(memory_end).ok_or(Errno::ENOMEM)?;
        if zero_end > zero_start {
            let flags = MapFlags::FIXED_NOREPLACE;
            self.map_anonymous(zero_start, zero_end - zero_start, prot, flags)
                .await
                .map_err(no_room)?;
        }
        if segment.p_filesz > 0 && memory_end > file_end && prot.contains(ProtFlags::WRITE) {
            // Linux padzero: zero up to the end of the last file page, also behind the bss, where
            // the dynamic linker takes its first memory from.
            let rest = (mapped_end - file_end) as usize;
            let zeros = [0_u8; PAGE_SIZE as usize];
            self.memory.write_exact(UserAddr(file_end), &zeros[..rest])?;
        }
        if prot.contains(ProtFlags::EXEC) {
            widen(&mut placed.code, start, file_end);
        }
        if prot.contains(ProtFlags::WRITE) {
            widen(&mut placed.data, start, file_end);
        }
        placed.end = placed.end.max(memory_end);
        Ok(())
    }

    async fn map_file(
        &mut self,
        file: &Arc<FileDescription>,
        range: std::ops::Range<u64>,
        prot: ProtFlags,
        offset: u64,
    ) -> Result<(), Errno> {
        let len = range.end - range.start;
        let request = MapRequest { shared: false, writable: false, executable: true, offset, len };
        let MapSource::Host { fd, offset: host_offset } = file.file().map(&request)? else {
            return Err(Errno::ENOEXEC);
        };
        self.host_op(HostOp::Mmap {
            addr: range.start,
            len,
            prot: prot.bits() as i32,
            flags: (MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE).bits() as i32,
            fd: Some(fd.as_fd()),
            offset: host_offset,
        })
        .await
        .map_err(no_room)?;
        let _ = self.files.insert(range, offset, file.location().clone());
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
        let flags = MapFlags::FIXED_NOREPLACE | MapFlags::GROWSDOWN | MapFlags::STACK;
        self.map_anonymous(top - len, len, prot, flags).await.map_err(no_room)?;
        self.memory.write_exact(UserAddr(stack.pointer), &stack.bytes)?;

        // Linux: a static position-independent program lies among the mappings, where the heap
        // could not grow; its heap starts where other programs do.
        let is_among_mappings = image.is_relocatable && image.interpreter.is_none();
        let heap_base = if is_among_mappings { PIE_BASE } else { placed.end };
        let brk = page_up(heap_base).ok_or(Errno::ENOMEM)? + random_pages(BRK_RANDOM_BITS)?;
        let registers = self.thread.registers_mut();
        registers.rip = entry;
        registers.rsp = stack.pointer;
        self.thread.reset_fp_state()?;
        self.task.apply_memory_limits(&*self.space)?;
        let record = MmRecord {
            brk_start: brk,
            brk,
            code: placed.code.clone(),
            data: placed.data.clone(),
            stack_start: stack.pointer,
            args: stack.args,
            env: stack.env,
            auxv: stack.auxv,
            exe: Some(program.file.clone()),
            vdso: self.space.layout().vdso,
            files: self.files,
        };
        let mm = Mm::new(self.memory, record);
        Ok(Loaded { mm, space: self.space, thread: self.thread })
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

fn widen(range: &mut std::ops::Range<u64>, start: u64, end: u64) {
    *range = if range.is_empty() { start..end } else { range.start.min(start)..range.end.max(end) };
}

fn protection(flags: u32) -> ProtFlags {
    let mut prot = ProtFlags::empty();
    prot.set(ProtFlags::READ, flags & PF_R != 0);
    prot.set(ProtFlags::WRITE, flags & PF_W != 0);
    prot.set(ProtFlags::EXEC, flags & PF_X != 0);
    prot
}

/// Page-aligned bounds of all segments in the file's own addresses.
fn bounds(segments: &[ProgramHeader]) -> Result<(u64, u64), Errno> {
    let mut first = u64::MAX;
    let mut last = 0;
    for segment in segments {
        if segment.p_filesz > segment.p_memsz {
            return Err(Errno::ENOEXEC);
        }
        let end = segment.p_vaddr.checked_add(segment.p_memsz).ok_or(Errno::ENOEXEC)?;
        first = first.min(page_down(segment.p_vaddr));
        last = last.max(page_up(end).ok_or(Errno::ENOEXEC)?);
    }
    if first >= last || last - first > 1 << 46 { Err(Errno::ENOEXEC) } else { Ok((first, last)) }
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
