//! A program that outlives us: started in a session of its own, writing to a log file.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::{Command, ProcessError, lines, system};

/// A program that cannot even start says so within this time.
const FIRST_MOMENTS: Duration = Duration::from_millis(100);

/// Starts it for good and returns its process id; an error when it ends at once.
///
/// `setsid` of util-linux opens the session and then becomes the program, so the id stays the same.
/// Doing that in our own process between fork and exec would need unsafe code.
pub async fn spawn_detached(command: &Command, log: &Path) -> Result<u32, ProcessError> {
    let (stdout, stderr) = log_file(&command.program, log)?;
    if command.program.contains('/') && !Path::new(&command.program).is_file() {
        return Err(ProcessError::NoProgram { program: command.program.clone() });
    }
    let mut words = command.clone();
    words.args.insert(0, std::mem::replace(&mut words.program, "setsid".to_owned()));
    let mut child = system::spawn(&words, |real| {
        real.kill_on_drop(false).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    })?;
    let pid = child.id().unwrap_or_default();
    match tokio::time::timeout(FIRST_MOMENTS, child.wait()).await {
        Err(_still_running) => Ok(pid),
        Ok(Ok(status)) if status.success() => Ok(pid),
        Ok(Ok(status)) => Err(ProcessError::Failed {
            command: command.to_string(),
            status: system::number(status),
            last_lines: lines::last_of(&std::fs::read(log).unwrap_or_default()),
        }),
        Ok(Err(source)) => Err(ProcessError::Io { command: command.to_string(), source }),
    }
}

/// Both outputs appended to one file that only its owner and group read.
pub(super) fn log_file(program: &str, path: &Path) -> Result<(Stdio, Stdio), ProcessError> {
    let failed = |source| ProcessError::Start { program: program.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o640).open(path).map_err(failed)?;
    let second = file.try_clone().map_err(failed)?;
    Ok((file.into(), second.into()))
}
