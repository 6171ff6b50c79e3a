//! Agent and edge as units of systemd, and the program that the units start.
//!
//! The program lies under the state folder: a copy of the one that was called, or a link to it where a package or a person
//! has put it among the system's own. A clone can be built anew, moved or cleared away; what root starts at boot stays.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use machine::docker::DEFAULT_HOST;
use machine::files::{self, Lock, Root};
use machine::process::{Command, Processes, SystemProcesses};
use machine::systemd::{self, Unit};

use super::{binary, binary_stamp, stamp_of};
use crate::errors::{Failure, failed};
use crate::layout::{Layout, SUPERVISOR_LOCK};

/// Programs in these folders are there to stay, and only root writes them.
const SYSTEM_FOLDERS: [&str; 5] = ["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/bin"];
/// The program of this very process, even when its file has been replaced.
const OURSELVES: &str = "/proc/self/exe";
/// In the order in which they are started.
pub const PROCESSES: [&str; 2] = ["edge", "agent"];

/// Whether systemd is to start agent and edge. Who may not write units has our own supervisor.
pub fn are_used() -> bool {
    systemd::detect() && nix::unistd::geteuid().is_root()
}

/// The same, for an installation that runs: one that our own supervisor has stays with it.
pub fn are_in_charge(layout: &Layout) -> Result<bool, Failure> {
    Ok(are_used() && !has_supervisor(layout)?)
}

fn has_supervisor(layout: &Layout) -> Result<bool, Failure> {
    let root = Root::open(&layout.root).map_err(failed("open the state folder"))?;
    let lock = root.lock(SUPERVISOR_LOCK).map_err(failed("look at a lock"))?;
    Ok(matches!(lock, Lock::Held { .. }))
}

/// Starts both, now and at every boot.
pub async fn start(layout: &Layout, host: &str) -> Result<(), Failure> {
    write(layout, host).await?;
    carry_out(systemd::daemon_reload()).await?;
    for process in PROCESSES {
        carry_out(systemd::enable_now(&layout.unit(process))).await?;
    }
    Ok(())
}

/// Makes program and units what this program would make them; what runs goes on.
pub async fn settle(layout: &Layout, host: &str) -> Result<(), Failure> {
    if !write(layout, host).await? {
        return Ok(());
    }
    carry_out(systemd::daemon_reload()).await?;
    for process in PROCESSES {
        carry_out(systemd::enable(&layout.unit(process))).await?;
    }
    Ok(())
}

/// Ends both for good.
pub async fn stop(layout: &Layout) -> Result<(), Failure> {
    for process in PROCESSES.iter().rev() {
        let unit = layout.unit(process);
        if Path::new(systemd::UNIT_FOLDER).join(format!("{unit}.service")).exists() {
            SystemProcesses.run(&systemd::disable_now(&unit)).await.map_err(failed("run systemctl"))?;
        }
    }
    Ok(())
}

