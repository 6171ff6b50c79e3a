use super::{Context, units};
use crate::client::Client;
use crate::engine;
use crate::errors::{Failure, failed};
use crate::layout::{DEFAULT_ROOT, Layout};
use deploy::status::Status;
use deploy::{Ending, Scope};
use machine::docker::DEFAULT_HOST;
use machine::facts::{self, Host};
use std::path::Path;

/// One thing that this machine needs.
struct Need {
    what: &'static str,
    verdict: Result<String, String>,
    fix: String,
}

pub async fn run(context: &Context) -> Result<u8, Failure> {
    let layout = &context.layout;
    let folder = layout.root.ancestors().find(|path| path.exists()).unwrap_or(std::path::Path::new("/"));
    // The agent's engine is the one that counts, whatever this shell has chosen.
    let (engine, choice) = match engine::of(layout).await {
        Ok(host) => {
            let elsewhere = engine::refuse_elsewhere(&host).err();
            (host, elsewhere)
        }
        Err(refused) => (engine::remembered(layout).unwrap_or_else(|| DEFAULT_HOST.to_owned()), Some(refused)),
    };
    let host = facts::collect(&engine::On(engine.clone()), folder).await.map_err(failed("look at this machine"))?;
    let mut needs = needs(&host, &engine);
    needs.extend(choice.map(|refused| Need {
        what: "Docker's choice",
        verdict: Err(refused.message),
        fix: refused.hint.unwrap_or_default(),
    }));
    needs.extend(rights(layout, folder));
    needs.push(supervision(layout, host.systemd).await);
    needs.extend(writers(context).await);
    if context.global.json {
        println!("{}", crate::show::json(&host));
    } else {
        let found = super::absolute(&context.global.dir).ok();
        let line = match &found {
            Some(dir) => super::compose_project::line(dir, &engine).await,
            None => None,
        };
        let found = line.map(|line| Need { what: "Compose project", verdict: Ok(line), fix: String::new() });
        for need in needs.iter().chain(&found) {
            match &need.verdict {
                Ok(found) => println!("ok    {:<16} {found}", need.what),
                Err(found) => println!("FAIL  {:<16} {found}\n      {:<16} {}", need.what, "", need.fix),
            }
        }
    }
    let bad = needs.iter().any(|need| need.verdict.is_err());
    Ok(if bad { Ending::Failed.exit_code() } else { 0 })
}

/// Who else writes to the data of what runs here, where there is an agent that knows.
async fn writers(context: &Context) -> Vec<Need> {
    let client = Client::new(&context.layout.agent_socket());
    if !client.answers().await {
        return Vec::new();
    }
    let Ok(status) = client.post::<Status>("/v1/status", &None::<Scope>).await else { return Vec::new() };
    let found = status.platforms.iter().flat_map(|platform| &platform.intruders);
    let found = found.map(|intruder| Need {
        what: "intruder",
        verdict: if intruder.runs { Err(intruder.text()) } else { Ok(intruder.text()) },
        fix: "remove that container; `mainstay up` runs this stack now, and a reader mounts data with `:ro`".into(),
    });
    found.collect()
}

/// What a user who is not root may do is not enough for `up`, even one who may use Docker.
fn rights(layout: &Layout, folder: &Path) -> Option<Need> {
    if nix::unistd::geteuid().is_root() {
        return None;
    }
    let is_writable = nix::unistd::access(folder, nix::unistd::AccessFlags::W_OK).is_ok();
    let is_usual = layout.root == Path::new(DEFAULT_ROOT);
    let root = layout.root.display();
    let verdict = match is_writable && !is_usual {
        true => Ok(format!("{root} is this user's; ports below 1024 and a start at boot need root")),
        false => Err(format!("`up` needs root: for {root}, for systemd's units and for ports below 1024")),
    };
    let fix = "sudo mainstay up, or a state folder of your own (--root) and ports from 1024 on".into();
    Some(Need { what: "rights", verdict, fix })
}

/// Who starts agent and edge, and whether they come back after a reboot.
async fn supervision(layout: &Layout, has_systemd: bool) -> Need {
    let verdict = match (has_systemd, layout.is_in_use()) {
        (false, _) => Ok("Mainstay's own (no systemd here)".into()),
        (true, false) => Ok("systemd".into()),
        (true, true) => match units::faults(layout).await.as_slice() {
            [] => Ok("systemd".into()),
            faults => Err(faults.join("; ")),
        },
    };
    let fix =
        "`mainstay up` as root puts program and units right; after `mainstay stop`, where its own supervisor runs";
    Need { what: "supervision", verdict, fix: fix.into() }
}

/// Where the engine does not answer, why not.
fn unreachable(engine: &str) -> (String, String) {
    let socket = engine.strip_prefix("unix://").or((!engine.contains("://")).then_some(engine)).map(Path::new);
    let Some(socket) = socket else {
        return (format!("none answers at {engine}"), "start it, or choose the engine of this machine".into());
    };
    match std::os::unix::net::UnixStream::connect(socket) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            (format!("this user may not use {}", socket.display()), "sudo mainstay doctor".into())
        }
        _ => (format!("none answers at {engine}"), "apt-get install docker.io && systemctl start docker".into()),
    }
}

fn needs(host: &Host, engine: &str) -> Vec<Need> {
    let (why, fix) = unreachable(engine);
    let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let disk = match host.disk_free {
        free if free >= 5_000_000_000 => Ok(format!("{} free", gigabytes(free))),
        free => Err(format!("only {} free, 5 GB are needed", gigabytes(free))),
    };
    vec![
        Need {
            what: "Docker Engine",
            verdict: host.docker.as_ref().map(|v| format!("{} (API {}) at {engine}", v.engine, v.api)).ok_or(why),
            fix,
        },
        Need {
            what: "Docker Compose",
            verdict: host.compose.clone().ok_or("version 2 is not installed".into()),
            fix: "apt-get install docker-compose-plugin (Docker's repository) or docker-compose-v2 (Ubuntu)".into(),
        },
        Need { what: "disk", verdict: disk, fix: "free some space, or move Docker's data folder".into() },
        Need {
            what: "size",
            verdict: Ok(format!("{} cores, {} memory", host.cpus, gigabytes(host.memory))),
            fix: String::new(),
        },
    ]
}
