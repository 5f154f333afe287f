//! Patches and restores code, by a thread in the stub of the same address space.
//!
//! The sentry writes the bytes; what has to be done from within (a mapping for trampolines, barriers)
//! the thread does. Whoever calls has closed the [`Gate`](super::gate::Gate).

use std::ops::Range;
use std::sync::Arc;

use linux_abi::Errno;

use super::familiar::Candidate;
use super::hand::Hand;
use super::patch::{
    AREA_BYTES, LOOK_AHEAD, LOOK_BEHIND, Patch, Refusal, Site, Step, Threads, find_gap,
};
use crate::contract::HostMapping;
use crate::process::copy;
use crate::process::space::Disguise;

const SYSCALL_BYTES: u64 = 2;

/// `membarrier(2)`: lets processors see changed code.
const SYNC_CORE: u64 = 1 << 5;
const REGISTER_SYNC_CORE: u64 = 1 << 6;

/// Patches the site behind whose instruction is `ip`, if it can be, and the hand was called from
/// there with `number`.
///
/// Errors: ESRCH when the thread is dead.
pub(super) async fn patch(hand: &mut Hand, ip: u64, number: u64) -> Result<(), Errno> {
    patch_first(hand, ip, number).await?;
    Ok(())
}

/// The same, and likewise those sites of the files that are mapped which were patched in other
/// processes.
///
/// Errors: ESRCH when the thread is dead.
pub(super) async fn patch_with_familiar(
    hand: &mut Hand,
    ip: u64,
    number: u64,
) -> Result<(), Errno> {
    let Some(mut mappings) = patch_first(hand, ip, number).await? else { return Ok(()) };
    // With others each patch takes barriers, which are dear.
    if hand.slot.process.patching.threads() != Threads::One {
        return Ok(());
    }
    let familiar = &hand.supervisor.familiar;
    let candidates: Vec<_> =
        mappings.iter().flat_map(|mapping| familiar.sites_in(mapping)).collect();
    for candidate in candidates {
        let Candidate { address, number, .. } = candidate;
        let ip = address + SYSCALL_BYTES;
        let patching = &hand.slot.process.patching;
        if patching.in_the_way(&(address..ip)).is_empty() && !patching.is_refused(ip) {
            let target = Target { ip, number, known: Some(candidate) };
            patch_target(hand, &mut mappings, &target).await?;
        }
    }
    Ok(())
}

/// Answers with the mappings if the site is patched.
///
/// Errors: ESRCH when the thread is dead.
async fn patch_first(
    hand: &mut Hand,
    ip: u64,
    number: u64,
) -> Result<Option<Vec<HostMapping>>, Errno> {
    let clock = hand.supervisor.vdso.get().clock_gettime;
    hand.slot.process.channel.set_clock(clock);
    let mut mappings = match mappings(hand) {
        Ok(mappings) => mappings,
        Err(Errno::ESRCH) => return Err(Errno::ESRCH),
        Err(_) => {
            hand.slot.process.patching.settle(ip, false);
            return Ok(None);
        }
    };
    let target = Target { ip, number, known: None };
    let is_patched = patch_target(hand, &mut mappings, &target).await?;
    Ok(is_patched.then_some(mappings))
}

/// A site to be patched, with what is known of it.
struct Target {
    ip: u64,
    number: u64,
    known: Option<Candidate>,
}

/// Answers whether the site is patched.
///
/// Errors: ESRCH when the thread is dead.
async fn patch_target(
    hand: &mut Hand,
    mappings: &mut Vec<HostMapping>,
    target: &Target,
) -> Result<bool, Errno> {
    let is_patched = match attempt(hand, mappings, target).await {
        Ok(()) => true,
        Err(Errno::ESRCH) => return Err(Errno::ESRCH),
        Err(_) => false,
    };
    hand.slot.process.patching.settle(target.ip, is_patched);
    Ok(is_patched)
}

/// Errors: ESRCH when the thread is dead; any other where there can be no patch.
async fn attempt(
    hand: &mut Hand,
    mappings: &mut Vec<HostMapping>,
    target: &Target,
) -> Result<(), Errno> {
    let Target { ip, number, known } = target;
    let address = ip.checked_sub(SYSCALL_BYTES).ok_or(Errno::EFAULT)?;
    let window = address.saturating_sub(LOOK_BEHIND)..address.saturating_add(LOOK_AHEAD);
    if hand.slot.process.patching.heap().contains(&address) {
        return Err(Errno::EACCES);
    }
    let range = patchable(mappings, address, window).ok_or(Errno::EACCES)?;
    let mut code = vec![0; (range.end - range.start) as usize];
    let len = copy::read(hand.slot.tid, range.start, &mut code)?;
    code.truncate(len);
    let mut own = code.clone();
    hand.slot.process.patching.hide(range.start, &mut own);
    let is_other = |known: &Candidate| known.code_start != range.start || known.code != own;
    if known.as_ref().is_some_and(is_other) {
        return Err(Errno::EINVAL);
    }
    let lead = known.as_ref().map(|known| known.lead);
    let site = Site { address, number: *number, code_start: range.start, code: &code, lead };
    let stub = hand.supervisor.region.stub();
    let patching = &hand.slot.process.patching;
    let patch = match patching.plan(&site, &stub) {
        Err(Refusal::NoSpace) => {
            map_area(hand, mappings, address).await?;
            hand.slot.process.patching.plan(&site, &stub)
        }
        planned => planned,
    };
    let patch = patch.map_err(|_| Errno::EINVAL)?;
    let patching = Arc::clone(&hand.slot.process.patching);
    let threads = patching.threads();
    if let Err(error) = enable_barriers(hand, threads).await {
        patching.remove(patch.covered());
        return Err(error);
    }
    carry_out(hand, patch.install(threads)).await?;
    patching.applied(&patch);
    if known.is_none()
        && let Some(mapping) = mappings.iter().find(|mapping| mapping.range.contains(&address))
    {
        hand.supervisor.familiar.note(mapping, &Site { code: &own, ..site });
    }
    Ok(())
}

