//! Reading many small things that lie close together: a page at a time.

use linux_abi::Errno;

use super::{UserAddr, UserMemory, UserPtr};

const PAGE_BYTES: u64 = 4096;
/// Enough for a list and for the places where what it points to was allocated.
const PAGES_MAX: usize = 4;

/// Copies of pages, each read once. To be used for the arguments of one call: they do not change when
/// the memory does.
pub struct UserPages<'a> {
    memory: &'a UserMemory,
    pages: Vec<(u64, Box<[u8]>)>,
    /// Which one gives way next.
    oldest: usize,
}

impl<'a> UserPages<'a> {
    pub fn new(memory: &'a UserMemory) -> UserPages<'a> {
        UserPages { memory, pages: Vec::with_capacity(PAGES_MAX), oldest: 0 }
    }

    /// What lies from `addr` to the end of its page. Errors: EFAULT.
    fn rest_of_page(&mut self, addr: UserAddr) -> Result<&[u8], Errno> {
        let start = addr.0 - addr.0 % PAGE_BYTES;
        let known = self.pages.iter().position(|(page, _)| *page == start);
        let index = match known {
            Some(index) => index,
            None => self.fetch(start)?,
        };
        let page = self.pages.get(index).map_or(&[][..], |(_, bytes)| bytes);
        page.get((addr.0 % PAGE_BYTES) as usize..).ok_or(Errno::EFAULT)
    }

    fn fetch(&mut self, start: u64) -> Result<usize, Errno> {
        let bytes = self.memory.read_bytes(UserAddr(start), PAGE_BYTES as usize)?;
        let page = (start, bytes.into_boxed_slice());
        if self.pages.len() < PAGES_MAX {
            self.pages.push(page);
            return Ok(self.pages.len() - 1);
        }
        let index = self.oldest;
        self.oldest = (index + 1) % PAGES_MAX;
        if let Some(place) = self.pages.get_mut(index) {
            *place = page;
        }
        Ok(index)
    }

    /// Reads a pointer or another word. Errors: EFAULT.
    pub fn read_word(&mut self, ptr: UserPtr<u64>) -> Result<u64, Errno> {
        match self.rest_of_page(ptr.addr())?.first_chunk() {
            Some(bytes) => Ok(u64::from_ne_bytes(*bytes)),
            // It goes on in the next page.
            None => self.memory.read_value(ptr),
        }
    }

    /// As [`UserMemory::read_cstr`].
    pub fn read_cstr(
        &mut self,
        addr: UserAddr,
        max: usize,
        too_long: Errno,
    ) -> Result<Vec<u8>, Errno> {
        let mut text = Vec::new();
        while text.len() < max {
            let rest = self.rest_of_page(addr.add(text.len() as u64))?;
            let rest = &rest[..rest.len().min(max - text.len())];
            if let Some(end) = rest.iter().position(|&byte| byte == 0) {
                text.extend_from_slice(&rest[..end]);
                return Ok(text);
            }
            text.extend_from_slice(rest);
        }
        Err(too_long)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use platform::{AddressSpace, HostMapping, Layout, MemoryUsage};

    use super::*;

    /// Six pages at 0x1000 with a string in each 64 bytes; counts how often it is read.
    struct Space {
        reads: AtomicUsize,
        layout: Layout,
    }

    const END: u64 = 0x7000;

    impl AddressSpace for Space {
        fn layout(&self) -> &Layout {
            &self.layout
        }

        fn read(&self, addr: u64, buf: &mut [u8]) -> Result<usize, Errno> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            if !(0x1000..END).contains(&addr) {
                return Err(Errno::EFAULT);
            }
            let len = buf.len().min((END - addr) as usize);
            for (byte, at) in buf[..len].iter_mut().zip(addr..) {
                *byte = if at % 64 == 63 { 0 } else { (at / 64) as u8 | 1 };
            }
            Ok(len)
        }

        fn write(&self, _: u64, _: &[u8]) -> Result<usize, Errno> {
            Err(Errno::EFAULT)
        }

        fn write_forced(&self, _: u64, _: &[u8]) -> Result<usize, Errno> {
            Err(Errno::EFAULT)
        }

        fn mappings(&self) -> Result<Vec<HostMapping>, Errno> {
            Err(Errno::ENOSYS)
        }

        fn usage(&self) -> Result<MemoryUsage, Errno> {
            Err(Errno::ENOSYS)
        }

        fn set_limit(&self, _: i32, _: u64) -> Result<(), Errno> {
            Ok(())
        }

        fn id(&self) -> u64 {
            0
        }
    }

    #[test]
    fn pages_are_read_once_and_tell_what_is_there() {
        let layout = Layout { user: 0..1 << 47, reserved: 0..0, vdso: None, places_heap: false };
        let space = Arc::new(Space { reads: AtomicUsize::new(0), layout });
        let memory = UserMemory::new(space.clone());
        let mut pages = UserPages::new(&memory);
        for addr in [0x1000, 0x1fff, 0x2000, 0x1ffc, 0x6fc0, 0x3001, 0x4002, 0x5003, 0x1040] {
            for max in [1, 63, 64, 100] {
                let expected = memory.read_cstr(UserAddr(addr), max, Errno::E2BIG);
                assert_eq!(pages.read_cstr(UserAddr(addr), max, Errno::E2BIG), expected);
            }
            let word = UserPtr::new(addr);
            assert_eq!(pages.read_word(word), memory.read_value(word), "{addr:#x}");
        }
        for addr in [0, 0xff8, END] {
            assert_eq!(pages.read_word(UserPtr::new(addr)), Err(Errno::EFAULT));
            let text = pages.read_cstr(UserAddr(addr), 10, Errno::E2BIG);
            assert_eq!(text, Err(Errno::EFAULT));
        }
        assert_eq!(pages.read_word(UserPtr::new(END - 4)), Err(Errno::EFAULT));
        let before = space.reads.load(Ordering::Relaxed);
        let mut pages = UserPages::new(&memory);
        for addr in (0x2000..0x3000).step_by(64) {
            assert_eq!(pages.read_cstr(UserAddr(addr), 100, Errno::E2BIG).unwrap().len(), 63);
        }
        assert_eq!(space.reads.load(Ordering::Relaxed) - before, 1);
    }
}
