//! The words of `machine::compose`, said to the real Compose.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use machine::compose::{Compose, RunOptions, UpOptions, decode_config, docker_exec};
use machine::docker::{Docker, State};
use machine::process::{Command, Output, Processes, SystemProcesses};
use testkit::{BASE_IMAGE, RealDocker, temp_root};

const LIMIT: Duration = Duration::from_secs(120);

async fn run(command: Command) -> Output {
    let command = command.timeout(LIMIT);
    SystemProcesses.run(&command).await.unwrap().ok(&command).unwrap()
}

fn project_of(label: &str) -> [(String, String); 1] {
    [("com.docker.compose.project".to_owned(), label.to_owned())]
}

#[tokio::test]
async fn a_config_has_its_variables_filled_in_and_its_short_forms_written_out() {
    let (_dir, root) = temp_root();
    root.write_atomic("app.env", b"PASSWORD='a$b'\nPORT=8080\n", 0o600).unwrap();
    let file = "services:\n  api:\n    image: app:1\n    ports: [\"${PORT}:80\"]\n    environment:\n      \
                PASSWORD: ${PASSWORD}\n      PRICE: 5$$\n    depends_on: [db]\n  db:\n    image: db:1\n    profiles: [data]\n";
    root.write_atomic("compose.yaml", file.as_bytes(), 0o600).unwrap();
    let compose = Compose {
        env_files: vec![root.path().join("app.env")],
        profiles: vec!["data".into()],
        ..Compose::new("shop", root.path().join("compose.yaml"))
    };
    let output = run(compose.config()).await;
    let raw: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let config = decode_config(&output.stdout).unwrap();
    assert_eq!(config["name"], "shop");
    assert_eq!(config["services"]["api"]["ports"][0]["target"], 80);
    assert_eq!(config["services"]["api"]["ports"][0]["published"], "8080");
    assert_eq!(config["services"]["api"]["depends_on"]["db"]["condition"], "service_started");
    // Compose doubles every dollar of its output, so that the output is a Compose file again.
    assert_eq!(raw["services"]["api"]["environment"]["PASSWORD"], "a$$b");
    assert_eq!(raw["services"]["api"]["environment"]["PRICE"], "5$$");
    assert_eq!(config["services"]["api"]["environment"]["PASSWORD"], "a$b");
    assert_eq!(config["services"]["api"]["environment"]["PRICE"], "5$");
}

#[tokio::test]
async fn a_broken_file_is_refused_with_composes_own_words() {
    let (_dir, root) = temp_root();
    root.write_atomic("compose.yaml", b"services:\n  api:\n    imagee: x\n", 0o600).unwrap();
    let config = Compose::new("shop", root.path().join("compose.yaml")).config().timeout(LIMIT);
    let error = SystemProcesses.run(&config).await.unwrap().ok(&config).unwrap_err();
    assert!(error.to_string().contains("imagee"), "{error}");
}

/// A file with one service that sleeps and one that nobody asked for.
fn sleeping(docker: &RealDocker) -> String {
    let (key, value) = docker.label();
    let service = format!(
        "image: {BASE_IMAGE}\n    command: [sleep, \"600\"]\n    init: true\n    labels: {{{key}: \"{value}\"}}\n"
    );
    format!("services:\n  web:\n    {service}    depends_on: [db]\n  db:\n    {service}")
}

