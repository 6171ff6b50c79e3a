use std::time::{Duration, Instant};

use super::*;

const SOON: Duration = Duration::from_secs(20);

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script]).timeout(SOON)
}

/// Waits until a process is gone, or says that it is still there.
async fn gone(pid: u32) {
    let begin = Instant::now();
    while pid_alive(pid) {
        assert!(begin.elapsed() < SOON, "process {pid} is still alive");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_program_gives_back_status_and_both_outputs() {
    let output = SystemProcesses.run(&sh("echo out; echo err >&2; exit 3")).await.unwrap();
    assert_eq!(output, Output { status: 3, stdout: b"out\n".to_vec(), stderr: b"err\n".to_vec() });
}

#[tokio::test]
async fn a_program_ended_by_a_signal_counts_as_shells_count() {
    assert_eq!(SystemProcesses.run(&sh("kill -9 $$")).await.unwrap().status, 137);
}

#[tokio::test]
async fn input_environment_and_folder_reach_the_program() {
    let command = Command::new("sh").args(["-c", "cat; echo $A; pwd"]).stdin("in\n").env("A", "b c").dir("/usr");
    assert_eq!(SystemProcesses.run(&command).await.unwrap().text(), "in\nb c\n/usr\n");
}

#[tokio::test]
async fn much_input_and_much_output_do_not_block_each_other() {
    let input = vec![b'x'; 3 << 20];
    let output = SystemProcesses.run(&Command::new("cat").stdin(input.clone()).timeout(SOON)).await.unwrap();
    assert!(output.stdout == input);
}

#[tokio::test]
async fn a_program_that_does_not_read_its_input_is_no_failure() {
    let command = Command::new("true").stdin(vec![b'x'; 1 << 20]).timeout(SOON);
    assert_eq!(SystemProcesses.run(&command).await.unwrap().status, 0);
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let error = SystemProcesses.run(&Command::new("mainstay-no-such-program")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not start `mainstay-no-such-program`: there is no such program on this machine"
    );
}

#[tokio::test]
async fn a_missing_folder_is_not_taken_for_a_missing_program() {
    let error = SystemProcesses.run(&Command::new("true").dir("/no/such/folder")).await.unwrap_err();
    assert!(matches!(error, ProcessError::Start { .. }), "{error:?}");
}

#[tokio::test]
async fn a_failure_carries_the_last_lines() {
    let command = sh("for i in $(seq 50); do echo line $i >&2; done; exit 2");
    let error = SystemProcesses.run(&command).await.unwrap().ok(&command).unwrap_err();
    let ProcessError::Failed { status: 2, last_lines, .. } = &error else { panic!("{error:?}") };
    assert_eq!((last_lines.len(), last_lines[0].as_str(), last_lines[19].as_str()), (20, "line 31", "line 50"));
    assert!(error.to_string().ends_with("\nline 50"), "{error}");
}

#[tokio::test]
async fn a_timeout_ends_the_whole_group_and_tells_what_was_said() {
    let command = sh("sleep 600 & echo $! >&2; wait").timeout(Duration::from_millis(300));
    let error = SystemProcesses.run(&command).await.unwrap_err();
    let ProcessError::Timeout { last_lines, .. } = &error else { panic!("{error:?}") };
    gone(last_lines[0].parse().unwrap()).await;
}

#[tokio::test]
async fn a_program_that_ignores_the_polite_signal_is_killed_on_timeout() {
    let command = sh("trap '' TERM; echo $$ >&2; while :; do sleep 1; done").timeout(Duration::from_millis(300));
    let begin = Instant::now();
    let ProcessError::Timeout { last_lines, .. } = SystemProcesses.run(&command).await.unwrap_err() else { panic!() };
    gone(last_lines[0].parse().unwrap()).await;
    assert!(begin.elapsed() < SOON);
}

#[tokio::test]
async fn dropping_the_call_ends_the_whole_group() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let command = sh(&format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display()));
    let call = tokio::spawn(async move { SystemProcesses.run(&command).await });
    let begin = Instant::now();
    while !file.exists() {
        assert!(begin.elapsed() < SOON, "the program wrote no process id");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let pid = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    assert!(pid_alive(pid));
    call.abort();
    gone(pid).await;
}

#[tokio::test]
async fn a_helper_that_keeps_the_pipes_open_does_not_hold_the_call() {
    let begin = Instant::now();
    let output = SystemProcesses.run(&sh("sleep 600 & echo $!")).await.unwrap();
    assert_eq!(output.status, 0);
    gone(output.text().trim().parse().unwrap()).await;
    assert!(begin.elapsed() < SOON);
}

#[tokio::test]
async fn lines_arrive_as_they_are_written() {
    let mut lines = Vec::new();
    let script = "echo one; echo two >&2; printf 'three\\r\\nrest'";
    let status = SystemProcesses.stream(&sh(script), &mut |stream, line| lines.push((stream, line))).await.unwrap();
    assert_eq!(status, 0);
    let of = |wanted| lines.iter().filter(|(s, _)| *s == wanted).map(|(_, l)| l.as_str()).collect::<Vec<_>>();
    assert_eq!(of(Stream::Stdout), ["one", "three", "rest"]);
    assert_eq!(of(Stream::Stderr), ["two"]);
}

#[tokio::test]
async fn a_line_without_end_arrives_in_pieces_of_bounded_size() {
    let mut sizes = Vec::new();
    let script = "head -c 1000000 /dev/zero | tr '\\0' x";
    SystemProcesses.stream(&sh(script), &mut |_, line| sizes.push(line.len())).await.unwrap();
    assert_eq!(sizes.iter().sum::<usize>(), 1_000_000);
    assert!(sizes.iter().all(|size| *size <= 16 * 1024));
}

#[tokio::test]
async fn output_without_end_is_stopped() {
    let error = SystemProcesses.run(&Command::new("cat").arg("/dev/zero").timeout(SOON)).await.unwrap_err();
    assert!(matches!(error, ProcessError::TooMuchOutput { .. }), "{error:?}");
}

#[test]
fn secrets_appear_in_no_text() {
    let command =
        Command::new("pg_dump").arg("my db").secret_env("PGPASSWORD", "hunter2").env("PGUSER", "me").stdin("hunter2");
    assert_eq!(command.to_string(), "PGPASSWORD=*** PGUSER=me pg_dump 'my db'");
    assert!(!format!("{command:?}").contains("hunter2"), "{command:?}");
    assert!(format!("{command:?}").contains("7 bytes"), "{command:?}");
}

#[test]
fn words_are_quoted_for_reading() {
    insta::assert_snapshot!(Command::new("echo").args(["a b", "", "it's", "--x=1", "$HOME"]), @r"echo 'a b' '' 'it'\''s' --x=1 '$HOME'");
}

#[tokio::test]
async fn a_detached_program_lives_in_a_session_of_its_own_and_writes_to_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("logs/app.log");
    let pid = spawn_detached(&sh("echo hello; exec sleep 600"), &log).await.unwrap();
    assert!(pid_alive(pid));
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(3).unwrap().to_owned();
    assert_eq!(session, pid.to_string());
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "hello\n");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
    gone(pid).await;
}

