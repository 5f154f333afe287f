//! Files and file systems.

use crate::fs::*;

#[test]
fn layout_matches_headers_part_1() {
    same_layout!(
        Stat,
        linux_raw_sys::general::stat,
        dev = st_dev,
        ino = st_ino,
        nlink = st_nlink,
        mode = st_mode,
        uid = st_uid,
        gid = st_gid,
        rdev = st_rdev,
        size = st_size,
        blksize = st_blksize,
        blocks = st_blocks,
        atime = st_atime,
        mtime = st_mtime,
        ctime = st_ctime
    );
    same_layout!(
        StatxTimestamp,
        linux_raw_sys::general::statx_timestamp,
        sec = tv_sec,
        nsec = tv_nsec
    );
    same_layout!(
        Statx,
        linux_raw_sys::general::statx,
        mask = stx_mask,
        blksize = stx_blksize,
        attributes = stx_attributes,
        nlink = stx_nlink,
        uid = stx_uid,
        gid = stx_gid,
        mode = stx_mode,
        ino = stx_ino,
        size = stx_size,
        blocks = stx_blocks,
        attributes_mask = stx_attributes_mask,
        atime = stx_atime,
        btime = stx_btime,
        ctime = stx_ctime,
        mtime = stx_mtime,
        rdev_major = stx_rdev_major,
        rdev_minor = stx_rdev_minor,
        dev_major = stx_dev_major,
        dev_minor = stx_dev_minor,
        mnt_id = stx_mnt_id,
        dio_mem_align = stx_dio_mem_align,
        dio_offset_align = stx_dio_offset_align
    );
    same_layout!(
        StatFs,
        linux_raw_sys::general::statfs,
        kind = f_type,
        bsize = f_bsize,
        blocks = f_blocks,
        bfree = f_bfree,
        bavail = f_bavail,
        files = f_files,
        ffree = f_ffree,
        fsid = f_fsid,
        namelen = f_namelen,
        frsize = f_frsize,
        flags = f_flags
    );
    same_layout!(
        OpenHow,
        linux_raw_sys::general::open_how,
        flags = flags,
        mode = mode,
        resolve = resolve
    );
    same_layout!(
        XattrArgs,
        linux_raw_sys::general::xattr_args,
        value = value,
        size = size,
        flags = flags
    );
    same_layout!(
        Flock,
        linux_raw_sys::general::flock,
        kind = l_type,
        whence = l_whence,
        start = l_start,
        len = l_len,
        pid = l_pid
    );
    same_layout!(FOwnerEx, linux_raw_sys::general::f_owner_ex, kind = type_, pid = pid);
    same_layout!(IoVec, linux_raw_sys::general::iovec, base = iov_base, len = iov_len);
    same_layout!(
        MountAttr,
        linux_raw_sys::general::mount_attr,
        attr_set = attr_set,
        attr_clr = attr_clr,
        propagation = propagation,
        userns_fd = userns_fd
    );
}

#[test]
fn layout_matches_headers_part_2() {
    same_layout!(
        InotifyEvent,
        linux_raw_sys::general::inotify_event,
        wd = wd,
        mask = mask,
        cookie = cookie,
        len = len
    );
}

#[test]
fn directory_entries_have_their_fixed_part() {
    use std::mem::offset_of;
    assert_eq!(size_of::<Dirent64>(), offset_of!(linux_raw_sys::general::linux_dirent64, d_name));
    assert_eq!(
        offset_of!(Dirent64, kind),
        offset_of!(linux_raw_sys::general::linux_dirent64, d_type)
    );
    assert_eq!(Dirent64::record_len(1), 24);
    assert_eq!(Dirent64::record_len(5), 32);
    assert_eq!(Dirent::record_len(4), 24);
}

#[test]
fn times_of_stat_are_where_the_header_has_them() {
    use std::mem::offset_of;
    assert_eq!(offset_of!(Stat, mtime), offset_of!(linux_raw_sys::general::stat, st_mtime));
    assert_eq!(offset_of!(Stat, ctime), offset_of!(linux_raw_sys::general::stat, st_ctime));
}

#[test]
fn device_numbers_round_trip() {
    for (major_number, minor_number) in
        [(1, 3), (136, 300), (0xfff, 0xf_ffff), (0x12345, 0xabc_def)]
    {
        let device = makedev(major_number, minor_number);
        assert_eq!(device, libc::makedev(major_number, minor_number));
        assert_eq!((major(device), minor(device)), (major_number, minor_number));
    }
}

#[test]
fn file_kinds_round_trip() {
    for kind in [S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK] {
        let file_kind = FileKind::from_mode(kind | 0o644).expect("the kind exists");
        assert_eq!(file_kind.mode_bits(), kind);
        assert_eq!(FileKind::from_dirent_type(file_kind.dirent_type()), Some(file_kind));
    }
    assert_eq!(FileKind::from_mode(0o644), None);
    assert_eq!(FileKind::from_dirent_type(DT_UNKNOWN), None);
    assert_eq!(FileKind::from_dirent_type(0x81), None);
}
