//! What a person sees of given counters.

use std::collections::BTreeMap;

use edge::{Counters, ReleaseCounters, RouteCounters, TargetCondition, TargetState};

use super::rates::{Frame, between};
use super::view::{Key, Kind, Line, Look, View, Wish};

const BOUNDS: [u64; 5] = [1_000, 5_000, 10_000, 100_000, 1_000_000];

fn target(last: u8, condition: TargetCondition, is_starting: bool) -> TargetState {
    TargetState { addr: ([172, 18, 0, last], 8000).into(), condition, is_starting }
}

fn release(pool: &str, release: &str, classes: [u64; 5], times: [u64; 6]) -> ReleaseCounters {
    let well = vec![target(2, TargetCondition::Well, false)];
    let (pool, release) = (pool.to_owned(), release.to_owned());
    ReleaseCounters { pool, release, classes, times: times.to_vec(), targets: well, ..ReleaseCounters::default() }
}

fn route(host: &str, path: &str, pool: &str, classes: [u64; 5], times: [u64; 6]) -> RouteCounters {
    let (host, path, pools) = (host.to_owned(), path.to_owned(), vec![pool.to_owned()]);
    RouteCounters { host, path, pools, classes, times: times.to_vec(), ..RouteCounters::default() }
}

fn before() -> Counters {
    Counters {
        pid: 71,
        version: "1.2.3".into(),
        epoch: 12,
        at_us: 5_000_000,
        bounds_us: BOUNDS.to_vec(),
        releases: vec![
            release("shop/production/api", "r7", [0, 1_000, 0, 10, 0], [900, 100, 0, 10, 0, 0]),
            release("shop/production/api", "r6", [0, 50, 0, 0, 0], [0, 0, 50, 0, 0, 0]),
        ],
        routes: vec![route("shop.example", "/api", "shop/production/api", [0, 1_000, 0, 10, 0], [1010, 0, 0, 0, 0, 0])],
        handshakes: 10,
        refused: BTreeMap::from([("rate-limited".into(), 5), ("no-route".into(), 7)]),
        ..Counters::default()
    }
}

/// Two seconds later.
fn after() -> Counters {
    let mut api = release("shop/production/api", "r7", [0, 3_000, 0, 30, 4], [2_500, 400, 80, 50, 4, 0]);
    api.targets.push(target(3, TargetCondition::Ejected, false));
    (api.in_flight, api.retries, api.bytes_in, api.bytes_out, api.websockets) = (17, 3, 4_000, 9 << 20, 5);
    let mut old = release("shop/production/api", "r6", [0, 50, 0, 0, 0], [0, 0, 50, 0, 0, 0]);
    (old.is_draining, old.in_flight, old.websockets) = (true, 2, 2);
    let mut web = release("shop/production/web", "r1", [0, 7, 0, 0, 0], [0, 0, 0, 7, 0, 0]);
    (web.held, web.hold_refused) = (4, 2);
    web.targets = vec![target(9, TargetCondition::Well, true)];
    let mut limited =
        route("shop.example", "/api", "shop/production/api", [0, 3_000, 0, 30, 4], [3000, 34, 0, 0, 0, 0]);
    (limited.rate_limited, limited.waiting) = (40, 3);
    Counters {
        epoch: 13,
        at_us: 7_000_000,
        releases: vec![api, old, web],
        routes: vec![limited, route("*", "/", "shop/production/web", [0, 7, 0, 0, 0], [0, 0, 0, 7, 0, 0])],
        connections: 42,
        handshakes: 30,
        resumed: 15,
        handshakes_failed: 1,
        refused: BTreeMap::from([("rate-limited".into(), 45), ("no-route".into(), 7)]),
        ..before()
    }
}

fn frame() -> Frame {
    between(&before(), &after()).unwrap()
}

fn shown(lines: &[Line]) -> String {
    let mark = |look: Look| match look {
        Look::Plain => "  ",
        Look::Title => "b ",
        Look::Head => "= ",
        Look::Troubled => "! ",
        Look::Dim => ". ",
    };
    lines.iter().map(|line| format!("{}{}\n", mark(line.look), line.text)).collect()
}

fn screen(kind: Kind, size: (usize, usize)) -> String {
    shown(&View::new(kind, String::new()).screen(&frame(), size))
}

#[test]
fn services_on_a_wide_screen() {
    insta::assert_snapshot!(screen(Kind::Services, (160, 12)));
}

