//! The same change made by Docker Compose alone, for comparison.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use super::lab::{self, Lab};
use super::row::Row;
use super::verbs::{milliseconds, runs};
use super::{images, start};
use crate::{Outcome, run};

/// Our deploy starts beside the old release and proves the new one healthy first; Compose stops the old one and goes on.
/// What is measured for both is the command until traffic is on the new release, less the application's own start.
pub(crate) fn switch(lab: &mut Lab) -> Outcome<Vec<Row>> {
    lab.bring_up()?;
    lab.deploy_well("one")?;
    let mut own = Vec::new();
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    let peer = Peer::start(lab)?;
    for round in 0..runs(lab, 7) {
        let release = if round % 2 == 0 { "two" } else { "one" };
        let alone = milliseconds(start::own_time(lab)?);
        own.push(alone);
        ours.push(milliseconds(lab.time_to_traffic(&mut lab.deploy(release), release)?) - alone);
        let log = lab.path("compose.log");
        let time = lab::time_to_traffic(&mut peer.up(release), peer.address, release, &log)?;
        theirs.push(milliseconds(time) - alone);
    }
    Ok(vec![
        Row::of("the application's own start", "ms", &own),
        Row::of("deploy: command to traffic, less the own start", "ms", &ours).at_most(SWITCH_MS),
        Row::of("docker compose up -d --wait: the same", "ms", &theirs),
    ])
}

/// Two health checks are in it, since one success proves little.
const SWITCH_MS: f64 = 1000.0;

/// The bench platform's own compose file, run by Compose under another name with a published port.
struct Peer {
    folder: std::path::PathBuf,
    address: SocketAddr,
}

impl Peer {
    fn start(lab: &Lab) -> Outcome<Peer> {
        let port = lab.address().port() + 2;
        let peer = Peer { folder: lab.path("peer"), address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) };
        lab::copy_platform(&peer.folder, &[("@PORT@", &port.to_string())])?;
        let publish = format!("services:\n  {}:\n    ports: ['127.0.0.1:{port}:{}']\n", lab::SERVICE, images::PORT);
        lab::write(&peer.folder.join("publish.yaml"), &publish)?;
        run::output(&mut peer.up("one"))?;
        lab::wait_for_release(peer.address, "one")?;
        Ok(peer)
    }

    fn up(&self, release: &str) -> Command {
        let mut command = self.compose();
        command.env("APP_IMAGE", images::name(release)).args(["up", "-d", "--wait", "--no-build"]);
        command
    }

    fn compose(&self) -> Command {
        let mut command = run::program("docker");
        command.current_dir(&self.folder).args(["compose", "-p"]);
        command.arg(format!("{}-peer", lab::PROJECT)).args(["-f", "compose.yaml", "-f", "publish.yaml"]);
        command
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let down = run::finish(self.compose().args(["down", "--timeout", "1"]));
        if let Err(error) = down {
            eprintln!("xtask: the peer was left behind: {}", crate::error::chain(&error));
        }
    }
}
