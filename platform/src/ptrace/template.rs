//! Making the template: a child of the sentry turned into an empty address space.
//!
//! Every guest process is a `clone` of the template or of another guest process, made by the stub
//! itself, so what the template is stripped of here is gone for good: the sentry's memory,
//! descriptors, capabilities, signal handlers and the C library's registrations with the host.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use linux_abi::Errno;

use super::fpu;
use super::inject::{self, Gone};
use super::stub::{Code, Region, STUB_SOCKET};
use super::sys::{self, KICK, Status, Tid};
use crate::filter;
use crate::process::fpu::blank;
use crate::process::{PAGE_BYTES, USER_END, copy, procfs};

/// How often another place for the region is drawn when the first is taken.
const REGION_ATTEMPTS: u32 = 16;
/// `arch_prctl` code that maps the host's vDSO anew, since Linux 4.8 with checkpoint support.
const ARCH_MAP_VDSO_64: u64 = 0x2003;
/// Most pages of data that lie before the vDSO's code.
const VVAR_PAGES_MAX: u64 = 32;

/// The finished template, a stopped single-threaded process.
pub(super) struct Template {
    pub(super) tid: Tid,
    pub(super) region: Region,
    pub(super) vdso: Option<u64>,
    /// The floating-point state of a fresh process.
    pub(super) blank_fpu: Vec<u8>,
}

/// Forks the calling process and strips the child. `stub_socket` is the end that stubs keep.
pub(super) fn create(stub_socket: BorrowedFd<'_>) -> io::Result<Template> {
    let tid = fork_waiting()?;
    match strip(tid, stub_socket) {
        Ok(template) => Ok(template),
        Err(error) => {
            sys::kill_process(tid);
            while sys::wait_for(tid).is_ok_and(|status| status != Status::Gone) {}
            Err(error)
        }
    }
}

/// Makes a child that waits, attaches to it and stops it.
fn fork_waiting() -> io::Result<Tid> {
    // The child inherits this flag with the address space; without it the host denies tracing
    // and memory access to a process whose identity has ever changed.
    // SAFETY: the calls take numbers only.
    let was_dumpable = unsafe { libc::prctl(libc::PR_GET_DUMPABLE) };
    // SAFETY: as above.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) };
    // SAFETY: like fork(2), without the C library's handlers; the child makes two raw system calls
    // only and never returns.
    let tid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } as Tid;
    if tid == 0 {
        child_waits();
    }
    let fork_error = io::Error::last_os_error();
    // SAFETY: as above.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, was_dumpable) };
    if tid < 0 {
        return Err(fork_error);
    }
    let stopped =
        sys::seize(tid).and_then(|()| sys::interrupt(tid)).and_then(|()| sys::wait_for(tid));
    match stopped {
        Ok(Status::Stopped { .. }) => Ok(tid),
        Ok(Status::Gone) => Err(io::Error::other("the template process died")),
        Err(error) => {
            sys::kill_process(tid);
            let _ = sys::wait_for(tid);
            Err(describe("cannot trace a child process (is ptrace forbidden here?)", error))
        }
    }
}

/// What the child does until the tracer takes it over, wherever it is then.
fn child_waits() -> ! {
    loop {
        // SAFETY: the calls take numbers only.
        unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
        // SAFETY: the call takes no arguments.
        unsafe { libc::syscall(libc::SYS_pause) };
    }
}

fn strip(tid: Tid, stub_socket: BorrowedFd<'_>) -> io::Result<Template> {
    let mut stub = Stripper { tid, code: Code::in_sentry() };
    let region = stub.place_region()?;
    stub.code = region.code();
    // The sentry may lead the session of the container's terminal: its keys' signals are for the
    // guest's kernel, not for the host processes it runs in.
    stub.must("cannot leave the session", libc::SYS_setsid, [0; 6])?;
    stub.unregister_rseq()?;
    stub.reset_signals(region)?;
    stub.keep_only_socket(stub_socket)?;
    stub.drop_privileges(region)?;
    let vdso = stub.empty_memory(region)?;
    stub.install_filter(region)?;
    let image = fpu::get(tid).map_err(|error| describe("cannot read FPU state", error))?;
    let blank_fpu = blank(&image);
    sys::set_xstate(tid, &blank_fpu).map_err(|error| describe("cannot reset FPU state", error))?;
    sys::set_all_registers(tid, &inject::blank_registers())
        .map_err(|error| describe("cannot reset registers", error))?;
    Ok(Template { tid, region, vdso, blank_fpu })
}

