//! The program against a reference model, over all numbers and around all edges.

mod reference;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use linux_abi::task::{AUDIT_ARCH_I386, AUDIT_ARCH_X86_64, SeccompData};
use proptest::prelude::*;
use proptest::sample::select;

use super::program::assemble;
use super::*;
use crate::filter::bpf::interpreter::{Outcome, run};
use crate::filter::bpf::{Answer, Instruction};
use crate::systrap::patch::{AREA_BYTES, AREA_END, AREA_PERIOD};

const WINDOW: u64 = 0x7ea5_0000_0000;
const GUEST_IP: u64 = 0x5555_5555_1234;
const STUB_IP: u64 = WINDOW + 0x1_0002;
const VSYSCALL_IP: u64 = 0xffff_ffff_ff60_0000;
const GIB: u64 = 1 << 30;

fn layout() -> Layout {
    Layout {
        window: WINDOW,
        code: WINDOW + 0x1_0000..WINDOW + 0x1_3000,
        channel: WINDOW + 0x10_0000..WINDOW + 0x14_0000,
        conduits: WINDOW + 0x20_0000..WINDOW + 0x28_0000,
        conduit_bytes: 0x1_1000,
        catch_all: WINDOW + 0x1_2e00,
        has_native_futexes: true,
    }
}

/// A layout and its program.
struct Filter {
    layout: Layout,
    program: Vec<Instruction>,
}

impl Filter {
    fn new() -> Filter {
        Filter::of(layout())
    }

    fn of(layout: Layout) -> Filter {
        Filter { program: assemble(&layout).expect("a valid layout"), layout }
    }

    fn run(&self, data: &SeccompData) -> Outcome {
        run(&self.program, data).expect("a valid program")
    }

    /// Asserts that program and model agree.
    fn check(&self, data: &SeccompData) {
        let expected = reference::policy(&self.layout, data);
        assert_eq!(self.run(data).value, expected.value(), "{expected:?}: {data:x?}");
    }

    fn answers(&self, ip: u64, number: i64, args: [u64; 6]) -> u32 {
        self.run(&call(ip, number, args)).value
    }
}

fn call(ip: u64, number: i64, args: [u64; 6]) -> SeccompData {
    SeccompData { nr: number as i32, arch: AUDIT_ARCH_X86_64, instruction_pointer: ip, args }
}

/// Edges of the stub's code, of its window, of halves and of the address space.
fn addresses() -> Vec<u64> {
    let Layout { window, code, .. } = layout();
    [0, GUEST_IP, STUB_IP, VSYSCALL_IP, code.start, code.end, window, window + (1 << 32), 1 << 32]
        .into_iter()
        .chain([code.start & 0xffff_ffff, code.end & 0xffff_ffff, 1 << 47, 0xffff_ffff_0000_0000])
        .flat_map(|edge| [edge.wrapping_sub(1), edge, edge.wrapping_add(1)])
        .collect()
}

#[test]
fn every_number_from_everywhere_is_answered_as_the_model_says() {
    for has_native_futexes in [true, false] {
        check_every_number(&Filter::of(Layout { has_native_futexes, ..layout() }));
    }
}

fn check_every_number(filter: &Filter) {
    let doorbell = i64::from(DOORBELL);
    let special = [doorbell - 1, doorbell, doorbell + 1, 0x3fff_ffff, 0x4000_0000, 0x4000_0009];
    let negative = [i64::from(i32::MAX), i64::from(i32::MIN), -2, -1];
    for number in (0..1024).chain(special).chain(negative) {
        for ip in addresses() {
            let catch_all = [1, 0, layout().catch_all, 0, 0, 0];
            let heap = [35, 14, WINDOW, 104, 0, 0];
            for args in
                [catch_all, heap, [0; 6], [u64::MAX; 6], [WINDOW; 6], [0x1001, 4096, 0, 0x22, 0, 0]]
            {
                filter.check(&call(ip, number, args));
                let foreign = call(ip, number, args);
                filter.check(&SeccompData { arch: AUDIT_ARCH_I386, ..foreign });
            }
        }
    }
}