/// What keeps the platforms from coming back after a reboot.
pub async fn faults(layout: &Layout) -> Vec<String> {
    let mut faults = Vec::new();
    for process in PROCESSES {
        let unit = layout.unit(process);
        let file = Path::new(systemd::UNIT_FOLDER).join(format!("{unit}.service"));
        let Ok(text) = std::fs::read_to_string(&file) else {
            faults.push(format!("no unit starts the {process} of {} at boot", layout.root.display()));
            continue;
        };
        match systemd::program_of(&text) {
            Some(program) if is_program(Path::new(&program)) => {}
            program => {
                let program = program.unwrap_or_default();
                faults.push(format!("{unit}.service starts {program}, which is gone or no program"));
                continue;
            }
        }
        let enabled = SystemProcesses.run(&systemd::is_enabled(&unit)).await;
        if !enabled.is_ok_and(|output| output.status == 0) {
            faults.push(format!("{unit}.service is not enabled, so nothing starts it at boot"));
        }
    }
    if has_supervisor(layout).unwrap_or(false) {
        faults.push("Mainstay's own supervisor runs agent and edge, and nothing starts it at boot".into());
    }
    faults
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

async fn carry_out(command: Command) -> Result<(), Failure> {
    let output = SystemProcesses.run(&command).await.map_err(failed("run systemctl"))?;
    output.ok(&command).map(drop).map_err(failed("start a systemd unit"))
}

/// Puts program and units where they belong; whether a unit is another than before.
async fn write(layout: &Layout, host: &str) -> Result<bool, Failure> {
    let program = install(layout).await?;
    let folder = Root::open(systemd::UNIT_FOLDER).map_err(failed("open the folder of systemd's units"))?;
    let mut changed = false;
    for process in PROCESSES {
        let unit = unit(layout, &program, process, host);
        let before = folder.read(unit.file_name()).map_err(failed("read a systemd unit"))?;
        if before.as_deref() != Some(unit.render().as_bytes()) {
            unit.save(&folder).map_err(failed("write a systemd unit"))?;
            changed = true;
        }
    }
    Ok(changed)
}

/// Where this program lies to stay. Where nothing may be started from the state folder, it is started from where it is.
async fn install(layout: &Layout) -> Result<PathBuf, Failure> {
    let (own, program) = (binary()?, layout.program());
    if stamp_of(&program) == Some(binary_stamp()) && is_where_it_belongs(&own, &program) {
        return Ok(program);
    }
    let failed = failed("put this program where units start it");
    match is_of_system(&own) {
        true => files::link(&own, &program).map_err(failed)?,
        false => files::install(Path::new(OURSELVES), &program).map_err(failed)?,
    }
    let asked = SystemProcesses.run(&Command::new(program.display().to_string()).arg("--version")).await;
    match asked {
        Ok(output) if output.status == 0 => Ok(program),
        _ => {
            eprintln!(
                "warning: {} cannot be started (is its disk mounted with `noexec`?); units start {} instead, which has to stay where it is",
                program.display(),
                own.display()
            );
            Ok(own)
        }
    }
}

/// A program of the system is linked, so that a package's upgrade is one; any other is copied.
fn is_where_it_belongs(own: &Path, program: &Path) -> bool {
    let is_link = program.symlink_metadata().is_ok_and(|data| data.is_symlink());
    let leads_to_own = program.canonicalize().is_ok_and(|program| program == own);
    if is_of_system(own) { leads_to_own } else { !is_link }
}

fn is_of_system(own: &Path) -> bool {
    let folder = own.parent().unwrap_or(Path::new("/"));
    SYSTEM_FOLDERS.iter().any(|system| folder == Path::new(system))
}

fn unit(layout: &Layout, binary: &Path, name: &str, host: &str) -> Unit {
    let root = layout.root.display().to_string();
    Unit {
        name: layout.unit(name),
        description: match name {
            "edge" => "Mainstay edge: the platform's public ports".into(),
            _ => "Mainstay agent: deploys, schedules, recovery".into(),
        },
        exec: vec![binary.display().to_string(), name.into(), "--root".into(), root.clone()],
        after: vec!["network-online.target".into(), "docker.service".into()],
        env: match host {
            DEFAULT_HOST => vec![],
            host => vec![("DOCKER_HOST".into(), host.into())],
        },
        writable: vec![root],
        extra: match name {
            // The successor of an upgrade says itself that it is the service now.
            // Should that one die, the one before it may still be finishing; it must not keep the service from starting.
            "edge" => {
                vec!["NotifyAccess=all".into(), "ExecReload=/bin/kill -USR2 $MAINPID".into(), "KillMode=process".into()]
            }
            _ => vec![],
        },
        ..Unit::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_starts_the_program_of_its_state_folder_and_has_its_name() {
        let usual = Layout::new(Path::new(crate::layout::DEFAULT_ROOT));
        let text = unit(&usual, &usual.program(), "agent", DEFAULT_HOST);
        assert_eq!(text.file_name(), "mainstay-agent.service");
        assert!(text.render().contains("ExecStart=/var/lib/mainstay/bin/mainstay agent --root /var/lib/mainstay\n"));
        assert!(!text.render().contains("DOCKER_HOST"));
        let other = Layout::new(Path::new("/srv/state"));
        let text = unit(&other, &other.program(), "edge", "unix:///run/user/1000/docker.sock");
        assert_eq!(text.file_name(), "mainstay-edge-srv-state.service");
        assert!(text.render().contains("ExecStart=/srv/state/bin/mainstay edge --root /srv/state\n"));
        assert!(text.render().contains("Environment=DOCKER_HOST=unix:///run/user/1000/docker.sock\n"));
    }

    #[test]
    fn only_programs_of_the_system_are_linked() {
        assert!(is_of_system(Path::new("/usr/local/bin/mainstay")));
        assert!(!is_of_system(Path::new("/root/mainstay/target/release/mainstay")));
        assert!(!is_of_system(Path::new("/usr/local/bin/sub/mainstay")));
        assert!(!is_of_system(Path::new("/tmp/try/mainstay")));
    }

    #[tokio::test]
    async fn the_program_is_put_under_the_state_folder_and_is_known_for_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        // The test program knows no `--version`, so it counts as one that cannot be started from there.
        let own = install(&layout).await.unwrap();
        assert_eq!(own, binary().unwrap());
        assert_eq!(stamp_of(&layout.program()), Some(binary_stamp()));
        assert!(is_program(&layout.program()));
    }
}