#[tokio::test]
async fn two_projects_of_one_file_live_side_by_side() {
    let docker = RealDocker::connect().await;
    let (_dir, root) = temp_root();
    root.write_atomic("compose.yaml", sleeping(&docker).as_bytes(), 0o600).unwrap();
    let file = root.path().join("compose.yaml");
    let (blue, green) = (docker.name("blue"), docker.name("green"));
    for project in [&blue, &green] {
        let compose = Compose::new(project.as_str(), &file);
        run(compose.up(&UpOptions { wait: Some(Duration::from_secs(60)), ..UpOptions::of(["web"]) })).await;
    }
    for project in [&blue, &green] {
        let found = docker.engine().list(&project_of(project), true).await.unwrap();
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, [format!("{project}-web-1")], "`db` was not asked for");
        assert_eq!(found[0].state, State::Running);
        assert!(found[0].addresses.contains_key(&format!("{project}_default")), "{found:?}");
    }
    run(Compose::new(&blue, &file).down(true)).await;
    assert_eq!(docker.engine().list(&project_of(&blue), true).await.unwrap(), []);
    assert_eq!(docker.engine().list(&project_of(&green), false).await.unwrap().len(), 1);
    run(Compose::new(&green, &file).down(true)).await;
}

#[tokio::test]
async fn up_twice_keeps_the_container_and_force_recreate_replaces_it() {
    let docker = RealDocker::connect().await;
    let (_dir, root) = temp_root();
    root.write_atomic("compose.yaml", sleeping(&docker).as_bytes(), 0o600).unwrap();
    let compose = Compose::new(docker.id(), root.path().join("compose.yaml"));
    let id = async || docker.engine().list(&project_of(docker.id()), false).await.unwrap().remove(0).id;
    run(compose.up(&UpOptions::of(["web"]))).await;
    let first = id().await;
    run(compose.up(&UpOptions::of(["web"]))).await;
    assert_eq!(id().await, first);
    run(compose.up(&UpOptions { force_recreate: true, ..UpOptions::of(["web"]) })).await;
    assert_ne!(id().await, first);
    run(compose.stop(&["web".to_owned()])).await;
    assert_eq!(docker.engine().list(&project_of(docker.id()), true).await.unwrap()[0].state, State::Exited);
    run(compose.down(true)).await;
}

#[tokio::test]
async fn a_one_off_run_hands_back_output_and_status_and_leaves_nothing() {
    let docker = RealDocker::connect().await;
    let (_dir, root) = temp_root();
    root.write_atomic("compose.yaml", sleeping(&docker).as_bytes(), 0o600).unwrap();
    let compose = Compose::new(docker.id(), root.path().join("compose.yaml"));
    let words: Vec<String> = ["sh", "-c", "echo step $STEP; exit 3"].map(str::to_owned).into();
    let options = RunOptions {
        name: Some(docker.name("migrate")),
        env: vec![("STEP".into(), "one of two".into())],
        ..RunOptions::default()
    };
    let output = SystemProcesses.run(&compose.run("web", &words, &options).timeout(LIMIT)).await.unwrap();
    assert_eq!((output.status, output.text().as_str()), (3, "step one of two\n"));
    assert_eq!(docker.engine().inspect(&docker.name("migrate")).await.unwrap(), None);
    run(compose.down(true)).await;
}

#[tokio::test]
async fn a_missing_image_is_not_fetched() {
    let (_dir, root) = temp_root();
    let docker = RealDocker::connect().await;
    root.write_atomic("compose.yaml", b"services:\n  web:\n    image: mainstay-test/never-built:1\n", 0o600).unwrap();
    let up = Compose::new(docker.id(), root.path().join("compose.yaml")).up(&UpOptions::of(["web"])).timeout(LIMIT);
    let error = SystemProcesses.run(&up).await.unwrap().ok(&up).unwrap_err().to_string();
    assert!(error.to_lowercase().contains("no such image"), "{error}");
}

#[tokio::test]
async fn exec_runs_words_in_a_running_container() {
    let docker = RealDocker::connect().await;
    let id = docker.engine().create(&docker.container("web", &["sleep", "600"])).await.unwrap();
    docker.engine().start(&id).await.unwrap();
    let words: Vec<String> = ["echo", "$HOME", "a b"].map(str::to_owned).into();
    assert_eq!(run(docker_exec(&id, &words)).await.text(), "$HOME a b\n", "no shell comes between");
}
