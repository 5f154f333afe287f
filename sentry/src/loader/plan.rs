//! What has to be mapped for a program, planned before anything of it is done.

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use elf::abi::{PF_R, PF_W, PF_X};
use elf::segment::ProgramHeader;
use linux_abi::Errno;
use linux_abi::mm::{MapFlags, ProtFlags};
use platform::{Heap, HostOp, Platform, PreparedCode};

use super::PreparedFiles;
use super::elf::ElfImage;
use super::prepared::Part;
use crate::mm::{FileMappings, PAGE_SIZE, page_down, page_up};
use crate::vfs::{FileDescription, MapRequest, MapSource};

/// The mappings of a new address space.
pub(super) struct Plan {
    /// Where mappings may lie.
    user: Range<u64>,
    /// In the order in which they are made. No two overlap.
    pub mappings: Vec<Mapping>,
    /// What lies behind the last byte of a file in its last page, to be zeroed.
    pub file_ends: Vec<Range<u64>>,
    pub files: FileMappings,
    pub heap: Option<Heap>,
    /// Prepared code, and where it will be.
    pub prepared: Option<(u64, Arc<PreparedCode>)>,
}

pub(super) enum Mapping {
    /// Room that was held.
    Nothing(Range<u64>),
    Memory {
        range: Range<u64>,
        prot: ProtFlags,
        flags: MapFlags,
    },
    File {
        range: Range<u64>,
        prot: ProtFlags,
        fd: Arc<OwnedFd>,
        offset: u64,
    },
}

/// An ELF image and its place.
pub(super) struct Placed {
    /// What was added to the file's addresses.
    pub bias: u64,
    pub start: u64,
    /// End of the last segment in memory.
    pub end: u64,
    pub code: Range<u64>,
    pub data: Range<u64>,
    pub entry: u64,
}

impl Plan {
    pub fn new(user: Range<u64>) -> Plan {
        let files = FileMappings::default();
        let (mappings, file_ends) = (Vec::new(), Vec::new());
        Plan { user, mappings, file_ends, files, heap: None, prepared: None }
    }

    /// Unmaps a range before everything else.
    pub fn clear_first(&mut self, range: Range<u64>) {
        self.mappings.insert(0, Mapping::Nothing(range));
    }

    /// The host operations that are planned.
    pub fn ops(&self) -> Vec<HostOp<'_>> {
        let heap = self.heap.map(HostOp::PlaceHeap);
        self.mappings.iter().map(Mapping::op).chain(heap).collect()
    }

    /// Maps prepared code in place of the code of the image that begins a program, if there is some.
    pub fn prepare(&mut self, image: &Placed, files: &PreparedFiles, platform: &dyn Platform) {
        let is_code = |mapping: &&mut Mapping| match mapping {
            Mapping::File { range, prot, .. } => {
                range.contains(&image.code.start) && *prot == ProtFlags::READ | ProtFlags::EXEC
            }
            _ => false,
        };
        let Some(Mapping::File { range, fd, offset, .. }) = self.mappings.iter_mut().find(is_code)
        else {
            return;
        };
        let used = image.code.end.min(range.end) - range.start;
        let part = Part { offset: *offset, len: range.end - range.start, used };
        if let Some(code) = files.get(platform, fd.as_fd(), part) {
            (*fd, *offset) = (Arc::clone(&code.file), 0);
            self.prepared = Some((range.start, code));
        }
    }

    /// Plans the segments of `image`, the first of them at `start`, or else all at the addresses in
    /// the file.
    ///
    /// # Errors
    /// ENOEXEC, ENOMEM, and those of the file.
    pub fn place(
        &mut self,
        file: &Arc<FileDescription>,
        image: &ElfImage,
        start: Option<u64>,
    ) -> Result<Placed, Errno> {
        let (first, last) = bounds(&image.segments)?;
        let bias = start.map_or(0, |start| start.wrapping_sub(first));
        let mut placed = Placed {
            bias,
            start: bias.wrapping_add(first),
            end: 0,
            code: 0..0,
            data: 0..0,
            entry: bias.wrapping_add(image.entry),
        };
        let end = placed.start.checked_add(last - first).ok_or(Errno::ENOMEM)?;
        if placed.start < self.user.start.max(PAGE_SIZE) || end > self.user.end {
            return Err(Errno::ENOMEM);
        }
        for segment in &image.segments {
            self.place_segment(file, segment, &mut placed)?;
        }
        Ok(placed)
    }

    fn place_segment(
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
            self.place_file(file, page_start..mapped_end, prot, offset)?;
        }
        let zero_start = if segment.p_filesz > 0 { mapped_end } else { page_start };
        let zero_end = page_up(memory_end).ok_or(Errno::ENOMEM)?;
        if zero_end > zero_start {
            let (range, flags) = (zero_start..zero_end, MapFlags::empty());
            self.mappings.push(Mapping::Memory { range, prot, flags });
        }
        if segment.p_filesz > 0 && memory_end > file_end && prot.contains(ProtFlags::WRITE) {
            // Linux padzero: zero up to the end of the last file page, also behind the bss, where
            // the dynamic linker takes its first memory from.
            self.file_ends.push(file_end..mapped_end);
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

    fn place_file(
        &mut self,
        file: &Arc<FileDescription>,
        range: Range<u64>,
        prot: ProtFlags,
        offset: u64,
    ) -> Result<(), Errno> {
        let len = range.end - range.start;
        let request = MapRequest { shared: false, writable: false, executable: true, offset, len };
        let MapSource::Host { fd, offset: host_offset } = file.file().map(&request)? else {
            return Err(Errno::ENOEXEC);
        };
        self.mappings.push(Mapping::File { range: range.clone(), prot, fd, offset: host_offset });
        let _ = self.files.insert(range, offset, file.location().clone());
        Ok(())
    }
}

impl Mapping {
    fn op(&self) -> HostOp<'_> {
        let private = MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE;
        let (range, prot, flags, fd, offset) = match self {
            Mapping::Nothing(range) => {
                return HostOp::Munmap { addr: range.start, len: range.end - range.start };
            }
            Mapping::Memory { range, prot, flags } => {
                (range, prot, private | MapFlags::ANONYMOUS | *flags, None, 0)
            }
            Mapping::File { range, prot, fd, offset } => {
                (range, prot, private, Some(fd.as_fd()), *offset)
            }
        };
        HostOp::Mmap {
            addr: range.start,
            len: range.end - range.start,
            prot: prot.bits() as i32,
            flags: flags.bits() as i32,
            fd,
            offset,
        }
    }
}

fn widen(range: &mut Range<u64>, start: u64, end: u64) {
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
pub(super) fn bounds(segments: &[ProgramHeader]) -> Result<(u64, u64), Errno> {
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
