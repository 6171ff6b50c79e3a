use super::*;

/// So many answers, of which so many failed, all in this many milliseconds.
fn figures(requests: u64, errors: u64, ms: u64) -> Figures {
    // The bucket of `ms` among the edge's bounds is found by asking for its quantile.
    let mut times = vec![0; 36];
    let bucket = (0..36).find(|bucket| quantile_of(*bucket) >= Duration::from_millis(ms)).unwrap_or(35);
    times[bucket] = requests;
    Figures { classes: [0, requests - errors, 0, 0, errors], times, ..Figures::default() }
}

fn quantile_of(bucket: usize) -> Duration {
    let mut times = vec![0; 36];
    times[bucket] = 1;
    Figures { classes: [0, 1, 0, 0, 0], times, ..Figures::default() }.quantile(1.0).unwrap()
}

fn verdict(old: &Figures, new: &Figures) -> Verdict {
    judge(&SoakLimits::default(), old, new, true)
}

fn fails(verdict: &Verdict, words: &[&str]) {
    let Verdict::Fail(cause) = verdict else { panic!("{verdict:?}") };
    assert!(words.iter().all(|word| cause.contains(word)), "{cause}");
}

#[test]
fn an_equal_release_passes() {
    assert_eq!(verdict(&figures(1000, 3, 20), &figures(100, 0, 20)), Verdict::Pass);
    assert_eq!(verdict(&figures(1000, 300, 20), &figures(100, 30, 20)), Verdict::Pass, "as bad as before is not worse");
}

#[test]
fn too_few_requests_are_unknown_and_no_pass() {
    let few = verdict(&figures(1000, 0, 20), &figures(49, 49, 20));
    assert!(matches!(&few, Verdict::Unknown(why) if why.contains("49") && why.contains("50")), "{few:?}");
    assert!(matches!(verdict(&Figures::default(), &Figures::default()), Verdict::Unknown(_)));
}

#[test]
fn a_share_of_failures_is_judged_absolutely_and_beside_the_old_release() {
    let old = figures(1000, 1, 20);
    assert_eq!(verdict(&old, &figures(100, 5, 20)), Verdict::Pass, "5% are always allowed");
    fails(&verdict(&old, &figures(100, 6, 20)), &["6 of 100", "6%", "5% are allowed", "0.1%"]);
    let bad = figures(1000, 100, 20);
    assert_eq!(verdict(&bad, &figures(100, 20, 20)), Verdict::Pass, "twice as many as before are allowed");
    fails(&verdict(&bad, &figures(100, 21, 20)), &["21%", "20% are allowed", "10%"]);
    fails(&verdict(&figures(3, 3, 20), &figures(100, 6, 20)), &["5% are allowed"]);
}

#[test]
fn times_are_judged_once_the_release_is_warm_and_never_below_the_floor() {
    let old = figures(1000, 0, 300);
    let slow = figures(100, 0, 2_000);
    fails(&verdict(&old, &slow), &["its p95 is", "allowed", "the old release had"]);
    assert_eq!(judge(&SoakLimits::default(), &old, &slow, false), Verdict::Pass, "it may still be warming up");
    assert_eq!(verdict(&figures(1000, 0, 5), &figures(100, 0, 400)), Verdict::Pass, "below the floor");
    let limits = SoakLimits { p95_floor: Duration::from_millis(50), ..SoakLimits::default() };
    assert!(matches!(judge(&limits, &figures(1000, 0, 5), &figures(100, 0, 400), true), Verdict::Fail(_)));
}

#[test]
fn a_slow_release_with_nothing_to_compare_it_with_is_unknown() {
    let unknown = verdict(&figures(10, 0, 5), &figures(100, 0, 2_000));
    assert!(matches!(&unknown, Verdict::Unknown(why) if why.contains("too few")), "{unknown:?}");
    assert_eq!(
        verdict(&figures(10, 0, 5), &figures(100, 0, 100)),
        Verdict::Pass,
        "below the floor nothing is compared"
    );
}

#[test]
fn answers_that_break_off_are_failures() {
    let mut new = figures(100, 0, 20);
    assert_eq!(verdict(&figures(1000, 0, 20), &new), Verdict::Pass);
    new.broken = 6;
    fails(&verdict(&figures(1000, 0, 20), &new), &["6 of 100", "6 of them by breaking off", "5% are allowed"]);
    assert_eq!(Summary::of(&ReleaseId::new(2), &new).errors, 6);
}
