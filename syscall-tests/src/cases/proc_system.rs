//! /proc and /sys of the whole system, and the device nodes.

use crate::support::prelude::*;

fn text(path: &std::ffi::CStr) -> String {
    String::from_utf8_lossy(&content(path)).into_owned()
}

case!(directory_lists_processes_and_files, [getdents64], {
    let names: Vec<String> = std::fs::read_dir("/proc")
        .must()
        .map(|e| e.must().file_name().to_string_lossy().into_owned())
        .collect();
    for name in ["self", "stat", "meminfo", "cpuinfo", "uptime", "version", "mounts", "sys"] {
        check!(names.iter().any(|n| n == name), "{name} is missing: {names:?}");
    }
    check!(names.contains(&getpid().to_string()));
});

case!(missing_entries, [open, unlink, mkdir], {
    check_eq!(sys!(open, c"/proc/missing", O_RDONLY, 0), Err(ENOENT));
    check_eq!(sys!(open, c"/proc/99999999", O_RDONLY, 0), Err(ENOENT));
    check_eq!(sys!(open, c"/proc/self/missing", O_RDONLY, 0), Err(ENOENT));
    check_eq!(sys!(open, c"/proc/0", O_RDONLY, 0), Err(ENOENT));
    check!(sys!(unlink, c"/proc/version").is_err());
    check!(sys!(mkdir, c"/proc/new", 0o755).is_err());
    check!(sys!(open, c"/proc/new", O_RDWR | O_CREAT, 0o644).is_err());
});

case!(stat_counts, [read], {
    let stat = text(c"/proc/stat");
    check!(stat.starts_with("cpu "), "{stat}");
    for key in ["cpu0 ", "ctxt ", "btime ", "processes ", "procs_running "] {
        check!(stat.lines().any(|l| l.starts_with(key)), "{key}");
    }
    let boot = stat.lines().find_map(|l| l.strip_prefix("btime ")).must();
    check!(boot.parse::<i64>().is_ok_and(|t| t > 1_500_000_000), "{boot}");
});

case!(meminfo_and_cpuinfo, [read], {
    let memory = text(c"/proc/meminfo");
    for key in ["MemTotal:", "MemFree:", "MemAvailable:", "SwapTotal:"] {
        let line = memory.lines().find(|l| l.starts_with(key)).must();
        check!(line.ends_with(" kB"), "{line}");
    }
    let processors = text(c"/proc/cpuinfo");
    check!(processors.contains("processor\t: 0\n") && processors.contains("flags\t"));
});

case!(uptime_and_load, [read], {
    let uptime = text(c"/proc/uptime");
    let words: Vec<f64> = uptime.split_whitespace().map(|w| w.parse().ok().must()).collect();
    check_eq!(words.len(), 2);
    check!(words[0] > 0.0);
    check_eq!(text(c"/proc/loadavg").split_whitespace().count(), 5);
});

case!(version_matches_uname, [read, uname], {
    let mut buf = [0u8; 390];
    sys!(uname, &mut buf).must();
    let release = String::from_utf8_lossy(&buf[130..195]).into_owned();
    let release = release.trim_end_matches('\0').to_owned();
    check!(text(c"/proc/version").starts_with(&format!("Linux version {release}")));
    check_eq!(text(c"/proc/sys/kernel/osrelease"), format!("{release}\n"));
    check_eq!(text(c"/proc/sys/kernel/ostype"), "Linux\n");
});

case!(sysctl_values, [read], {
    for file in [
        c"/proc/sys/kernel/pid_max",
        c"/proc/sys/fs/nr_open",
        c"/proc/sys/kernel/ngroups_max",
        c"/proc/sys/vm/max_map_count",
    ] {
        let value = text(file);
        check!(value.trim().parse::<u64>().is_ok_and(|v| v > 0), "{file:?}: {value}");
    }
    check!(text(c"/proc/sys/vm/overcommit_memory").trim().parse::<u8>().is_ok_and(|v| v <= 2));
    check_eq!(text(c"/proc/sys/kernel/random/boot_id").trim().len(), 36);
    let uuid = text(c"/proc/sys/kernel/random/uuid");
    check!(uuid.trim().len() == 36 && uuid != text(c"/proc/sys/kernel/random/uuid"));
});

