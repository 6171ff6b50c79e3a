//! A release's migration runs once, and Docker tells what became of it after a crash.

use std::sync::Arc;
use std::time::Duration;

use deploy::roll_out::{Found, Params, RollOut};
use deploy::rollback::{self, Request};
use deploy::{DeployError, Ending};
use machine::docker::{Behaviour, Docker};
use saga::{Inject, LogEvent, Outcome, Runner};
use spec::platform::MigrationKind;
use spec::{Job, Migration, ReleaseId, ServiceName, Strategy};

use crate::site::{Site, container, params, scope, site};

const CONTAINER: &str = "shop-production-web-r2-migrate";

fn migrating(kind: MigrationKind, idempotent: bool) -> Params {
    let mut params = params(Strategy::BlueGreen);
    params.migrate = true;
    let job = Job { command: vec!["migrate".into()], timeout: Duration::from_secs(5) };
    params.release.plan.migrate = Some(Migration { job, kind, idempotent });
    params
}

/// One run of the roll-out, which dies at the chosen entry of its journal.
async fn run(site: &Site, params: &Params, at: impl Fn(&LogEvent) -> Inject + Send + Sync + 'static) -> Outcome<Found> {
    let faults = move |_: u64, event: &LogEvent| at(event);
    let runner = Runner::new(site.world.ledger.clone(), site.world.clock.clone()).faults(Arc::new(faults));
    let id = spec::SagaId::parse("op1.web.r2").unwrap();
    if site.world.ledger.saga(&id).unwrap().is_none() {
        runner.create::<RollOut>(&id, params).unwrap();
    }
    runner.run::<RollOut>(&site.world, &id, &saga::Abort::new()).await
}

fn starts(event: &LogEvent, wanted: &str) -> bool {
    matches!(event, LogEvent::Started { step } if &**step == wanted)
}

#[tokio::test]
async fn a_migration_runs_once_however_often_the_agent_dies_around_it() {
    for inject in [Inject::Crash, Inject::CrashBeforeResult] {
        let site = site(Strategy::BlueGreen, Behaviour::healthy_after(1)).await;
        let params = migrating(MigrationKind::Expand, false);
        let died = run(&site, &params, move |event| if starts(event, "migrate") { inject } else { Inject::None }).await;
        assert!(matches!(died, Outcome::Crashed));
        let outcome = run(&site, &params, |_| Inject::None).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
        assert_eq!(site.migrations(), 1);
        assert!(site.docker.inspect(CONTAINER).await.unwrap().is_none(), "its container is cleared away");
    }
}

#[tokio::test]
async fn a_migration_that_outlives_the_agent_is_waited_for_and_not_begun_again() {
    for (code, idempotent, runs, done) in [(0, false, 0, true), (1, false, 0, false), (137, true, 1, true)] {
        let site = site(Strategy::BlueGreen, Behaviour::healthy_after(1)).await;
        // What the agent before had begun, and Docker went on with.
        site.docker.add_image("shop/web:cut", Behaviour::exits(code, Duration::ZERO).saying(&["alter table"]));
        site.docker.run_now(&container(CONTAINER, "cut")).unwrap();
        let outcome = run(&site, &migrating(MigrationKind::Expand, idempotent), |_| Inject::None).await;
        assert_eq!(matches!(outcome, Outcome::Done(_)), done, "code {code}: {outcome:?}");
        assert_eq!(site.migrations(), runs, "code {code}");
        if let Outcome::Undone { failed_step, error, .. } = outcome {
            assert_eq!(failed_step, "migrate");
            assert!(error.message.contains("ended with code 1"), "{error:?}");
            assert_eq!(error.detail["logs"], serde_json::json!(["alter table"]));
        }
    }
}

#[tokio::test]
async fn a_rollback_past_a_migration_that_closes_the_way_is_refused_and_says_what_would_break() {
    let web = ServiceName::parse("web").unwrap();
    let back = |past_migration| Request {
        scope: scope(),
        service: web.clone(),
        to: Some(ReleaseId::new(1)),
        by: String::new(),
        why: String::new(),
        past_migration,
    };
    for (kind, is_open) in
        [(MigrationKind::Expand, true), (MigrationKind::Contract, false), (MigrationKind::Breaking, false)]
    {
        let site = site(Strategy::BlueGreen, Behaviour::healthy_after(1)).await;
        let outcome = run(&site, &migrating(kind, false), |_| Inject::None).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
        match (rollback::way(&site.world, &back(false)).await, is_open) {
            (Ok(way), true) => assert!(way.breaks.is_empty()),
            (Err(error @ DeployError::PastMigration { .. }), false) => {
                assert_eq!(error.ending(), Ending::Refused);
                assert!(error.to_string().contains("the migration of r2 (`migrate`)"), "{error}");
                assert!(error.hint().unwrap().contains("--past-migration"));
            }
            (other, _) => panic!("{kind:?}: {other:?}"),
        }
        let way = rollback::way(&site.world, &back(true)).await.unwrap();
        assert_eq!(way.breaks.is_empty(), is_open);
    }
}
