//! `/proc/sysvipc`: the System V objects, in the columns of ipcs(1).

use linux_abi::Errno;
use linux_abi::ipc::IpcPerm;

use crate::fs::proc::Proc;
use crate::kernel::Kernel;
use crate::mm::PAGE_SIZE;

fn owners(perm: &IpcPerm) -> String {
    format!("{:>5} {:>5} {:>5} {:>5}", perm.uid, perm.gid, perm.cuid, perm.cgid)
}

/// `msg`.
pub(super) fn msg(_: &Proc, kernel: &Kernel) -> Result<String, Errno> {
    let mut text = String::from(
        "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n",
    );
    for (id, queue) in kernel.ipc.messages.list() {
        text.push_str(&format!(
            "{:>10} {id:>10}  {:>4o}  {:>10} {:>10} {:>5} {:>5} {} {:>10} {:>10} {:>10}\n",
            queue.perm.key,
            queue.perm.mode,
            queue.cbytes,
            queue.qnum,
            queue.lspid,
            queue.lrpid,
            owners(&queue.perm),
            queue.stime,
            queue.rtime,
            queue.ctime,
        ));
    }
    Ok(text)
}

/// `sem`.
pub(super) fn sem(_: &Proc, kernel: &Kernel) -> Result<String, Errno> {
    let mut text = String::from(
        "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n",
    );
    for (id, set) in kernel.ipc.semaphores.list() {
        text.push_str(&format!(
            "{:>10} {id:>10}  {:>4o} {:>10} {} {:>10} {:>10}\n",
            set.perm.key,
            set.perm.mode,
            set.nsems,
            owners(&set.perm),
            set.otime,
            set.ctime,
        ));
    }
    Ok(text)
}

/// `shm`.
pub(super) fn shm(_: &Proc, kernel: &Kernel) -> Result<String, Errno> {
    let mut text = String::from(
        "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n",
    );
    for found in kernel.ipc.shared_memory.list() {
        let facts = &found.facts;
        text.push_str(&format!(
            "{:>10} {:>10}  {:>4o} {:>21} {:>5} {:>5}  {:>5} {} {:>10} {:>10} {:>10} {:>21} {:>21}\n",
            facts.perm.key,
            found.id,
            facts.perm.mode,
            facts.segsz,
            facts.cpid,
            facts.lpid,
            found.segment.attachments(kernel),
            owners(&facts.perm),
            facts.atime,
            facts.dtime,
            facts.ctime,
            found.segment.resident_pages() * PAGE_SIZE,
            0,
        ));
    }
    Ok(text)
}
