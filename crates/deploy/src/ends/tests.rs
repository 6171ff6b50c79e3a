use super::*;

const GONE: Option<Gone> = Some(Gone { from_ms: 100_000, to_ms: 110_000 });

fn around() -> Around {
    Around { now_ms: 200_000, answering_since_ms: 50_000, gone: None, booted: false, is_called: false }
}

#[test]
fn an_end_is_a_containers_own_only_where_docker_has_answered_before_it_and_after_it() {
    let back = Around { answering_since_ms: 110_000, gone: GONE, ..around() };
    for (what, finished_ms, code, around, expected) in [
        ("seen", 190_000, 0, around(), Verdict::Own),
        ("seen, badly", 190_000, 3, around(), Verdict::Own),
        ("seen, and called", 190_000, 3, Around { is_called: true, ..around() }, Verdict::Own),
        ("a moment ago", 198_000, 0, around(), Verdict::NotYet),
        ("while the engine went", 86_000, 143, back, Verdict::WentWith(ENGINE)),
        ("while it was away", 105_000, 0, back, Verdict::WentWith(ENGINE)),
        ("as it came back", 110_800, 255, back, Verdict::WentWith(ENGINE)),
        ("after it was back", 120_000, 0, back, Verdict::Own),
        ("long before it went", 84_000, 0, Around { answering_since_ms: 80_000, ..back }, Verdict::Own),
        ("before the boot", 40_000, 0, Around { booted: true, ..around() }, Verdict::WentWith(REBOOT)),
        ("after the boot", 190_000, 0, Around { booted: true, ..around() }, Verdict::Own),
        ("unseen", 40_000, 0, around(), Verdict::Own),
        ("unseen, badly", 40_000, 3, around(), Verdict::Own),
        ("unseen, by a signal", 40_000, 143, around(), Verdict::WentWith(UNSEEN)),
        ("unseen, and called", 40_000, 0, Around { is_called: true, ..around() }, Verdict::WentWith(UNSEEN)),
    ] {
        assert_eq!(verdict(finished_ms, code, around), expected, "{what}");
    }
}

#[test]
fn an_engine_is_away_from_its_last_answer_to_its_next() {
    let watch = Watch::default();
    watch.is_away(1);
    assert_eq!(watch.seen(), None);
    watch.answers(5);
    assert_eq!(watch.seen(), Some((5, None)), "nobody has seen it go");
    watch.answers(6);
    watch.is_away(10);
    watch.is_away(20);
    assert_eq!(watch.seen(), None);
    watch.answers(30);
    assert_eq!(watch.seen(), Some((30, Some(Gone { from_ms: 10, to_ms: 30 }))));
}
