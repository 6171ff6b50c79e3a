use super::*;
use spec::{EnvironmentName, PlatformName};

fn scope() -> Scope {
    Scope { platform: PlatformName::parse("shop").unwrap(), environment: EnvironmentName::parse("production").unwrap() }
}

fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

fn wanted(service: &str, strategy: Strategy, id: Option<&str>) -> Wanted {
    Wanted {
        service: name(service),
        strategy,
        strategy_reason: "written in mainstay.yaml".into(),
        image: WantedImage {
            never_pulled: false,
            reference: format!("shop/{service}:2"),
            id: id.map(Into::into),
            build: true,
            instead_of: None,
        },
        hash: id.map(|id| format!("hash of {id}")),
        copies: 1,
        scaled: None,
        warnings: vec![],
    }
}

fn running(id: &str) -> Running {
    Running {
        release: ReleaseId::new(4),
        hash: format!("hash of {id}"),
        image_id: id.into(),
        image_reference: "shop/web:1".into(),
        copies: 1,
        trouble: None,
        drift: vec![],
        left_out: None,
        note: None,
        data: vec![],
    }
}

fn only(wanted: Wanted, running: Option<Running>, selection: &Selection) -> Change {
    let running = running.map(|running| (wanted.service.clone(), running)).into_iter().collect();
    plan(&scope(), &[wanted], &running, selection).remove(0)
}

#[test]
fn a_service_that_does_not_run_is_created_and_its_missing_image_built() {
    let change = only(wanted("web", Strategy::BlueGreen, None), None, &Selection::default());
    assert_eq!((change.action, change.fetch), (Action::Create, Some(Fetch::Build)));
}

#[test]
fn the_same_image_and_definition_is_no_change() {
    let change =
        only(wanted("web", Strategy::BlueGreen, Some("sha256:a")), Some(running("sha256:a")), &Selection::default());
    assert_eq!(change.action, Action::Nothing);
    assert!(change.reasons.is_empty());
}

#[test]
fn another_image_is_an_update_that_names_both() {
    let change =
        only(wanted("web", Strategy::BlueGreen, Some("sha256:b")), Some(running("sha256:a")), &Selection::default());
    assert_eq!(change.action, Action::Update);
    assert_eq!(change.reasons, ["image shop/web:1 (a) → shop/web:2 (b)"]);
}

#[test]
fn a_changed_definition_is_an_update_without_naming_values() {
    let mut want = wanted("web", Strategy::BlueGreen, Some("sha256:a"));
    want.hash = Some("other".into());
    let change = only(want, Some(running("sha256:a")), &Selection::default());
    assert_eq!(change.reasons, ["its definition or environment has changed"]);
}

#[test]
fn another_number_of_copies_alone_needs_no_new_release_and_joins_one_that_is_needed_anyway() {
    let mut want = wanted("web", Strategy::BlueGreen, Some("sha256:a"));
    want.copies = 3;
    let change = only(want.clone(), Some(running("sha256:a")), &Selection::default());
    assert_eq!((change.action, change.reasons.as_slice()), (Action::Scale, ["1 → 3 copies".to_owned()].as_slice()));
    let change = only(want, Some(running("sha256:b")), &Selection::default());
    assert_eq!((change.action, change.reasons.len()), (Action::Update, 2));
}

#[test]
fn a_kept_service_that_differs_is_held_until_it_is_named() {
    let want = || wanted("postgres", Strategy::Keep, Some("sha256:b"));
    let held = only(want(), Some(running("sha256:a")), &Selection::default());
    assert_eq!(held.action, Action::Hold);
    let named = Selection { services: vec![name("postgres")], update_kept: true, ..Selection::default() };
    assert_eq!(only(want(), Some(running("sha256:a")), &named).action, Action::Update);
}

fn exited() -> Running {
    Running { trouble: Some("its container is exited".into()), ..running("sha256:a") }
}

#[test]
fn a_kept_service_that_does_not_run_any_more_is_started_again_as_it_was() {
    let change = only(wanted("postgres", Strategy::Keep, Some("sha256:a")), Some(exited()), &Selection::default());
    assert_eq!((change.action, change.reasons), (Action::Start, vec!["its container is exited".to_owned()]));
    let named = Selection { services: vec![name("postgres")], update_kept: true, ..Selection::default() };
    let change = only(wanted("postgres", Strategy::Keep, Some("sha256:a")), Some(exited()), &named);
    assert_eq!(change.action, Action::Start, "named, and nothing differs");
}

#[test]
fn a_kept_service_that_lies_still_and_differs_is_started_as_it_was_until_it_is_named() {
    for id in [Some("sha256:b"), None] {
        let want = || wanted("postgres", Strategy::Keep, id);
        let change = only(want(), Some(exited()), &Selection::default());
        assert_eq!((change.action, change.fetch), (Action::Start, None), "nothing is fetched for it");
        assert_eq!(change.image, "shop/web:1", "with the image that it has");
        assert_eq!(change.reasons[0], "its container is exited");
        assert_eq!(change.reasons.last().unwrap(), "kept as it is; `mainstay up --service postgres` changes it");
        let forced = Selection { force: true, ..Selection::default() };
        assert_eq!(only(want(), Some(exited()), &forced).action, Action::Start, "forced is not named");
        let named = Selection { services: vec![name("postgres")], update_kept: true, ..Selection::default() };
        assert_eq!(only(want(), Some(exited()), &named).action, Action::Update);
    }
}

