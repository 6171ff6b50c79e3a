use super::Context;
use crate::client::Client;
use crate::errors::{Failure, failed};
use deploy::status::Status;
use deploy::{Ending, Scope};
use machine::facts::{self, Host};
use machine::process::SystemProcesses;

/// One thing that this machine needs.
struct Need {
    what: &'static str,
    verdict: Result<String, String>,
    fix: &'static str,
}

pub async fn run(context: &Context) -> Result<u8, Failure> {
    let folder = context.layout.root.ancestors().find(|path| path.exists()).unwrap_or(std::path::Path::new("/"));
    let host = facts::collect(&SystemProcesses, folder).await.map_err(failed("look at this machine"))?;
    let mut needs = needs(&host);
    needs.extend(writers(context).await);
    if context.global.json {
        println!("{}", crate::show::json(&host));
    } else {
        let found = super::absolute(&context.global.dir).ok();
        let line = match &found {
            Some(dir) => super::compose_project::line(dir).await,
            None => None,
        };
        let found = line.map(|line| Need { what: "Compose project", verdict: Ok(line), fix: "" });
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
        fix: "remove that container; `mainstay up` runs this stack now, and a reader mounts data with `:ro`",
    });
    found.collect()
}

fn needs(host: &Host) -> Vec<Need> {
    let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let disk = match host.disk_free {
        free if free >= 5_000_000_000 => Ok(format!("{} free", gigabytes(free))),
        free => Err(format!("only {} free, 5 GB are needed", gigabytes(free))),
    };
    vec![
        Need {
            what: "Docker Engine",
            verdict: host
                .docker
                .as_ref()
                .map(|v| format!("{} (API {})", v.engine, v.api))
                .ok_or("it does not answer".into()),
            fix: "apt-get install docker.io && systemctl start docker",
        },
        Need {
            what: "Docker Compose",
            verdict: host.compose.clone().ok_or("version 2 is not installed".into()),
            fix: "apt-get install docker-compose-plugin (Docker's repository) or docker-compose-v2 (Ubuntu)",
        },
        Need { what: "disk", verdict: disk, fix: "free some space, or move Docker's data folder" },
        Need {
            what: "supervision",
            verdict: Ok(if host.systemd { "systemd".into() } else { "Mainstay's own (no systemd here)".into() }),
            fix: "",
        },
        Need { what: "size", verdict: Ok(format!("{} cores, {} memory", host.cpus, gigabytes(host.memory))), fix: "" },
    ]
}
