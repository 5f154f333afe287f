//! The steps of a walk.

use std::borrow::Cow;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, MAXSYMLINKS, NAME_MAX, ResolveFlags};

use smallvec::SmallVec;

use super::ahead::Ahead;
use super::{Last, PathContext};
use crate::vfs::permission::check_search;
use crate::vfs::{Location, MountOptions};

/// A walk in progress: a place, and the rest of the path.
pub(in crate::vfs) struct Walker<'a> {
    context: &'a PathContext<'a>,
    root: Location,
    at: Location,
    path: Cow<'a, [u8]>,
    /// Where the rest of the path begins.
    position: usize,
    links: u32,
    ahead: Ahead,
    opens: bool,
}

impl<'a> Walker<'a> {
    /// # Errors
    /// EXDEV (an absolute path under `RESOLVE_BENEATH`), EAGAIN (`RESOLVE_CACHED`, which we cannot
    /// promise).
    pub(in crate::vfs) fn new(
        context: &'a PathContext<'a>,
        path: &'a [u8],
    ) -> Result<Walker<'a>, Errno> {
        let resolve = context.resolve;
        if resolve.contains(ResolveFlags::CACHED) {
            return Err(Errno::EAGAIN);
        }
        let is_scoped = resolve.intersects(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT);
        let root = if is_scoped { &context.start } else { &context.root };
        let is_absolute = path.first() == Some(&b'/');
        if is_absolute && resolve.contains(ResolveFlags::BENEATH) {
            return Err(Errno::EXDEV);
        }
        let at = if is_absolute { root } else { &context.start };
        Ok(Walker {
            context,
            root: root.clone(),
            at: at.clone(),
            path: Cow::Borrowed(path),
            position: 0,
            links: 0,
            ahead: Ahead::default(),
            opens: false,
        })
    }

    /// What the path leads to is about to be opened for reading.
    pub(in crate::vfs) fn opening(self) -> Walker<'a> {
        Walker { opens: true, ..self }
    }

    pub(in crate::vfs) fn at(&self) -> &Location {
        &self.at
    }

    /// Walks to the end of the path, as [`PathContext::lookup`].
    pub(super) fn walk(mut self, follow: bool, wants_directory: bool) -> Result<Location, Errno> {
        let mut has_slash = false;
        loop {
            let (last, slash) = self.walk_to_last()?;
            has_slash |= slash;
            let (found, is_name) = match last {
                Last::Nothing | Last::Dot => (self.at.clone(), false),
                Last::DotDot => (self.up()?, false),
                Last::Name(name) => (self.child(&name)?, true),
            };
            let is_link = found.kind() == FileKind::Symlink;
            if is_link && is_name && (follow || has_slash) {
                self.follow(&found)?;
                continue;
            }
            if (wants_directory || has_slash) && !found.is_directory() {
                return Err(Errno::ENOTDIR);
            }
            return Ok(found);
        }
    }

    /// Walks through all components but the last, which is returned with whether slashes follow.
    ///
    /// # Errors
    /// As [`PathContext::lookup`].
    pub(in crate::vfs) fn walk_to_last(&mut self) -> Result<(Last, bool), Errno> {
        loop {
            let rest = &self.path[self.position..];
            let Some(start) = rest.iter().position(|&byte| byte != b'/') else {
                return Ok((Last::Nothing, false));
            };
            let rest = &rest[start..];
            let len = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            let tail = &rest[len..];
            let is_last = tail.iter().all(|&byte| byte == b'/');
            let has_slash = !tail.is_empty();
            if !self.at.is_directory() {
                return Err(Errno::ENOTDIR);
            }
            check_search(self.at.dentry(), &self.context.credentials)?;
            let begin = self.position + start;
            self.position = begin + len;
            if is_last {
                self.position = self.path.len();
                return Ok((last_of(&self.path[begin..begin + len]), has_slash));
            }
            match &self.path[begin..begin + len] {
                b"." => {}
                b".." => self.at = self.up()?,
                _ => self.step(begin, len)?,
            }
        }
    }

    /// Goes on to the component at `begin`, which is not the last.
    fn step(&mut self, begin: usize, len: usize) -> Result<(), Errno> {
        let path = std::mem::take(&mut self.path);
        let found = self.find(&path[begin..begin + len], &path[begin + len..]);
        self.path = path;
        let found = found?;
        if found.kind() == FileKind::Symlink {
            return self.follow(&found);
        }
        self.at = found;
        Ok(())
    }

    /// The entry `name` here, through mounts.
    ///
    /// # Errors
    /// ENAMETOOLONG, ENOENT, EXDEV and those of the file system.
    pub(in crate::vfs) fn child(&mut self, name: &[u8]) -> Result<Location, Errno> {
        self.find(name, &[])
    }

    fn find(&mut self, name: &[u8], rest: &[u8]) -> Result<Location, Errno> {
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let dentry = self.ahead.find(self.at.dentry(), name, rest, self.opens)?;
        let child = self.at.with_dentry(dentry);
        if !child.dentry().is_mountpoint() {
            return Ok(child);
        }
        self.cross(child)
    }

    /// Through what is mounted at `place`.
    fn cross(&mut self, place: Location) -> Result<Location, Errno> {
        let top = place.clone().through_mounts();
        if !top.is_same(&place) {
            self.ahead.clear();
            if self.context.resolve.contains(ResolveFlags::NO_XDEV) {
                return Err(Errno::EXDEV);
            }
        }
        Ok(top)
    }

    /// The parent directory of where the walk stands.
    ///
    /// # Errors
    /// EXDEV (restrictions).
    pub(in crate::vfs) fn up(&mut self) -> Result<Location, Errno> {
        self.ahead.clear();
        let resolve = self.context.resolve;
        let mut place = self.at.clone();
        loop {
            if place.is_same(&self.root) {
                let is_outside = resolve.contains(ResolveFlags::BENEATH);
                return if is_outside { Err(Errno::EXDEV) } else { Ok(place) };
            }
            if !place.is_mount_root() {
                break;
            }
            match place.mount().mountpoint() {
                Some(_) if resolve.contains(ResolveFlags::NO_XDEV) => return Err(Errno::EXDEV),
                Some(below) => place = below,
                None => return Ok(place),
            }
        }
        match place.dentry().parent() {
            Some(parent) => self.cross(place.with_dentry(parent)),
            None => Ok(place),
        }
    }

    /// Continues the walk where `link`, an entry of this directory, leads.
    ///
    /// # Errors
    /// ELOOP (too many links, or none are allowed), ENOENT (empty), EXDEV, EACCES, EIO.
    pub(in crate::vfs) fn follow(&mut self, link: &Location) -> Result<(), Errno> {
        self.links += 1;
        let resolve = self.context.resolve;
        let is_refused = resolve.contains(ResolveFlags::NO_SYMLINKS)
            || link.mount().options().contains(MountOptions::NOSYMFOLLOW);
        if self.links > MAXSYMLINKS || is_refused {
            return Err(Errno::ELOOP);
        }
        self.ahead.clear();
        let inode = link.dentry().inode();
        if let Some(target) = inode.magic_target(&self.context.io) {
            return self.jump(target?);
        }
        let mut io = self.context.io;
        if link.mount().skips_atime(FileKind::Symlink) {
            io.flags |= linux_abi::fs::OpenFlags::NOATIME;
        }
        let mut path = inode.readlink(&io)?;
        match path.first() {
            None => return Err(Errno::ENOENT),
            Some(b'/') => self.go_to_root()?,
            Some(_) => {}
        }
        path.extend_from_slice(&self.path[self.position..]);
        self.path = Cow::Owned(path);
        self.position = 0;
        Ok(())
    }

    /// Goes where a magic link leads.
    fn jump(&mut self, target: Location) -> Result<(), Errno> {
        let resolve = self.context.resolve;
        if resolve.contains(ResolveFlags::NO_MAGICLINKS) {
            return Err(Errno::ELOOP);
        }
        let is_scoped = resolve.intersects(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT);
        let leaves_mount = !std::sync::Arc::ptr_eq(target.mount(), self.at.mount());
        if is_scoped || (leaves_mount && resolve.contains(ResolveFlags::NO_XDEV)) {
            return Err(Errno::EXDEV);
        }
        self.at = target;
        Ok(())
    }

    fn go_to_root(&mut self) -> Result<(), Errno> {
        let resolve = self.context.resolve;
        let leaves_mount = !std::sync::Arc::ptr_eq(self.root.mount(), self.at.mount());
        if resolve.contains(ResolveFlags::BENEATH)
            || (leaves_mount && resolve.contains(ResolveFlags::NO_XDEV))
        {
            return Err(Errno::EXDEV);
        }
        self.at = self.root.clone();
        Ok(())
    }
}

fn last_of(name: &[u8]) -> Last {
    match name {
        b"." => Last::Dot,
        b".." => Last::DotDot,
        name => Last::Name(SmallVec::from_slice(name)),
    }
}
