//! What only the fake can do: scripts, time on command, refusals.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::TestClock;
use crate::docker::{Docker, Restart, State};

fn world() -> (Arc<TestClock>, FakeDocker) {
    let clock = Arc::new(TestClock::default());
    (clock.clone(), FakeDocker::new(clock))
}

fn spec(name: &str, image: &str) -> ContainerSpec {
    ContainerSpec { name: name.into(), image: image.into(), ..ContainerSpec::default() }
}

#[tokio::test]
async fn a_container_ends_when_its_time_has_come_and_not_before() {
    let (clock, docker) = world();
    docker.add_image("app:1", Behaviour::exits(7, Duration::from_secs(5)));
    let id = docker.run_now(&spec("web", "app:1")).unwrap();
    clock.advance(Duration::from_millis(4_999));
    assert_eq!(docker.inspect(&id).await.unwrap().unwrap().state, State::Running);
    clock.advance(Duration::from_millis(500));
    let detail = docker.inspect(&id).await.unwrap().unwrap();
    assert_eq!((detail.state, detail.exit_code), (State::Exited, Some(7)));
    assert_eq!(detail.finished_ms.unwrap() - detail.started_ms.unwrap(), 5_000);
}

#[tokio::test]
async fn a_crash_loop_waits_longer_each_time_and_counts() {
    let (clock, docker) = world();
    docker.add_image("app:1", Behaviour::exits(1, Duration::from_millis(10)));
    let spec = ContainerSpec { restart: Restart::UnlessStopped, ..spec("web", "app:1") };
    let id = docker.run_now(&spec).unwrap();
    clock.advance(Duration::from_millis(50));
    assert_eq!(docker.inspect(&id).await.unwrap().unwrap().state, State::Restarting);
    clock.advance(Duration::from_secs(2));
    let detail = docker.inspect(&id).await.unwrap().unwrap();
    assert_eq!(detail.restart_count, 4, "after 100, 200, 400 and 800 ms");
    docker.stop(&id, Duration::ZERO).await.unwrap();
    clock.advance(Duration::from_secs(60));
    assert_eq!(docker.inspect(&id).await.unwrap().unwrap().state, State::Exited);
}

#[tokio::test]
async fn health_follows_its_script_inspection_by_inspection() {
    let (_, docker) = world();
    docker.add_image("app:1", Behaviour::healthy_after(2));
    let id = docker.run_now(&spec("web", "app:1")).unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(docker.inspect(&id).await.unwrap().unwrap().health.unwrap());
    }
    assert_eq!(seen, [Health::Starting, Health::Starting, Health::Healthy]);
    docker.set_health(&id, Health::Unhealthy).unwrap();
    assert_eq!(docker.inspect(&id).await.unwrap().unwrap().health, Some(Health::Unhealthy));
}

#[tokio::test]
async fn a_call_can_be_made_to_fail_once() {
    let (_, docker) = world();
    docker.add_image("app:1", Behaviour::runs());
    let id = docker.create(&spec("web", "app:1")).await.unwrap();
    docker.refuse_next("start", "port is already allocated");
    let error = docker.start("web").await.unwrap_err();
    assert!(error.to_string().contains("port is already allocated"), "{error}");
    docker.start(&id).await.unwrap();
}

#[tokio::test]
async fn an_engine_that_went_away_answers_nothing_and_its_containers_live_on() {
    let (_, docker) = world();
    docker.add_image("app:1", Behaviour::runs());
    let id = docker.run_now(&spec("web", "app:1")).unwrap();
    docker.set_reachable(false);
    assert!(matches!(docker.ping().await, Err(DockerError::NotReachable { .. })));
    assert!(matches!(docker.inspect(&id).await, Err(DockerError::NotReachable { .. })));
    docker.set_reachable(true);
    assert_eq!(docker.inspect(&id).await.unwrap().unwrap().state, State::Running);
}

#[tokio::test]
async fn a_container_that_cannot_start_keeps_the_reason() {
    let (_, docker) = world();
    docker.add_image("app:1", Behaviour::cannot_start("exec: \"nope\": not found"));
    let id = docker.create(&spec("web", "app:1")).await.unwrap();
    assert!(matches!(docker.start(&id).await, Err(DockerError::Refused { .. })));
    let detail = docker.inspect(&id).await.unwrap().unwrap();
    assert_eq!((detail.state, detail.exit_code), (State::Created, Some(127)));
    assert!(detail.error.is_some());
}

#[tokio::test]
async fn changing_calls_are_remembered_in_order() {
    let (_, docker) = world();
    docker.add_image("app:1", Behaviour::runs());
    docker.run_now(&spec("web", "app:1")).unwrap();
    docker.rename("web", "web-old").await.unwrap();
    docker.remove("web-old", true).await.unwrap();
    assert_eq!(docker.calls(), ["create web", "start web", "rename web web-old", "remove web-old"]);
}
