//! Commands inside containers of the real engine.

use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Engine, PATIENCE, plain, refusal};
use crate::docker::{DockerResult, Probe};

/// As much as Docker keeps of a health check's output.
const MOST_OUTPUT: usize = 4096;

/// Runs the words as the container's own user, in its folder and with its variables: what Docker does for a health
/// check.
pub(super) async fn probe(engine: &Engine, id: &str, words: &[String], timeout: Duration) -> DockerResult<Probe> {
    let thing = plain("container", id)?;
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(words.to_vec()),
        ..CreateExecOptions::default()
    };
    let operation = "run a command in";
    let made = engine.ask(operation, thing.clone(), PATIENCE, engine.client.create_exec(id, options)).await?;
    let mut output = Vec::new();
    let run = async {
        let started = engine.client.start_exec(&made.id, None).await?;
        if let StartExecResults::Attached { output: mut lines, .. } = started {
            while let Some(line) = lines.next().await {
                let line = line?;
                let bytes = line.as_ref();
                let room = MOST_OUTPUT.saturating_sub(output.len());
                output.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
        }
        Ok(())
    };
    let ended = tokio::time::timeout(timeout, run).await;
    let text = |output: Vec<u8>| String::from_utf8_lossy(&output).into_owned();
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(refusal::explain(&engine.host, operation, thing, error)),
        Err(_) => {
            end(engine, &made.id).await;
            return Ok(Probe { exit_code: None, output: text(output) });
        }
    }
    let state = engine.ask(operation, thing, PATIENCE, engine.client.inspect_exec(&made.id)).await?;
    Ok(Probe { exit_code: state.exit_code, output: text(output) })
}

/// Kills a command that was given up; the engine has no call for that. Its number is the host's, so it is ended only
/// where it is seen to belong to the container: an engine in a namespace of its own counts differently.
async fn end(engine: &Engine, exec: &str) {
    let Ok(state) = engine.ask("look at", "a command", PATIENCE, engine.client.inspect_exec(exec)).await else {
        return;
    };
    let (Some(true), Some(container)) = (state.running, state.container_id.filter(|id| !id.is_empty())) else { return };
    let Some(pid) = state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 1) else { return };
    let group = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    if group.contains(&container) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
