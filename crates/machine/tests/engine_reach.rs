//! Finding the engine, and not finding it.

use machine::docker::{Docker, DockerError, Engine};
use testkit::temp_root;

const SOCKET: &str = "/var/run/docker.sock";

#[tokio::test]
async fn a_host_is_a_url_a_path_or_the_usual_socket() {
    let url = format!("unix://{SOCKET}");
    for host in [None, Some(""), Some(SOCKET), Some(url.as_str())] {
        let engine = Engine::connect(host).unwrap();
        let version =
            engine.ping().await.unwrap_or_else(|error| panic!("{error}: install docker.io and start dockerd"));
        assert!(version.api.starts_with("1."), "{host:?} answered {version:?}");
    }
}

#[tokio::test]
async fn an_engine_that_is_not_installed_is_not_reachable() {
    let error = Engine::connect(Some("unix:///no/such.sock")).unwrap_err();
    assert_eq!(error.to_string(), "could not reach the Docker Engine at `unix:///no/such.sock`");
}

#[tokio::test]
async fn an_engine_that_died_and_left_its_socket_is_not_reachable() {
    let (_dir, root) = temp_root();
    let path = root.path().join("docker.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let engine = Engine::connect(path.to_str()).unwrap();
    assert!(matches!(engine.ping().await, Err(DockerError::NotReachable { .. })));
    assert!(matches!(engine.inspect("web").await, Err(DockerError::NotReachable { .. })), "absence was claimed unseen");
}

#[tokio::test]
async fn an_engine_over_plain_http_that_nobody_runs_is_not_reachable() {
    let host = format!("tcp://127.0.0.1:{}", testkit::free_port());
    assert!(matches!(Engine::connect(Some(&host)).unwrap().ping().await, Err(DockerError::NotReachable { .. })));
    assert!(matches!(Engine::connect(Some("ssh://ops@server")), Err(DockerError::NotReachable { .. })));
}

#[tokio::test]
async fn a_name_that_would_make_another_request_is_asked_for_by_nobody() {
    let engine = Engine::connect(None).unwrap();
    for name in ["", "../info", "web?force=1", "web#x", "we b", "%2e%2e"] {
        assert_eq!(engine.inspect(name).await.unwrap(), None, "{name:?}");
        assert!(matches!(engine.remove(name, true).await, Err(DockerError::NotFound(_))), "{name:?}");
    }
}
