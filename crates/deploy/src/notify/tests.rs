use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use machine::clock::TestClock;
use machine::docker::FakeDocker;
use machine::files::Root;
use machine::process::FakeProcesses;
use spec::{EnvironmentName, PlatformName};

use super::*;
use crate::world::{Parts, Talk};

/// Refuses so many attempts, then takes what comes.
struct Moody {
    refusals: usize,
    asked: AtomicUsize,
}

#[async_trait]
impl Channel for Moody {
    fn name(&self) -> String {
        "moody".into()
    }

    async fn send(&self, _: &World, _: &Notice) -> Result<(), String> {
        match self.asked.fetch_add(1, Ordering::SeqCst) < self.refusals {
            true => Err("not now".into()),
            false => Ok(()),
        }
    }
}

fn scope() -> Scope {
    Scope { platform: PlatformName::parse("shop").unwrap(), environment: EnvironmentName::parse("production").unwrap() }
}

fn world(folder: &std::path::Path) -> World {
    let clock = Arc::new(TestClock::default());
    let parts = Parts {
        docker: Arc::new(FakeDocker::new(clock.clone())),
        processes: Arc::new(FakeProcesses::new()),
        ledger: ledger::Ledger::in_memory(clock.clone()).unwrap(),
        edge: edge::Control::new(folder.join("edge.sock")),
        clock,
        root: Root::open(folder).unwrap(),
        environment: vec![],
        salt: vec![7; 32],
        switching: tokio::sync::Mutex::new(()),
        holding: tokio::sync::Mutex::new(()),
        lent: Default::default(),
        faults: None,
    };
    World::new(Arc::new(parts), Talk::silent(), saga::Abort::new())
}

fn notice() -> Notice {
    let mut notice = Notice::new(NoticeKind::Failed, &scope(), PathBuf::new(), "up", "ops");
    notice.cause = Some("web: it exited with code 3".into());
    notice.services = vec![ServiceName::parse("web").unwrap()];
    notice
}

fn kinds(world: &World) -> Vec<(String, serde_json::Value)> {
    let events = world.ledger.last_events(&ledger::EventFilter::default(), 50).unwrap();
    events.into_iter().map(|event| (event.kind, event.data)).collect()
}

#[tokio::test]
async fn a_notice_is_tried_a_few_times_and_what_became_of_it_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path());
    for (refusals, asked, kind) in [(0, 1, "notice.sent"), (2, 3, "notice.sent"), (9, 3, "notice.lost")] {
        let channel = Moody { refusals, asked: AtomicUsize::new(0) };
        send(&world, &channel, &notice(), &[Duration::ZERO; 2]).await;
        assert_eq!(channel.asked.load(Ordering::SeqCst), asked);
        let (last, data) = kinds(&world).pop().unwrap();
        assert_eq!((last.as_str(), &data["attempts"]), (kind, &json!(asked)));
    }
}

#[tokio::test]
async fn telling_never_waits_and_what_finds_no_room_is_written_down_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (notices, _nobody_listens) = Notices::channel();
    let world = world(folder.path()).notifying(notices);
    for _ in 0..=ROOM {
        world.tell(notice());
    }
    let lost = kinds(&world).into_iter().filter(|(kind, _)| kind == "notice.lost").count();
    assert_eq!(lost, 1);
}

#[test]
fn a_notice_says_everything_in_one_sentence() {
    let text = notice().sentence();
    assert_eq!(
        text,
        "shop (production): `up` of web by ops has failed, and nothing was changed: web: it exited with code 3"
    );
}
