use super::*;

const PROGRAM: u64 = 0x5555_5555_4000;
const LIBRARY: u64 = 0x7fff_f7c0_0000;
const GIB: u64 = 1 << 30;

/// A program with a heap, a library with something below it, and a stack.
fn usual() -> Vec<Range<u64>> {
    vec![
        PROGRAM..PROGRAM + 0x10_0000,
        PROGRAM + 0x200_0000..PROGRAM + 0x220_0000,
        LIBRARY - 0x100_0000..LIBRARY,
        LIBRARY..LIBRARY + 0x20_0000,
        0x7fff_fffd_e000..0x7fff_ffff_f000,
    ]
}

#[test]
fn a_program_gets_the_room_below_it() {
    let below = (PROGRAM - AREA_END) / AREA_PERIOD * AREA_PERIOD + AREA_END;
    assert_eq!(find_gap(&usual(), PROGRAM + 0x1234), Some(below - AREA_BYTES));
    let mut more = usual();
    more.insert(0, below - 0x10000..PROGRAM);
    assert_eq!(find_gap(&more, PROGRAM + 0x1234), Some(below - AREA_PERIOD - AREA_BYTES));
    let fixed = [0x40_0000..0x50_0000, 0x123_4000..0x130_0000, LIBRARY..LIBRARY + 0x1000];
    assert_eq!(find_gap(&fixed, 0x40_1000), Some(0x3f_0000));
}

#[test]
fn a_library_gets_room_away_from_what_grows() {
    let place = find_gap(&usual(), LIBRARY + 0x1000).expect("a place");
    assert!(LIBRARY - 0x100_0000 - (place + 0x10000) >= GIB - AREA_PERIOD, "{place:#x}");
    assert!(LIBRARY - place <= NEAR);
}

#[test]
fn a_program_at_the_bottom_gets_room_above_its_heap() {
    let maps = [0x1_0000..0x50_0000, 0x60_0000..0x70_0000];
    let place = find_gap(&maps, 0x2_0000).expect("a place");
    let wanted = 0x70_0000 + GIB..0x70_0000 + GIB + AREA_PERIOD;
    assert!(wanted.contains(&place), "{place:#x}");
}

#[test]
fn crowded_neighbourhoods_give_what_is_left() {
    let near = 0x10_0000_0000;
    let hole = near + AREA_END - AREA_BYTES;
    let maps = [near - 4 * GIB..hole, hole + AREA_BYTES..near + 4 * GIB];
    assert_eq!(find_gap(&maps, near), Some(hole));
    let maps = [near - 4 * GIB..hole + 1, hole + AREA_BYTES..near + 4 * GIB];
    assert_eq!(find_gap(&maps, near), None);
    // Only far away.
    let maps = [near - 4 * GIB..near + 2 * GIB - 0x400_0000, near + 2 * GIB..near + 4 * GIB];
    let place = find_gap(&maps, near).expect("a place");
    assert!(place >= near + 2 * GIB - 0x400_0000 && place + AREA_BYTES < near + 2 * GIB);
}

#[test]
fn places_are_free_pages_within_reach() {
    let mut state = 7_u64;
    let mut number = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 16) % limit
    };
    for _ in 0..2000 {
        let base = number(USER_END);
        let mut map = || {
            let start = base.wrapping_add(number(8 * GIB)).wrapping_sub(4 * GIB);
            start..start.saturating_add(number(GIB))
        };
        let maps = [map(), map(), map(), map(), map(), map(), map(), map()];
        let len = AREA_BYTES;
        let Some(place) = find_gap(&maps, base) else { continue };
        assert_eq!((place + len) % AREA_PERIOD, AREA_END);
        assert!(place >= USER_START && place + len <= USER_END);
        assert!(base.abs_diff(place) < 2 * GIB && base.abs_diff(place + len) < 2 * GIB);
        assert!(maps.iter().all(|map| map.end <= place || map.start >= place + len));
    }
}

#[test]
fn odd_questions_have_answers() {
    assert_eq!(find_gap(&[], u64::MAX), None);
    assert_eq!(find_gap(std::slice::from_ref(&(0..u64::MAX)), GIB), None);
    assert!(find_gap(&[], 0).is_some());
    #[expect(clippy::reversed_empty_ranges)]
    let reversed = 9..3_u64;
    assert!(find_gap(std::slice::from_ref(&reversed), GIB).is_some());
}