#[test]
fn services_on_an_ordinary_and_on_a_small_screen() {
    insta::assert_snapshot!(screen(Kind::Services, (80, 12)) + "\n" + &screen(Kind::Services, (44, 7)));
}

#[test]
fn routes_and_targets() {
    insta::assert_snapshot!(screen(Kind::Routes, (120, 8)) + "\n" + &screen(Kind::Targets, (80, 10)));
}

#[test]
fn a_look_as_a_table() {
    insta::assert_snapshot!(shown(&View::new(Kind::Services, String::new()).table(&frame(), None)));
}

#[test]
fn a_look_as_data() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&frame()).unwrap());
}

#[test]
fn every_line_fits_its_screen_whatever_the_size() {
    for (width, height) in [(20, 5), (33, 6), (61, 9), (100, 30), (300, 80)] {
        for kind in [Kind::Services, Kind::Routes, Kind::Targets] {
            let lines = View::new(kind, String::new()).screen(&frame(), (width, height));
            assert_eq!(lines.len(), height, "{kind:?} at {width} x {height}");
            for line in lines {
                assert!(line.text.chars().count() <= width, "{width}: {}", line.text);
            }
        }
    }
}

/// The first words of the rows.
fn rows(view: &mut View) -> Vec<String> {
    let lines = view.screen(&frame(), (160, 20));
    let head = lines.iter().position(|line| line.look == Look::Head).unwrap();
    let rows = lines[head + 1..].iter().take_while(|line| !line.text.is_empty());
    rows.map(|line| line.text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn keys_choose_the_column_its_direction_and_the_view() {
    let mut view = View::new(Kind::Services, String::new());
    assert_eq!(rows(&mut view), ["shop/production/api r7", "shop/production/web r1", "shop/production/api r6"]);
    for _ in 0..2 {
        view.press(Key::Char('<'));
    }
    assert_eq!(rows(&mut view)[..2], ["shop/production/api r6", "shop/production/api r7"], "by name");
    view.press(Key::Char('r'));
    assert_eq!(rows(&mut view)[0], "shop/production/web r1");
    view.press(Key::Tab);
    assert_eq!(rows(&mut view).len(), 2);
    view.press(Key::Tab);
    assert_eq!(rows(&mut view).len(), 4);
    assert_eq!(view.press(Key::Char('q')), Wish::Quit);
}

#[test]
fn a_filter_is_typed_kept_and_dropped() {
    let mut view = View::new(Kind::Services, String::new());
    for key in [Key::Char('/'), Key::Char('w'), Key::Char('e'), Key::Char('q'), Key::Backspace, Key::Char('b')] {
        assert_eq!(view.press(key), Wish::Stay, "a letter is a letter while it is typed");
    }
    assert_eq!(rows(&mut view), ["shop/production/web r1"]);
    view.press(Key::Enter);
    assert_eq!(view.filter, "web");
    view.press(Key::Escape);
    assert_eq!(rows(&mut view).len(), 3);
}

#[test]
fn rows_that_do_not_fit_are_scrolled_to_and_no_further() {
    let mut view = View::new(Kind::Targets, String::new());
    let last = |view: &mut View| view.screen(&frame(), (80, 7))[5].text.clone();
    let first = last(&mut view);
    for _ in 0..9 {
        view.press(Key::Down);
    }
    let end = last(&mut view);
    assert_ne!(first, end);
    view.press(Key::Up);
    assert_ne!(last(&mut view), end, "one step up is seen at once");
}

#[test]
fn a_column_is_named_without_its_unit_and_an_unknown_one_is_refused_with_the_known() {
    let view = View::new(Kind::Services, String::new());
    assert_eq!(view.clone().sorted_by("5xx").unwrap().sort.column, 8);
    assert_eq!(view.clone().sorted_by("REQ/s").unwrap().sort.column, 2);
    assert!(view.sorted_by("speed").unwrap_err().contains(&"p99".to_owned()));
}

#[test]
fn nothing_is_told_of_an_interval_in_which_another_edge_took_over() {
    assert!(between(&before(), &Counters { pid: 72, ..after() }).is_none());
    assert!(between(&before(), &Counters { started_ms: 1, ..after() }).is_none());
    assert!(between(&after(), &after()).is_none(), "no time has passed");
}

#[test]
fn an_edge_without_routes_says_what_to_do() {
    let empty = |at_us| Counters { at_us, ..Counters::default() };
    let frame = between(&empty(1), &empty(2)).unwrap();
    let lines = shown(&View::new(Kind::Services, String::new()).table(&frame, None));
    assert!(lines.contains("`mainstay up`"), "{lines}");
}