#[test]
fn the_second_filter_catches_what_the_first_lets_through() {
    let layout = layout();
    let program = super::catch_all::assemble(&layout).expect("a valid layout");
    let bytes = catch_all(&layout).expect("a valid layout");
    assert!(bytes.len() as u64 <= layout.code.end - layout.catch_all - 16);
    let filter = Filter::new();
    for number in (0..1024).chain([i64::from(DOORBELL), -1, 0x4000_00ca]) {
        for ip in addresses() {
            for args in [[0; 6], [0, 6, 0, 0, 0, 0]] {
                let data = call(ip, number, args);
                let second = run(&program, &data).expect("a valid program").value;
                let is_stub = layout.code.contains(&ip);
                let first = filter.run(&data).value;
                let is_let_through = !is_stub && first == Answer::Allow.value();
                let is_native_number = matches!(number, 9 | 10 | 12 | 158 | 202 | 318 | 334 | 449);
                let caught = is_let_through || !is_stub && is_native_number;
                let expected = if caught { Answer::Trap } else { Answer::Allow };
                assert_eq!(second, expected.value(), "{data:x?}");
                let foreign = SeccompData { arch: AUDIT_ARCH_I386, ..data };
                let foreign = run(&program, &foreign).expect("a valid program");
                assert_eq!(foreign.value, Answer::Allow.value());
                let is_native_op = number == 449 || number == 202 && args[1] == 0;
                assert_eq!(is_native(number as u64, &args), is_native_op);
            }
        }
    }
}

#[test]
fn each_side_has_its_own_way_to_the_sentry() {
    let filter = Filter::new();
    let doorbell = i64::from(DOORBELL);
    assert_eq!(filter.answers(STUB_IP, doorbell, [0; 6]), Answer::Notify.value());
    assert_eq!(filter.answers(STUB_IP, libc::SYS_read, [0; 6]), Answer::KillProcess.value());
    assert_eq!(filter.answers(GUEST_IP, libc::SYS_read, [0; 6]), Answer::Notify.value());
    assert_eq!(filter.answers(GUEST_IP, libc::SYS_mmap, [0; 6]), Answer::Trap.value());
    assert_eq!(filter.answers(GUEST_IP, doorbell, [0; 6]), Answer::Notify.value());
    assert_eq!(filter.answers(GUEST_IP, libc::SYS_futex, [0; 6]), Answer::Allow.value());
    let inheriting = [0, libc::FUTEX_LOCK_PI as u64, 0, 0, 0, 0];
    assert_eq!(filter.answers(GUEST_IP, libc::SYS_futex, inheriting), Answer::Notify.value());
    assert_eq!(filter.answers(VSYSCALL_IP, libc::SYS_time, [0; 6]), Answer::Allow.value());
    assert_eq!(filter.answers(VSYSCALL_IP, libc::SYS_read, [0; 6]), Answer::Notify.value());
    assert_eq!(filter.answers(VSYSCALL_IP, libc::SYS_mmap, [0; 6]), Answer::Trap.value());
}

/// Addresses and lengths whose sums meet every edge of the window and of the arithmetic.
fn edges() -> Vec<u64> {
    let end = WINDOW + WINDOW_BYTES;
    let points = [0, 1 << 31, 1 << 32, WINDOW - GIB, WINDOW, end, end - WINDOW, 1 << 47, 1 << 63];
    let halves = [WINDOW - (1 << 32), WINDOW + GIB, end + (1 << 32), 0u64.wrapping_sub(WINDOW)];
    let channel = layout().channel;
    let edges: BTreeSet<u64> = points
        .into_iter()
        .chain(halves)
        .chain([channel.start, channel.end, channel.end - channel.start])
        .chain([AREA_PERIOD, AREA_PERIOD - AREA_BYTES, AREA_END, AREA_END + AREA_PERIOD])
        .chain([layout().conduits.start, layout().conduits.end, layout().conduit_bytes])
        .flat_map(|edge| {
            [4096, 1].into_iter().flat_map(move |step| {
                [edge.wrapping_sub(step), edge, edge.wrapping_add(step)].into_iter()
            })
        })
        .collect();
    edges.into_iter().collect()
}

#[test]
fn no_range_fools_the_window_check() {
    let filter = Filter::new();
    let edges = edges();
    for &addr in &edges {
        let lens = edges.iter().copied().chain([WINDOW.wrapping_sub(addr)]);
        let end = (WINDOW + WINDOW_BYTES).wrapping_sub(addr);
        for len in lens.chain([end]).flat_map(|l| [l, l.wrapping_sub(1), l.wrapping_add(1)]) {
            filter.check(&call(STUB_IP, libc::SYS_munmap, [addr, len, 0, 0, 0, 0]));
            for flags in [0x11, 0x12, 0x22, 0x32, 0x10_0022, 0x4_0022] {
                filter.check(&call(STUB_IP, libc::SYS_mmap, [addr, len, 3, flags, 0, 0]));
            }
            for protection in [1, 3] {
                let args = [addr, len, protection, 0, 0, 0];
                filter.check(&call(GUEST_IP, libc::SYS_mprotect, args));
            }
            for flags in 0..8 {
                let from = [GIB, 4096, len, flags, addr, 0];
                filter.check(&call(STUB_IP, libc::SYS_mremap, from));
                let to = [addr, len, 4096, flags, GIB, 0];
                filter.check(&call(STUB_IP, libc::SYS_mremap, to));
            }
        }
    }
}

