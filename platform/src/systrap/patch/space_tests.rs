use super::*;

const AREA: u64 = 0x7f00_0000_0000;

/// A generator with a fixed seed.
fn numbers(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |limit| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % limit
    }
}

fn space(areas: u64) -> TrampolineSpace {
    let mut space = TrampolineSpace::default();
    for area in 0..areas {
        let start = AREA + area * AREA_BYTES;
        space.add_area(start..start + AREA_BYTES);
    }
    space
}

#[test]
fn an_empty_area_has_room_for_any_site_within_reach() {
    let mut number = numbers(1);
    for _ in 0..20_000 {
        let origin = AREA - REACH + AREA_BYTES + number(2 * REACH - 2 * AREA_BYTES);
        let want = Want { origin, len: 80, int3: true };
        let place = space(1).allocate(&want).expect("room");
        let displacement = i32::try_from(place.wrapping_sub(origin) as i64).expect("in reach");
        assert_eq!(displacement.to_le_bytes()[1], INT3);
        assert!(place >= AREA && place + 80 <= AREA + AREA_BYTES);
        assert_eq!(place % ALIGNMENT, 0);
    }
}

#[test]
fn places_never_overlap_and_areas_can_follow_without_end() {
    let mut number = numbers(2);
    let mut space = TrampolineSpace::default();
    let mut places = BTreeMap::new();
    for _ in 0..20_000 {
        let origin = AREA + (1 << 30) + number(1 << 24);
        let want = Want { origin, len: 56 + 8 * number(3), int3: number(2) == 0 };
        let place = space.allocate(&want).unwrap_or_else(|| {
            let start = AREA + space.areas().count() as u64 * AREA_BYTES;
            space.add_area(start..start + AREA_BYTES);
            space.allocate(&want).expect("room in the new area")
        });
        assert_eq!(places.insert(place, place + want.len), None);
    }
    let ends = places.values();
    assert!(places.keys().skip(1).zip(ends).all(|(start, end)| end <= start));
    // Sites are spread evenly, so areas fill up well before another one is needed.
    let used: u64 = places.iter().map(|(start, end)| end - start).sum();
    let all = space.areas().count() as u64 * AREA_BYTES;
    assert!(used * 100 / all > 80, "{used} of {all}");
}

#[test]
fn areas_out_of_reach_are_left_alone() {
    for int3 in [false, true] {
        for origin in [AREA - (1 << 32), AREA + (1 << 32), 0, u64::MAX] {
            assert_eq!(space(3).allocate(&Want { origin, len: 64, int3 }), None);
        }
    }
}

#[test]
fn odd_areas_do_no_harm() {
    let mut space = space(1);
    space.add_area(AREA + 8..AREA + 16);
    space.add_area(AREA - 8..AREA + 8);
    #[expect(clippy::reversed_empty_ranges)]
    space.add_area(64..8);
    space.add_area(u64::MAX - 100..u64::MAX);
    assert_eq!(space.areas().count(), 2);
    for int3 in [false, true] {
        let want = Want { origin: u64::MAX - 10, len: 64, int3 };
        let place = space.allocate(&want);
        assert!(place.is_none_or(|place| place >= u64::MAX - 100));
    }
}

#[test]
fn removed_areas_are_not_used() {
    let mut space = space(2);
    let removed = space.remove(&(AREA + 100..AREA + 200));
    assert!(removed.iter().eq([&(AREA..AREA + AREA_BYTES)]));
    let want = Want { origin: AREA, len: 64, int3: false };
    assert!(space.allocate(&want).is_some_and(|place| place >= AREA + AREA_BYTES));
}
