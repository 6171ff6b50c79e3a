//! The test application, as tests will meet it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use machine::docker::{ContainerSpec, Docker, State};
use machine::net::http_get;
use testkit::{RealDocker, app_image, wait_for};

const SOON: Duration = Duration::from_secs(60);

async fn start(docker: &RealDocker, of: &str, image: String) -> (String, SocketAddr) {
    let spec = ContainerSpec { image, command: Vec::new(), ..docker.container(of, &[]) };
    let id = docker.engine().create(&spec).await.unwrap();
    docker.engine().start(&id).await.unwrap();
    let detail = docker.engine().inspect(&id).await.unwrap().unwrap();
    let address: IpAddr = detail.networks["bridge"].address.unwrap();
    (id, SocketAddr::new(address, 8080))
}

async fn page(addr: SocketAddr, path: &str) -> (u16, String) {
    wait_for("an answer of the application", SOON, || async {
        let (status, body) = http_get(addr, "app", path, SOON).await.map_err(|error| error.to_string())?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    })
    .await
}

#[tokio::test]
async fn two_builds_serve_their_own_pages_and_are_made_once() {
    let docker = RealDocker::connect().await;
    let (one, two) = (app_image("one", &[]).await, app_image("two", &[("NEVER_HEALTHY", "1")]).await);
    assert_ne!(one, two);
    assert_eq!(app_image("one", &[]).await, one);
    let (_, first) = start(&docker, "one", one).await;
    let (_, second) = start(&docker, "two", two).await;
    assert_eq!(page(first, "/").await, (200, "one".to_owned()));
    assert_eq!(page(second, "/").await, (200, "two".to_owned()));
    assert_eq!(page(first, "/health").await.0, 200);
    assert_eq!(page(second, "/health").await.0, 503);
    assert!(page(first, "/echo?x=1").await.1.starts_with("GET /echo?x=1 HTTP/1.1"));
    assert_eq!(page(first, "/slow?ms=1").await.0, 200);
    assert_eq!(page(first, "/none").await.0, 404);
}

#[tokio::test]
async fn a_build_can_speak_crash_and_become_healthy_late() {
    let docker = RealDocker::connect().await;
    let env = [("CRASH_AFTER_MS", "1500"), ("LOG_LINES", "3"), ("HEALTHY_AFTER_MS", "300")];
    let (id, addr) = start(&docker, "app", app_image("weak", &env).await).await;
    wait_for("late health", SOON, || async {
        match http_get(addr, "app", "/health", SOON).await {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let code = wait_for("the crash", SOON, || async {
        let detail = docker.engine().inspect(&id).await.unwrap().unwrap();
        if detail.state == State::Exited { Ok(detail.exit_code) } else { Err(format!("{detail:?}")) }
    })
    .await;
    assert_eq!(code, Some(3));
    let log = docker.engine().logs(&id, 100).await.unwrap();
    assert_eq!(log[..3], ["log line 1", "log line 2", "log line 3"]);
    assert_eq!(log.last().map(String::as_str), Some("crashing as told"));
}

#[tokio::test]
async fn a_build_can_run_out_of_memory() {
    let docker = RealDocker::connect().await;
    let image = app_image("hungry", &[("OOM", "1")]).await;
    let spec = ContainerSpec {
        image,
        memory: Some(32 << 20),
        init: false,
        command: Vec::new(),
        ..docker.container("app", &[])
    };
    // The engine does not always notice in time what it was killed for, so it is asked of several.
    for number in 1..=4 {
        let spec = ContainerSpec { name: format!("{}-{number}", spec.name), ..spec.clone() };
        let id = docker.engine().create(&spec).await.unwrap();
        docker.engine().start(&id).await.unwrap();
        let detail = wait_for("the end of the hungry", SOON, || async {
            let detail = docker.engine().inspect(&id).await.unwrap().unwrap();
            if detail.state == State::Exited { Ok(detail) } else { Err(format!("{detail:?}")) }
        })
        .await;
        assert_eq!(detail.exit_code, Some(137), "{detail:?}");
        if detail.oom_killed {
            return;
        }
    }
    panic!("it was never said that memory ran out");
}

#[tokio::test]
async fn a_panicking_test_leaves_nothing_on_the_engine() {
    let docker = RealDocker::connect().await;
    let (engine, label) = (docker.engine().clone(), docker.label());
    let end = tokio::spawn(async move {
        let network = docker.engine().create_network(&docker.network("n")).await.unwrap();
        docker.engine().create_volume(&docker.volume("v")).await.unwrap();
        let spec = ContainerSpec { network: Some(network.name), ..docker.container("c", &["sleep", "600"]) };
        let id = docker.engine().create(&spec).await.unwrap();
        docker.engine().start(&id).await.unwrap();
        panic!("as a failing test does");
    })
    .await;
    assert!(end.is_err());
    let labels = [label];
    assert_eq!(engine.list(&labels, true).await.unwrap(), []);
    assert_eq!(engine.networks(&labels).await.unwrap(), []);
    assert_eq!(engine.volumes(&labels).await.unwrap(), []);
}