#[test]
fn the_window_check_works_wherever_the_window_is() {
    for window in [1 << 32, 2 << 32, WINDOW, (1 << 47) - (1 << 32)] {
        let code = window..window + 4096;
        let channel = window + 4096..window + 8192;
        let filter = Filter::of(Layout {
            window,
            code,
            channel,
            conduits: window + 8192..window + 12288,
            conduit_bytes: 4096,
            has_native_futexes: false,
            ..layout()
        });
        let points = [0, 1, 4096, window >> 1, window, window + (1 << 32), u64::MAX];
        for addr in points.into_iter().flat_map(|p| [p.wrapping_sub(1), p, p.wrapping_add(1)]) {
            let ends = [window, window + (1 << 32), 0, addr].map(|end| end.wrapping_sub(addr));
            for len in ends.into_iter().flat_map(|l| [l.wrapping_sub(1), l, l.wrapping_add(1)]) {
                filter.check(&call(window + 2, libc::SYS_munmap, [addr, len, 0, 0, 0, 0]));
            }
        }
    }
}

#[test]
fn huge_ranges_below_the_window_are_allowed() {
    let filter = Filter::new();
    let whole = [0, WINDOW, 0, 0, 0, 0];
    assert_eq!(filter.answers(STUB_IP, libc::SYS_munmap, whole), Answer::Allow.value());
    let one_more = [0, WINDOW + 1, 0, 0, 0, 0];
    assert_ne!(filter.answers(STUB_IP, libc::SYS_munmap, one_more), Answer::Allow.value());
}

#[test]
fn only_the_whole_channel_is_replaced_as_it_was() {
    let filter = Filter::new();
    let channel = layout().channel;
    let exact = [channel.start, channel.end - channel.start, 3, 0x11, 7, 1 << 33];
    assert_eq!(filter.answers(STUB_IP, libc::SYS_mmap, exact), Answer::Allow.value());
    for arg in 0..4 {
        for bit in 0..64 {
            let mut other = exact;
            other[arg] ^= 1 << bit;
            filter.check(&call(STUB_IP, libc::SYS_mmap, other));
        }
    }
}

#[test]
fn conduits_are_mapped_where_they_are_and_as_they_are() {
    let filter = Filter::new();
    let Layout { conduits, conduit_bytes, .. } = layout();
    let last = conduits.end - conduit_bytes;
    for start in [conduits.start, conduits.start + 4096, last] {
        let exact = [start, conduit_bytes, 3, 0x11, 7, 1 << 33];
        assert_eq!(filter.answers(STUB_IP, libc::SYS_mmap, exact), Answer::Allow.value());
        for arg in 0..4 {
            for bit in 0..64 {
                let mut other = exact;
                other[arg] ^= 1 << bit;
                filter.check(&call(STUB_IP, libc::SYS_mmap, other));
            }
        }
    }
    for start in [conduits.start - 1, last + 1, conduits.end] {
        filter.check(&call(STUB_IP, libc::SYS_mmap, [start, conduit_bytes, 3, 0x11, 7, 0]));
    }
}

#[test]
fn guest_code_gets_new_memory_and_random_bytes_by_itself() {
    let filter = Filter::new();
    let memory = [0, 4096, 3, 0x22, u64::MAX, 0];
    assert_eq!(filter.answers(GUEST_IP, libc::SYS_mmap, memory), Answer::Allow.value());
    for arg in 0..4 {
        for bit in 0..64 {
            let mut other = memory;
            other[arg] ^= 1 << bit;
            filter.check(&call(GUEST_IP, libc::SYS_mmap, other));
        }
    }
    for len in [0, 1, 256, 257, 1 << 32, u64::MAX] {
        for flags in 0..8 {
            filter.check(&call(GUEST_IP, libc::SYS_getrandom, [0, len, flags, 0, 0, 0]));
        }
    }
}