case!(filesystems_are_listed, [read], {
    let list = text(c"/proc/filesystems");
    for name in ["nodev\tproc", "nodev\ttmpfs", "nodev\tsysfs"] {
        check!(list.lines().any(|l| l == name), "{name}");
    }
});

case!(files_seek_and_read_in_parts, [lseek, pread64], {
    let fd = open(c"/proc/version", O_RDONLY);
    let whole = read_all(fd);
    sys!(lseek, fd, 6, SEEK_SET).must();
    let mut buf = [0u8; 7];
    check_eq!(sys!(read, fd, &mut buf, 7), Ok(7));
    check_eq!(&buf[..], &whole[6..13]);
    check_eq!(sys!(pread64, fd, &mut buf, 5, 0), Ok(5));
    check_eq!(&buf[..5], b"Linux");
});

case!(sysfs_basics, [open, read], {
    let online = text(c"/sys/devices/system/cpu/online");
    check!(online.starts_with('0'), "{online}");
    let mut fs: statfs = zeroed();
    sys!(statfs, c"/sys", &mut fs).must();
    check_eq!(fs.f_type, 0x6265_6572, "SYSFS_MAGIC");
});

case!(devices_work, [read, write], {
    let random = open(c"/dev/urandom", O_RDONLY);
    let (mut a, mut b) = ([0u8; 16], [0u8; 16]);
    check_eq!((sys!(read, random, &mut a, 16), sys!(read, random, &mut b, 16)), (Ok(16), Ok(16)));
    check!(a != b);
    check_eq!(sys!(read, open(c"/dev/random", O_RDONLY), &mut a, 16), Ok(16));
    check_eq!(sys!(lseek, open(c"/dev/null", O_RDWR), 5, SEEK_SET), Ok(0));
    check_eq!(sys!(lseek, open(c"/dev/zero", O_RDWR), 5, SEEK_SET), Ok(0));
});

case!(standard_links_of_dev, [readlink], {
    for (name, target) in [
        (c"/dev/fd", "/proc/self/fd"),
        (c"/dev/stdin", "/proc/self/fd/0"),
        (c"/dev/stdout", "/proc/self/fd/1"),
        (c"/dev/stderr", "/proc/self/fd/2"),
    ] {
        let mut buf = [0u8; 64];
        let len = match sys!(readlink, name, &mut buf, 64) {
            Err(ENOENT) => skip!("no {}", name.to_string_lossy()),
            other => other.must() as usize,
        };
        check_eq!(String::from_utf8_lossy(&buf[..len]), target);
    }
});

case!(shared_memory_directory, [open, mmap], {
    let name = cstr(&format!("/dev/shm/case-{}", getpid()));
    let fd = open(&name, O_RDWR | O_CREAT | O_EXCL);
    sys!(unlink, name.as_c_str()).must();
    sys!(ftruncate, fd, PAGE).must();
    let area = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    fork(|| poke(area, 9u8)).ok();
    check_eq!(peek::<u8>(area), 9);
    check_eq!(stat(c"/dev/shm").st_mode & 0o7777, 0o1777);
});

case!(permissions_of_other_users_processes, [open, readlink], {
    need_root();
    let parent = getpid();
    as_nobody(|| {
        let file = |name: &str| cstr(&format!("/proc/{parent}/{name}"));
        check!(sys!(open, file("status").as_c_str(), O_RDONLY, 0).is_ok());
        check_eq!(sys!(open, file("environ").as_c_str(), O_RDONLY, 0), Err(EACCES));
        check_eq!(sys!(open, file("mem").as_c_str(), O_RDONLY, 0), Err(EACCES));
        check_eq!(sys!(readlink, file("exe").as_c_str(), &mut [0u8; 8], 8), Err(EACCES));
        check_eq!(sys!(readlink, file("cwd").as_c_str(), &mut [0u8; 8], 8), Err(EACCES));
    });
});
