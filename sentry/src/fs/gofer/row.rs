//! A queue that any element may leave.

use slab::Slab;

/// No element stands there.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Elements in a row, linked with their neighbours.
pub(super) struct Row<T> {
    elements: Slab<Element<T>>,
    first: u32,
    last: u32,
}

struct Element<T> {
    value: T,
    before: u32,
    behind: u32,
}

impl<T> Default for Row<T> {
    fn default() -> Row<T> {
        Row { elements: Slab::new(), first: NOWHERE, last: NOWHERE }
    }
}

impl<T> Row<T> {
    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }

    /// Adds an element behind all others; answers with where it stands until it is removed.
    pub(super) fn push(&mut self, value: T) -> u32 {
        let element = Element { value, before: self.last, behind: NOWHERE };
        let at = self.elements.insert(element) as u32;
        self.link(self.last, at);
        self.last = at;
        at
    }

    /// Removes the first element.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.remove(self.first)
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        self.elements.get(at as usize).map(|element| &element.value)
    }

    /// Removes the element that stands there.
    pub(super) fn remove(&mut self, at: u32) -> Option<T> {
        let Element { value, before, behind } = self.elements.try_remove(at as usize)?;
        self.link(before, behind);
        if behind == NOWHERE {
            self.last = before;
        }
        Some(value)
    }

    /// Lets `behind` follow `before`; without that it is the first.
    fn link(&mut self, before: u32, behind: u32) {
        match self.elements.get_mut(before as usize) {
            Some(element) => element.behind = behind,
            None => self.first = behind,
        }
        if let Some(element) = self.elements.get_mut(behind as usize) {
            element.before = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_leave_in_their_order_or_from_anywhere() {
        let mut row = Row::default();
        let seats: Vec<u32> = (0..6).map(|value| row.push(value)).collect();
        assert_eq!(row.get(seats[2]), Some(&2));
        for at in [2, 0, 5] {
            assert_eq!(row.remove(seats[at]), Some(at));
            assert_eq!(row.remove(seats[at]), None);
        }
        let again = row.push(6);
        assert_eq!(row.len(), 4);
        assert_eq!([row.pop(), row.pop()], [Some(1), Some(3)]);
        assert_eq!(row.remove(again), Some(6));
        assert_eq!([row.pop(), row.pop()], [Some(4), None]);
        assert_eq!(row.len(), 0);
        row.push(7);
        assert_eq!(row.pop(), Some(7));
    }
}