#[test]
fn listed_arguments_are_exact() {
    let filter = Filter::new();
    for low in (0..0x2_0000).chain([u64::MAX, i32::MIN as u64]) {
        for value in [low, low | 1 << 32] {
            let first = [value, 0, 0, 0, 0, 0];
            for number in [libc::SYS_clone, libc::SYS_arch_prctl, libc::SYS_clock_gettime] {
                filter.check(&call(STUB_IP, number, first));
                filter.check(&call(GUEST_IP, number, first));
            }
            for ip in [STUB_IP, GUEST_IP] {
                filter.check(&call(ip, libc::SYS_futex, [0, value, 0, 0, 0, 0]));
                for number in [libc::SYS_madvise, libc::SYS_close_range, libc::SYS_futex_waitv] {
                    filter.check(&call(ip, number, [0, 0, value, 0, 0, 0]));
                }
            }
        }
    }
    let known = [CLONE_COPY, CLONE_SHARE, CLONE_THREAD];
    for flags in known.into_iter().flat_map(|flags| (0..64).map(move |bit| flags ^ 1 << bit)) {
        let answer = filter.answers(STUB_IP, libc::SYS_clone, [flags, 0, 0, 0, 0, 0]);
        assert_eq!(answer == Answer::Notify.value(), known.contains(&flags), "{flags:#x}");
    }
}

#[test]
fn the_common_paths_are_short() {
    let filter = Filter::new();
    let steps = |ip, number: i64| filter.run(&call(ip, number, [0; 6])).steps;
    for number in 0..512 {
        let mut natives = FUTEX_CALLS.iter().chain(OWN_CALLS);
        let most = if natives.any(|call| call.number == number) { 24 } else { 16 };
        assert!(steps(GUEST_IP, number) <= most, "{number}: {}", steps(GUEST_IP, number));
    }
    assert!(steps(GUEST_IP, libc::SYS_read) <= 12);
    assert!(steps(STUB_IP, DOORBELL.into()) <= 10);
    assert!(steps(STUB_IP, libc::SYS_rt_sigreturn) <= 16);
    assert!(steps(STUB_IP, libc::SYS_futex) <= 24);
}

#[test]
fn tables_name_each_call_once_and_give_reasons() {
    let mut hosts: Vec<i64> = HOST_CALLS.iter().map(|call| call.number).collect();
    let mut trapped = TRAPPED.to_vec();
    let natives = FUTEX_CALLS.iter().chain(OWN_CALLS);
    let mut natives: Vec<i64> = natives.map(|call| call.number).collect();
    for numbers in [&mut hosts, &mut trapped, &mut natives] {
        numbers.sort_unstable();
        assert!(numbers.is_sorted_by(|left, right| left < right), "{numbers:?}");
    }
    assert!(
        [HOST_CALLS, VSYSCALLS, FUTEX_CALLS, OWN_CALLS]
            .into_iter()
            .flatten()
            .all(|call| !call.reason.is_empty())
    );
    assert_eq!(linux_abi::sysno::name(DOORBELL.into()), None);
}

#[test]
fn impossible_layouts_are_refused() {
    let with = |window, code, channel| {
        program(&Layout { window, code, channel, has_native_futexes: true, ..layout() })
    };
    let Layout { window, code, channel, .. } = layout();
    for wrong in [0, window + 4096, 1 << 47, (1 << 63) + window] {
        assert_eq!(with(wrong, code.clone(), channel.clone()), Err(Error::Window(wrong)));
    }
    let end = window + WINDOW_BYTES;
    for wrong in [window..window, window - 1..window + 1, end - 4096..end, end..end + 1, 0..1] {
        assert_eq!(with(window, wrong.clone(), channel.clone()), Err(Error::Code(wrong)));
    }
    for wrong in [window - 1..window + 1, end - 4096..end, 0..1] {
        assert_eq!(with(window, code.clone(), wrong.clone()), Err(Error::Channel(wrong)));
    }
    for wrong in [window - 1..window + 1, end - 4096..end, window..window + 4096] {
        let layout = Layout { conduits: wrong.clone(), ..layout() };
        assert_eq!(program(&layout), Err(Error::Conduits(wrong)));
    }
    assert!(with(window, code, channel).is_ok_and(|bytes| bytes.len() <= 8 * 4096));
}

/// Anything, but often an edge.
fn argument() -> impl Strategy<Value = u64> {
    let flags = [CLONE_COPY, CLONE_SHARE, CLONE_THREAD, 0x11, 0x10_0032, 0x4_0022, 0x1001, 103];
    prop_oneof![
        select(edges()),
        (select(edges()), any::<i16>()).prop_map(|(edge, by)| edge.wrapping_add_signed(by.into())),
        select(flags.to_vec()),
        0_u64..300,
        any::<u64>(),
    ]
}

static SHARED: LazyLock<Filter> = LazyLock::new(Filter::new);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn random_calls_are_answered_as_the_model_says(
        number in prop_oneof![
            select(HOST_CALLS.iter().map(|call| call.number).collect::<Vec<_>>()),
            0_i64..512,
            any::<i32>().prop_map(i64::from),
        ],
        ip in prop_oneof![Just(STUB_IP), select(addresses()), any::<u64>()],
        args in prop::array::uniform6(argument()),
    ) {
        SHARED.check(&call(ip, number, args));
    }
}
