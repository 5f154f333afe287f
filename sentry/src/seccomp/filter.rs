//! Chains of filters.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::task::{SECCOMP_RET_ALLOW, SeccompData, SeccompFilterFlags};

use super::action::is_more_severe;
use super::analysis::Analysis;
use super::notifier::Notifier;
use super::program::Program;

/// Most instructions of a chain, with [`PENALTY`] more for each filter but the newest.
const MAX_WEIGHT: usize = 32_768;
const PENALTY: usize = 4;

/// Numbers above are never remembered.
const NUMBERS: usize = 512;

/// A filter and all that were installed before it.
pub struct Filter {
    program: Arc<Program>,
    previous: Option<Arc<Filter>>,
    /// `SECCOMP_FILTER_FLAG_LOG`.
    pub logs: bool,
    /// The supervisor to whom it leaves decisions.
    notifier: Option<Arc<Notifier>>,
    /// Of the whole chain, with the penalty of each.
    weight: usize,
    count: u32,
    /// Numbers of calls that the whole chain always allows, one bit each.
    allowed: [u64; NUMBERS / 64],
}

impl Filter {
    /// Adds a filter to a chain.
    ///
    /// # Errors
    /// ENOMEM when the chain is too long.
    pub fn new(
        program: Arc<Program>,
        flags: SeccompFilterFlags,
        notifier: Option<Arc<Notifier>>,
        previous: Option<Arc<Filter>>,
    ) -> Result<Arc<Filter>, Errno> {
        let before = previous.as_ref().map_or(0, |filter| filter.weight);
        let own = program.weight();
        if before + own > MAX_WEIGHT {
            return Err(Errno::ENOMEM);
        }
        let mut allowed = [0; NUMBERS / 64];
        let mut analysis = Analysis::new(&program);
        for number in 0..NUMBERS {
            let was_allowed = previous.as_ref().is_none_or(|it| it.always_allows(number as u32));
            if was_allowed && analysis.always_allows(number as u32) {
                allowed[number / 64] |= 1 << (number % 64);
            }
        }
        let count = 1 + previous.as_ref().map_or(0, |filter| filter.count);
        let logs = flags.contains(SeccompFilterFlags::LOG);
        if let Some(notifier) = &notifier {
            notifier.add_filter();
        }
        Ok(Arc::new(Filter {
            program,
            previous,
            logs,
            notifier,
            weight: before + own + PENALTY,
            count,
            allowed,
        }))
    }

    /// How many filters there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The supervisor to whom it leaves decisions.
    pub(super) fn notifier(&self) -> Option<&Arc<Notifier>> {
        self.notifier.as_ref()
    }

    /// Whether one of the chain has a supervisor.
    pub fn has_supervisor(self: &Arc<Filter>) -> bool {
        let is_open =
            |filter: &Arc<Filter>| filter.notifier.as_ref().is_some_and(|it| it.is_open());
        self.chain().any(is_open)
    }

    /// Whether calls with this number are allowed whatever else they are.
    pub fn always_allows(&self, number: u32) -> bool {
        let number = number as usize;
        let word = self.allowed.get(number / 64);
        word.is_some_and(|word| word & 1 << (number % 64) != 0)
    }

    /// This filter and those before it.
    pub fn chain(self: &Arc<Filter>) -> impl Iterator<Item = &Arc<Filter>> {
        std::iter::successors(Some(self), |filter| filter.previous.as_ref())
    }

    /// Whether `self` is in the chain of `other`; no filter at all is.
    pub fn is_ancestor(this: Option<&Arc<Filter>>, other: Option<&Arc<Filter>>) -> bool {
        let Some(this) = this else { return true };
        other.is_some_and(|other| other.chain().any(|filter| Arc::ptr_eq(filter, this)))
    }

    /// The most severe answer of all filters, the newest of them if there are several; and whose
    /// it is.
    pub(super) fn judge<'a>(
        self: &'a Arc<Filter>,
        data: &SeccompData,
    ) -> (u32, Option<&'a Arc<Filter>>) {
        let mut answer = (SECCOMP_RET_ALLOW, None);
        for filter in self.chain() {
            let own = filter.program.run(data);
            if is_more_severe(own, answer.0) {
                answer = (own, Some(filter));
            }
        }
        answer
    }
}

impl Drop for Filter {
    /// A long chain must not be dropped by recursion.
    fn drop(&mut self) {
        if let Some(notifier) = &self.notifier {
            notifier.remove_filter();
        }
        let mut next = self.previous.take();
        while let Some(filter) = next {
            next = Arc::into_inner(filter).and_then(|mut filter| filter.previous.take());
        }
    }
}
