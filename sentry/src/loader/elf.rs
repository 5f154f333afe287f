//! Parsing of ELF headers: what to map where, and which interpreter to load.

use elf::abi;
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader};
use elf::parse::ParsingTable;
use elf::segment::ProgramHeader;
use linux_abi::Errno;

use crate::vfs::{FileDescription, IoContext};

/// Most program headers we read (64 KiB worth, Linux' limit).
const MAX_HEADERS_BYTES: usize = 65536;
/// Size of a 64-bit ELF header in bytes.
const HEADER_BYTES: usize = 64;

/// The parts of an ELF file that matter for running it.
pub(super) struct ElfImage {
    pub entry: u64,
    /// Whether the image may lie anywhere (`ET_DYN`).
    pub is_relocatable: bool,
    pub segments: Vec<ProgramHeader>,
    pub header_offset: u64,
    pub header_count: u16,
    pub header_size: u16,
    pub interpreter: Option<Vec<u8>>,
    pub executable_stack: bool,
}

/// Reads exactly `len` bytes at `offset`; `None` when the file is shorter.
pub(super) fn read_at(
    file: &FileDescription,
    offset: u64,
    len: usize,
    io: &IoContext<'_>,
) -> Result<Option<Vec<u8>>, Errno> {
    let mut bytes = vec![0; len];
    let mut done = 0;
    while done < len {
        let mut dest = crate::memory::IoDest::kernel(&mut bytes[done..]);
        let got = file.file().read(&mut dest, offset + done as u64, io)?;
        if got == 0 {
            return Ok(None);
        }
        done += got;
    }
    Ok(Some(bytes))
}

/// Parses `file`.
///
/// # Errors
/// ENOEXEC when it is no 64-bit x86 ELF program, EIO from reading it.
pub(super) fn parse(file: &FileDescription, io: &IoContext<'_>) -> Result<ElfImage, Errno> {
    let header_bytes = read_at(file, 0, HEADER_BYTES, io)?.ok_or(Errno::ENOEXEC)?;
    let header = parse_header(&header_bytes)?;
    let table_bytes = usize::from(header.e_phnum) * usize::from(header.e_phentsize);
    if table_bytes == 0 || table_bytes > MAX_HEADERS_BYTES {
        return Err(Errno::ENOEXEC);
    }
    let table = read_at(file, header.e_phoff, table_bytes, io)?.ok_or(Errno::ENOEXEC)?;
    let segments: Vec<ProgramHeader> =
        ParsingTable::<LittleEndian, ProgramHeader>::new(LittleEndian, Class::ELF64, &table)
            .iter()
            .collect();
    let interpreter = match segments.iter().find(|segment| segment.p_type == abi::PT_INTERP) {
        Some(segment) => Some(read_interpreter(file, segment, io)?),
        None => None,
    };
    let stack = segments.iter().find(|segment| segment.p_type == abi::PT_GNU_STACK);
    Ok(ElfImage {
        entry: header.e_entry,
        is_relocatable: header.e_type == abi::ET_DYN,
        executable_stack: stack.is_none_or(|segment| segment.p_flags & abi::PF_X != 0),
        segments: segments.into_iter().filter(|segment| segment.p_type == abi::PT_LOAD).collect(),
        header_offset: header.e_phoff,
        header_count: header.e_phnum,
        header_size: header.e_phentsize,
        interpreter,
    })
}

fn parse_header(bytes: &[u8]) -> Result<FileHeader<LittleEndian>, Errno> {
    if bytes.get(..4) != Some(b"\x7fELF") {
        return Err(Errno::ENOEXEC);
    }
    let ident = elf::file::parse_ident::<LittleEndian>(bytes).map_err(|_| Errno::ENOEXEC)?;
    let header = FileHeader::parse_tail(ident, &bytes[16..]).map_err(|_| Errno::ENOEXEC)?;
    let fits = header.class == Class::ELF64
        && header.e_machine == abi::EM_X86_64
        && matches!(header.e_type, abi::ET_EXEC | abi::ET_DYN)
        && header.e_phentsize == 56;
    if fits { Ok(header) } else { Err(Errno::ENOEXEC) }
}

fn read_interpreter(
    file: &FileDescription,
    segment: &ProgramHeader,
    io: &IoContext<'_>,
) -> Result<Vec<u8>, Errno> {
    // Linux: 2 to PATH_MAX bytes with a NUL at the end.
    if !(2..=4096).contains(&segment.p_filesz) {
        return Err(Errno::ENOEXEC);
    }
    let bytes = read_at(file, segment.p_offset, segment.p_filesz as usize, io)?;
    let mut path = bytes.ok_or(Errno::EIO)?;
    if path.pop() != Some(0) {
        return Err(Errno::ENOEXEC);
    }
    let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
    path.truncate(end);
    Ok(path)
}