/// Puts the guest's own bytes back in place of patches.
///
/// Errors: ESRCH when the thread is dead.
pub(super) async fn restore(hand: &mut Hand, patches: &[Arc<Patch>]) -> Result<(), Errno> {
    for patch in patches {
        let patching = Arc::clone(&hand.slot.process.patching);
        let threads = patching.threads();
        // Without barriers there is no other thread, or the patch was made by a parent process.
        let _ = enable_barriers(hand, threads).await;
        carry_out(hand, patch.restore(threads)).await?;
        patching.remove(patch.covered());
    }
    Ok(())
}

async fn carry_out(hand: &mut Hand, steps: Vec<Step>) -> Result<(), Errno> {
    for step in steps {
        match step {
            Step::Write { address, bytes } => write(hand, address, &bytes)?,
            Step::Sync => {
                hand.call(libc::SYS_membarrier, [SYNC_CORE, 0, 0, 0, 0, 0]).await?;
            }
        }
    }
    Ok(())
}

/// Writes code of the guest.
///
/// Errors: ESRCH if it cannot be done: what has begun cannot be left half done, so the process has to
/// go. (Its memory is gone, or the host is short of it.)
fn write(hand: &mut Hand, address: u64, bytes: &[u8]) -> Result<(), Errno> {
    let written = hand.memory().and_then(|memory| memory.write(address, bytes));
    match written {
        Ok(len) if len == bytes.len() => Ok(()),
        Err(Errno::ENOSYS) => Err(Errno::ENOSYS),
        _ => {
            hand.slot.process.kill();
            Err(Errno::ESRCH)
        }
    }
}

fn mappings(hand: &Hand) -> Result<Vec<HostMapping>, Errno> {
    let procfs = hand.supervisor.common.procfs.read();
    procfs.as_ref().ok_or(Errno::ENOSYS)?.mappings(hand.slot.tid)
}

/// The part of `window` around `address` whose code can be patched: private to the process, and not
/// to be changed by the guest without a call.
fn patchable(mappings: &[HostMapping], address: u64, window: Range<u64>) -> Option<Range<u64>> {
    let mapping = mappings.iter().find(|mapping| mapping.range.contains(&address))?;
    let HostMapping { range, read, write, exec, shared, label, .. } = mapping;
    let is_code = *read && *exec && !*write && !*shared && label.is_empty();
    is_code.then(|| window.start.max(range.start)..window.end.min(range.end))
}

/// Maps an area for trampolines near `address`, and notes it.
async fn map_area(
    hand: &mut Hand,
    mappings: &mut Vec<HostMapping>,
    address: u64,
) -> Result<(), Errno> {
    if !hand.slot.process.patching.has_room_for_area() {
        return Err(Errno::ENOSPC);
    }
    let heap = hand.slot.process.patching.heap();
    let ranges: Vec<_> =
        mappings.iter().map(|mapping| mapping.range.clone()).chain([heap]).collect();
    let place = find_gap(&ranges, address).ok_or(Errno::ENOSPC)?;
    let protection = (libc::PROT_READ | libc::PROT_EXEC) as u64;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let args = [place, AREA_BYTES, protection, flags as u64, u64::MAX, 0];
    let mapped = hand.call(libc::SYS_mmap, args).await?;
    if mapped != place {
        return Err(Errno::ENOSPC);
    }
    let range = place..place + AREA_BYTES;
    hand.slot.process.patching.add_area(range.clone());
    mappings.push(HostMapping {
        range,
        read: true,
        write: false,
        exec: true,
        shared: false,
        offset: 0,
        dev: (0, 0),
        inode: 0,
        label: String::new(),
    });
    Ok(())
}

async fn enable_barriers(hand: &mut Hand, threads: Threads) -> Result<(), Errno> {
    if threads == Threads::One || hand.slot.process.patching.has_barriers() {
        return Ok(());
    }
    hand.call(libc::SYS_membarrier, [REGISTER_SYNC_CORE, 0, 0, 0, 0, 0]).await?;
    hand.slot.process.patching.set_barriers();
    Ok(())
}
