use super::*;

fn project() -> Compose {
    Compose {
        project: "shop-production".into(),
        files: vec!["/srv/shop/compose.yaml".into(), "/srv/shop/r7.yaml".into()],
        dir: Some("/srv/shop".into()),
        env_files: vec!["/srv/shop/.env".into()],
        profiles: vec!["workers".into()],
    }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn config_asks_for_the_whole_project_as_json() {
    insta::assert_snapshot!(project().config(), @"docker compose --project-name shop-production --file /srv/shop/compose.yaml --file /srv/shop/r7.yaml --project-directory /srv/shop --env-file /srv/shop/.env --profile workers config --format json");
}

#[test]
fn up_touches_only_the_named_services_and_fetches_nothing() {
    let compose = Compose::new("p", "c.yaml");
    insta::assert_snapshot!(compose.up(&UpOptions::of(["api", "web"])), @"docker compose --project-name p --file c.yaml up --detach --no-deps --no-build --quiet-pull --pull never api web");
}

#[test]
fn up_that_waits_rounds_its_seconds_up() {
    let options = UpOptions { wait: Some(Duration::from_millis(1500)), force_recreate: true, ..UpOptions::of(["api"]) };
    insta::assert_snapshot!(Compose::new("p", "c.yaml").up(&options), @"docker compose --project-name p --file c.yaml up --no-deps --no-build --force-recreate --quiet-pull --pull never --wait --wait-timeout 2 api");
}

#[test]
fn build_pull_and_stop_name_their_services() {
    let compose = Compose::new("p", "c.yaml");
    let api = strings(&["api"]);
    insta::assert_snapshot!(compose.build(&api), @"docker compose --project-name p --file c.yaml build api");
    insta::assert_snapshot!(compose.pull(&[]), @"docker compose --project-name p --file c.yaml pull --quiet");
    insta::assert_snapshot!(compose.stop(&api), @"docker compose --project-name p --file c.yaml stop api");
}

#[test]
fn down_keeps_the_volumes_unless_told_otherwise() {
    let compose = Compose::new("p", "c.yaml");
    insta::assert_snapshot!(compose.down(false), @"docker compose --project-name p --file c.yaml down --remove-orphans");
    insta::assert_snapshot!(compose.down(true), @"docker compose --project-name p --file c.yaml down --remove-orphans --volumes");
}

#[test]
fn a_one_off_run_has_a_name_and_no_terminal() {
    let options = RunOptions {
        name: Some("p-migrate-r7".into()),
        env: vec![("STEP".into(), "1 of 2".into())],
        ..RunOptions::default()
    };
    let run = Compose::new("p", "c.yaml").run("api", &strings(&["migrate", "--now"]), &options);
    insta::assert_snapshot!(run, @"docker compose --project-name p --file c.yaml run --rm --no-deps --no-TTY --name p-migrate-r7 --env 'STEP=1 of 2' api migrate --now");
}

#[test]
fn exec_passes_the_words_as_they_are() {
    insta::assert_snapshot!(docker_exec("web-1", &strings(&["sh", "-c", "echo $HOME"])), @"docker exec web-1 sh -c 'echo $HOME'");
    insta::assert_snapshot!(docker_exec_with("web-1", &strings(&["sh"]), &ExecOptions { input: true, tty: true, ..ExecOptions::default() }), @"docker exec --interactive --tty web-1 sh");
}

#[test]
fn exec_takes_user_folder_and_variables_whose_values_nobody_sees() {
    let options = ExecOptions {
        input: false,
        user: Some("app".into()),
        working_dir: Some("/srv".into()),
        env: vec![("PATH".into(), "/bin".into()), ("TOKEN".into(), "hunter2".into())],
        privileged: true,
        tty: false,
    };
    let command = docker_exec_with("web-1", &strings(&["flush"]), &options);
    insta::assert_snapshot!(command, @"TOKEN=*** docker exec --user app --workdir /srv --privileged --env PATH=/bin --env TOKEN web-1 flush");
    assert_eq!(command.env, [("TOKEN".to_owned(), "hunter2".to_owned())]);
}

#[test]
fn doubled_dollars_of_a_config_are_single_again() {
    let document = decode_config(br#"{"a":["x$$y"],"b":{"c":"$$$$","d":1}}"#).unwrap();
    assert_eq!(document, serde_json::json!({"a": ["x$y"], "b": {"c": "$$", "d": 1}}));
}