/// The child while it is being stripped.
struct Stripper {
    tid: Tid,
    code: Code,
}

impl Stripper {
    fn call(&self, number: i64, args: [u64; 6]) -> Result<u64, Errno> {
        let mut wait = || sys::wait_for(self.tid).unwrap_or(Status::Gone);
        match inject::call(self.tid, self.code, number, args, &mut wait) {
            Ok(result) => result,
            Err(Gone) => Err(Errno::ESRCH),
        }
    }

    /// As `call`, for what cannot fail on a host that we support.
    fn must(&self, what: &str, number: i64, args: [u64; 6]) -> io::Result<u64> {
        self.call(number, args).map_err(|error| describe(what, error))
    }

    fn write(&self, addr: u64, bytes: &[u8]) -> io::Result<()> {
        match copy::write(self.tid, addr, bytes) {
            Ok(written) if written == bytes.len() => Ok(()),
            Ok(_) => Err(describe("cannot write stub memory", Errno::EFAULT)),
            Err(error) => Err(describe("cannot write stub memory", error)),
        }
    }

    /// Maps the stub's region and fills its code page.
    fn place_region(&self) -> io::Result<Region> {
        let rw = (libc::PROT_READ | libc::PROT_WRITE) as u64;
        let rx = (libc::PROT_READ | libc::PROT_EXEC) as u64;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        for _ in 0..REGION_ATTEMPTS {
            let region = Region::random()?;
            let start = region.range().start;
            let args = [start, Region::BYTES, rw, flags as u64, u64::MAX, 0];
            match self.call(libc::SYS_mmap, args) {
                Ok(addr) if addr == start => {
                    self.write(start, &Code::page())?;
                    let args = [start, PAGE_BYTES, rx, 0, 0, 0];
                    self.must("mprotect", libc::SYS_mprotect, args)?;
                    return Ok(region);
                }
                Ok(_) | Err(Errno::EEXIST) => continue,
                Err(error) => return Err(describe("cannot map the stub's region", error)),
            }
        }
        Err(describe("no room for the stub's region", Errno::ENOMEM))
    }

    /// The host writes to a registered `struct rseq` whenever it moves the thread to another
    /// processor, and kills a thread in which it is not mapped.
    fn unregister_rseq(&self) -> io::Result<()> {
        const RSEQ_FLAG_UNREGISTER: u64 = 1;
        let (addr, len, signature) = sys::rseq(self.tid)
            .map_err(|error| describe("cannot query rseq (Linux 5.13 is required)", error))?;
        if addr != 0 {
            let args = [addr, u64::from(len), RSEQ_FLAG_UNREGISTER, u64::from(signature), 0, 0];
            self.must("cannot unregister rseq", libc::SYS_rseq, args)?;
        }
        Ok(())
    }

    /// Default actions, no alternate stack, everything blocked but what guest code itself raises
    /// and the kick. (No stub ever runs a handler; this removes addresses of the sentry.)
    fn reset_signals(&self, region: Region) -> io::Result<()> {
        let scratch = region.scratch();
        // struct kernel_sigaction of zeroes is SIG_DFL; the page is still all zeroes.
        for signal in (1..=64).filter(|&signal| signal != libc::SIGKILL && signal != libc::SIGSTOP)
        {
            let args = [signal as u64, scratch, 0, 8, 0, 0];
            self.must("cannot reset a signal", libc::SYS_rt_sigaction, args)?;
        }
        // stack_t: ss_sp, ss_flags, ss_size.
        let disabled = [0, libc::SS_DISABLE as u64, 0].map(u64::to_ne_bytes).concat();
        self.write(scratch, &disabled)?;
        self.must("sigaltstack", libc::SYS_sigaltstack, [scratch, 0, 0, 0, 0, 0])?;
        let open = [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGSYS,
            KICK,
        ];
        let mask = open.iter().fold(u64::MAX, |mask, signal| mask & !(1 << (signal - 1)));
        sys::set_signal_mask(self.tid, mask)
            .map_err(|error| describe("cannot set the signal mask", error))
    }

    fn keep_only_socket(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let args = [socket.as_raw_fd() as u64, STUB_SOCKET, 0, 0, 0, 0];
        self.must("dup2", libc::SYS_dup2, args)?;
        let args = [STUB_SOCKET + 1, u64::from(u32::MAX), 0, 0, 0, 0];
        self.must("close_range (Linux 5.9 is required)", libc::SYS_close_range, args)?;
        Ok(())
    }