#[test]
fn whatever_lies_still_and_differs_in_nothing_needs_no_new_release() {
    let want = |id: &str| wanted("web", Strategy::BlueGreen, Some(id));
    assert_eq!(only(want("sha256:a"), Some(exited()), &Selection::default()).action, Action::Start);
    assert_eq!(only(want("sha256:b"), Some(exited()), &Selection::default()).action, Action::Update);
    let forced = Selection { force: true, ..Selection::default() };
    assert_eq!(only(want("sha256:a"), Some(exited()), &forced).action, Action::Update);
    let mut scaled = want("sha256:a");
    scaled.copies = 2;
    assert_eq!(only(scaled, Some(exited()), &Selection::default()).action, Action::Update);
}

#[test]
fn a_rebuild_by_the_way_does_not_replace_a_kept_service_that_lies_still() {
    let change = only(wanted("postgres", Strategy::Keep, Some("sha256:a")), Some(exited()), &Selection::default());
    let mut plan = Plan {
        scope: scope(),
        changes: vec![change],
        ground: vec![],
        remade: vec![],
        kept: vec![],
        refused: vec![],
        notes: vec![],
        resources: vec![],
    };
    plan.mark_for_build(|_| true);
    assert_eq!((plan.changes[0].action, plan.changes[0].fetch), (Action::Start, None));
    assert_eq!(plan.pending().count(), 1);
}

#[test]
fn a_service_that_the_file_no_longer_has_is_removed_only_when_everything_was_asked_for() {
    let running: BTreeMap<_, _> = [(name("old"), running("sha256:a"))].into();
    let all = plan(&scope(), &[], &running, &Selection::default());
    assert_eq!(all[0].action, Action::Remove);
    let some = Selection { services: vec![name("web")], ..Selection::default() };
    assert!(plan(&scope(), &[], &running, &some).is_empty());
}

/// `web` and `api` say that they are restarted with `db`, and `edge` with `web`.
fn with_restarts(wanted: &[Wanted], running: &BTreeMap<ServiceName, Running>, selection: &Selection) -> Vec<Change> {
    let changes = plan(&scope(), wanted, running, selection);
    follow::with_restarts(changes, wanted, running, |service| match service.as_str() {
        "web" | "api" => vec![name("db")],
        "edge" => vec![name("web")],
        _ => vec![],
    })
}

#[test]
fn who_says_restart_true_is_restarted_when_its_dependency_is_replaced_asked_for_or_not() {
    let same = |service: &str| wanted(service, Strategy::BlueGreen, Some("sha256:a"));
    let db = || wanted("db", Strategy::Exclusive, Some("sha256:b"));
    let all = [db(), same("web"), wanted("api", Strategy::BlueGreen, Some("sha256:b")), same("edge"), same("cron")];
    let running: BTreeMap<_, _> =
        ["db", "web", "api", "edge", "cron"].map(|service| (name(service), running("sha256:a"))).into();
    let told = |changes: &[Change]| {
        let line = |change: &Change| (change.service.to_string(), change.action, change.again);
        changes.iter().map(line).collect::<Vec<_>>()
    };
    let one = |service: &str, action, again| (service.to_owned(), action, again);
    let changes = with_restarts(&all, &running, &Selection::default());
    assert_eq!(
        told(&changes),
        [
            one("db", Action::Update, false),
            one("web", Action::Update, true),
            one("api", Action::Update, false),
            one("edge", Action::Update, true),
            one("cron", Action::Nothing, false),
        ]
    );
    assert_eq!(changes[1].reasons, ["`db` is replaced, and `depends_on` says `restart: true`"]);
    let only_db = Selection { services: vec![name("db")], ..Selection::default() };
    let followed =
        [one("db", Action::Update, false), one("web", Action::Update, true), one("edge", Action::Update, true)];
    assert_eq!(told(&with_restarts(&all, &running, &only_db)), followed, "`api` differs and was not asked for");
    let quiet = [same("db"), same("web")];
    assert!(
        with_restarts(&quiet, &running, &Selection { services: vec![name("db")], ..Selection::default() })
            .iter()
            .all(|change| change.action == Action::Nothing && change.service == name("db"))
    );
}

#[test]
fn what_is_no_longer_described_still_comes_last() {
    let running: BTreeMap<_, _> = [(name("old"), running("sha256:a"))].into();
    let changes = with_restarts(&[wanted("web", Strategy::BlueGreen, None)], &running, &Selection::default());
    let actions: Vec<Action> = changes.iter().map(|change| change.action).collect();
    assert_eq!(actions, [Action::Create, Action::Remove]);
}