#[tokio::test]
async fn a_detached_program_that_ends_at_once_is_an_error_with_its_last_words() {
    let dir = tempfile::tempdir().unwrap();
    let error = spawn_detached(&sh("echo no config >&2; exit 4"), &dir.path().join("l")).await.unwrap_err();
    assert!(
        matches!(&error, ProcessError::Failed { status: 4, last_lines, .. } if last_lines == &["no config"]),
        "{error:?}"
    );
    let error = spawn_detached(&Command::new("/no/such"), &dir.path().join("l")).await.unwrap_err();
    assert!(matches!(error, ProcessError::NoProgram { .. }), "{error:?}");
}

#[tokio::test]
async fn a_child_is_waited_for_terminated_and_killed() {
    let mut child = Child::start(&sh("exit 7"), ChildOutput::Null).unwrap();
    assert_eq!((child.wait().await.unwrap(), child.wait().await.unwrap()), (7, 7));
    let mut child = Child::start(&Command::new("sleep").arg("600"), ChildOutput::Null).unwrap();
    assert!(pid_alive(child.pid()));
    assert_eq!(child.terminate(SOON).await.unwrap(), 143);
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut child =
        Child::start(&sh("trap '' TERM; echo up; while :; do sleep 1; done"), ChildOutput::Log(log.clone())).unwrap();
    let begin = Instant::now();
    while !std::fs::read_to_string(&log).unwrap().contains("up") {
        assert!(begin.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(child.terminate(Duration::from_millis(50)).await.unwrap(), 137);
}

#[tokio::test]
async fn dropping_a_child_ends_it() {
    let child = Child::start(&Command::new("sleep").arg("600"), ChildOutput::Null).unwrap();
    let pid = child.pid();
    drop(child);
    gone(pid).await;
}

#[tokio::test]
async fn scripted_answers_are_given_and_calls_remembered() {
    let fake = FakeProcesses::new()
        .on("docker compose", 0, "always\n", "")
        .once("docker compose up", 1, "", "first fails\n")
        .when("echo", |command| Output { stdout: command.args.join("+").into_bytes(), ..Output::default() });
    let up = Command::new("docker").args(["compose", "up"]);
    assert_eq!(fake.run(&up).await.unwrap().status, 1);
    assert_eq!(fake.run(&up).await.unwrap().text(), "always\n");
    assert_eq!(fake.run(&Command::new("echo").args(["a", "b"])).await.unwrap().text(), "a+b");
    assert!(matches!(fake.run(&Command::new("ls")).await, Err(ProcessError::NoProgram { .. })));
    assert_eq!(fake.lines(), ["docker compose up", "docker compose up", "echo a b", "ls"]);
}

#[tokio::test]
async fn an_interactive_program_hands_back_its_status() {
    assert_eq!(interactive(&sh("exit 5")).await.unwrap(), 5);
}