    /// No capabilities: a stub must not have more than the sentry will keep, which could not
    /// access it otherwise.
    fn drop_privileges(&self, region: Region) -> io::Result<()> {
        const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
        let prctl = |option: i32, value: u64| {
            self.must("prctl", libc::SYS_prctl, [option as u64, value, 0, 0, 0, 0])
        };
        let (header, data) = (region.scratch(), region.scratch() + 64);
        self.write(header, &u64::from(CAPABILITY_VERSION_3).to_ne_bytes())?;
        self.write(data, &[0; 24])?;
        self.must("capset", libc::SYS_capset, [header, data, 0, 0, 0, 0])?;
        prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
        prctl(libc::PR_SET_DUMPABLE, 1)?;
        self.write(header, b"guest\0")?;
        prctl(libc::PR_SET_NAME, header)?;
        Ok(())
    }

    /// Unmaps all but the stub's region, and maps the vDSO where nobody else put it. Answers with
    /// the vDSO's address.
    fn empty_memory(&self, region: Region) -> io::Result<Option<u64>> {
        let own = region.range();
        // With the vDSO in place the answer is EEXIST, or EINVAL where the host cannot do this.
        let can_map_vdso = matches!(
            self.call(libc::SYS_arch_prctl, [ARCH_MAP_VDSO_64, 0, 0, 0, 0, 0]),
            Err(Errno::EEXIST)
        );
        if !can_map_vdso {
            return self.empty_memory_around_vdso(region);
        }
        self.unmap(0, own.start)?;
        self.unmap(own.end, USER_END)?;
        let hint = own.end + (1 + crate::host::random::number()? % (1 << 16)) * PAGE_BYTES;
        self.must(
            "cannot map the vDSO",
            libc::SYS_arch_prctl,
            [ARCH_MAP_VDSO_64, hint, 0, 0, 0, 0],
        )?;
        // The data pages before the code cannot be read from outside.
        let is_elf = |page: &u64| {
            let mut magic = [0; 4];
            copy::read(self.tid, *page, &mut magic) == Ok(4) && magic == *b"\x7fELF"
        };
        Ok((0..VVAR_PAGES_MAX).map(|index| hint + index * PAGE_BYTES).find(is_elf))
    }

    /// The same for hosts without checkpoint support: keeps the vDSO where it is.
    fn empty_memory_around_vdso(&self, region: Region) -> io::Result<Option<u64>> {
        // The child's layout is that of the sentry, whose procfs entry is there at set-up.
        let maps = std::fs::read_to_string("/proc/self/maps")?;
        let mut keep = vec![region.range()];
        let mut vdso = None;
        for mapping in maps.lines().filter_map(procfs::parse_mapping) {
            match mapping.label.as_str() {
                "[vdso]" => vdso = Some(mapping.range.start),
                "[vvar]" | "[vvar_vclock]" => {}
                _ => continue,
            }
            keep.push(mapping.range);
        }
        keep.sort_by_key(|range| range.start);
        let mut from = 0;
        for range in keep {
            self.unmap(from, range.start)?;
            from = range.end;
        }
        self.unmap(from, USER_END)?;
        Ok(vdso)
    }

    fn unmap(&self, from: u64, to: u64) -> io::Result<()> {
        if from < to {
            self.must("munmap", libc::SYS_munmap, [from, to - from, 0, 0, 0, 0])?;
        }
        Ok(())
    }

    /// The second line of defence: only what is ever injected may run at all.
    fn install_filter(&self, region: Region) -> io::Result<()> {
        const SECCOMP_SET_MODE_FILTER: u64 = 1;
        let program = filter::stub::ptrace_program().map_err(io::Error::other)?;
        let (header, code) = (region.scratch(), region.scratch() + 16);
        // struct sock_fprog: length, padding, pointer.
        let fprog = [program.len() as u64 / 8, code].map(u64::to_ne_bytes).concat();
        self.write(header, &fprog)?;
        self.write(code, &program)?;
        let args = [SECCOMP_SET_MODE_FILTER, 0, header, 0, 0, 0];
        self.must("cannot install the stub's seccomp filter", libc::SYS_seccomp, args)?;
        self.write(region.scratch(), &[0; PAGE_BYTES as usize])
    }
}

fn describe(what: &str, error: Errno) -> io::Error {
    let kind = io::Error::from_raw_os_error(error.raw()).kind();
    io::Error::new(kind, format!("ptrace platform: {what}: {error}"))
}
