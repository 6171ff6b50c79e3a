//! Programs that read the Docker socket and act on every running container with their labels or variables.
//!
//! Labels cannot change on a container. So a release that does not serve must not run while another does: a service
//! that such a program acts on is replaced stop-first, and so is a program that would act twice itself.

mod table;

use std::collections::BTreeMap;

use super::scene::Scene;
use crate::compose::{MountKind, Service};
use crate::ids::ServiceName;

use table::{PROGRAMS, Program, Reads};

/// The name of Traefik in [`super::Facts`]: its labels alone can also be routes of the edge.
const TRAEFIK: &str = "traefik";
const REGISTRATOR: &str = "registrator";

/// Images of programs that hand the socket on over TCP.
const SOCKET_PROXIES: &[&str] = &["docker-proxy", "docker-socket-proxy", "docker-socket-protector", "socket-proxy"];

/// A program that acts on a service, and the label or variable by which it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found<'s> {
    program: &'static Program,
    by: &'s str,
}

/// The program of this image, if it is one that reads the socket.
pub fn reader(image: &str) -> Option<&'static str> {
    program_of(super::known::image_word(image)).map(|program| program.name)
}

/// Whether a label or a variable of the service says something to this program.
pub fn speaks_to(service: &Service, reader: &str) -> bool {
    read_by(service).iter().any(|found| found.program.name == reader)
}

/// Whether a program on the socket acts on this variable. What a registrator reads has a meaning to many programs.
pub fn is_read_variable(name: &str) -> bool {
    PROGRAMS.iter().any(|program| program.name != REGISTRATOR && program.variables.contains(&name))
}

/// Whether this label is one that a program on the socket acts on.
pub fn is_read(label: &str, value: &str) -> bool {
    PROGRAMS.iter().any(|program| program.reads_label(label, value))
}

fn read_by(service: &Service) -> Vec<Found<'_>> {
    PROGRAMS.iter().filter_map(|program| found_by(service, program)).collect()
}

fn found_by<'s>(service: &'s Service, program: &'static Program) -> Option<Found<'s>> {
    if program.is_off(&service.labels) {
        return None;
    }
    let labels = service.labels.iter().filter(|(label, value)| program.reads_label(label, value));
    // The label that tells most comes first: a rule or a schedule rather than the switch beside it.
    let label = labels.map(|(label, _)| label.as_str()).min_by_key(|label| (is_switch(label), label.to_string()));
    let variable = || service.environment.iter().map(String::as_str).find(|name| program.variables.contains(name));
    label.or_else(variable).map(|by| Found { program, by })
}

fn is_switch(label: &str) -> bool {
    [".enable", ".enabled", ".watch", ".network"].iter().any(|end| label.ends_with(end))
}

/// What forces this service to be replaced stop-first. Traefik's labels are the edge's routes where no Traefik reads
/// them, and a registrator reads variables that many programs have.
pub(super) fn forcing<'s>(scene: &Scene<'_>, service: &'s Service) -> Vec<Found<'s>> {
    let only_with_its_reader = [TRAEFIK, REGISTRATOR];
    let counts = |found: &Found<'_>| {
        let name = found.program.name;
        !only_with_its_reader.contains(&name) || in_stack(scene, name) || scene.facts.readers.contains(name)
    };
    read_by(service).into_iter().filter(counts).collect()
}

/// Whether a Traefik of this stack makes routes of the labels, so that the edge makes none.
pub(super) fn traefik_in_stack(scene: &Scene<'_>) -> bool {
    in_stack(scene, TRAEFIK)
}

/// Whether a Traefik of this stack leads to the service.
pub(super) fn has_traefik(scene: &Scene<'_>, service: &Service) -> bool {
    traefik_in_stack(scene) && speaks_to(service, TRAEFIK)
}

fn in_stack(scene: &Scene<'_>, name: &str) -> bool {
    scene.active.iter().any(|(service, entry)| reads_as(scene, service, entry).is_some_and(|found| found.name == name))
}

/// The program that this service is, where it reaches the socket.
fn reads_as(scene: &Scene<'_>, name: &ServiceName, service: &Service) -> Option<&'static Program> {
    let image = service.image.as_deref().map(super::known::image_word);
    // An image that is built here without a name of its own is known by its service.
    let by_image = image.or_else(|| service.build.then_some(name.as_str())).and_then(program_of);
    let program = by_image.or_else(|| runs(service))?;
    reaches_socket(scene, service).then_some(program)
}

/// The program that the entrypoint or the command begins with.
fn runs(service: &Service) -> Option<&'static Program> {
    let words = service.entrypoint.first().into_iter().chain(service.command.first());
    words.map(|word| word.rsplit('/').next().unwrap_or(word)).find_map(|word| {
        let program = program_of(word)?;
        // Other images have commands of these names as well; Traefik's is seldom anything else.
        (program.name == TRAEFIK || program.name == "ofelia").then_some(program)
    })
}

fn program_of(word: &str) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| program.images.contains(&word))
}

fn reaches_socket(scene: &Scene<'_>, service: &Service) -> bool {
    let is_socket = |path: &str| path.ends_with("docker.sock");
    let mounts = service.volumes.iter().filter(|mount| mount.kind == MountKind::Bind).any(|mount| {
        let source = mount.source.as_deref().unwrap_or_default().trim_end_matches('/');
        is_socket(&mount.target) || is_socket(source) || matches!(source, "/var/run" | "/run")
    });
    let says = ["DOCKER_HOST", "TRAEFIK_PROVIDERS_DOCKER_ENDPOINT", "CADDY_DOCKER_SOCKETS"];
    let by_variable = service.environment.iter().any(|name| says.contains(&name.as_str()));
    let by_word = service.entrypoint.iter().chain(&service.command).any(|word| {
        let word = word.to_lowercase();
        word.starts_with("--providers.docker.endpoint") || word.contains("docker.sock")
    });
    let through_another = || {
        let image =
            |other: &Service| other.image.as_deref().map(super::known::image_word).unwrap_or_default().to_owned();
        scene.active.values().any(|other| SOCKET_PROXIES.contains(&image(other).as_str()))
    };
    mounts || by_variable || by_word || through_another()
}

/// Why two releases of this service must not run at once: what reads it, or what it reads itself.
pub(super) fn one_release(scene: &Scene<'_>, name: &ServiceName, service: &Service) -> Option<String> {
    let found = forcing(scene, service);
    found.first().map(Found::reason).or_else(|| acts_twice(scene, name, service))
}

/// Why two of this program would do everything twice.
pub(super) fn acts_twice(scene: &Scene<'_>, name: &ServiceName, service: &Service) -> Option<String> {
    let program = reads_as(scene, name, service)?;
    let twice = program.itself?;
    Some(format!("runs {} on the Docker socket: {twice}", program.shown))
}

/// Why nobody may write a strategy with two releases at once for this service.
pub(super) fn refuses_two(scene: &Scene<'_>, name: &ServiceName, service: &Service) -> Option<String> {
    let found = forcing(scene, service);
    let itself = || {
        // Two proxies serve the same; what acts would act twice.
        let program = reads_as(scene, name, service).filter(|program| program.reads != Reads::Serves)?;
        acts_twice(scene, name, service).filter(|_| program.itself.is_some())
    };
    found.first().map(Found::reason).or_else(itself)
}

/// What it costs that a release starts only when the one before it has exited; `None` where nothing on the socket is
/// the cause.
pub(super) fn cost(
    scene: &Scene<'_>,
    name: &ServiceName,
    service: &Service,
    has_port: bool,
    hold: std::time::Duration,
) -> Option<String> {
    let found = forcing(scene, service);
    let by: Vec<String> = found.iter().map(|found| format!("`{}`", found.by)).collect();
    let why = match by.is_empty() {
        false => by.join(", "),
        true => acts_twice(scene, name, service).map(|_| "the Docker socket".to_owned())?,
    };
    let proxies: Vec<&str> =
        found.iter().filter(|found| found.program.reads == Reads::Serves).map(|found| found.program.shown).collect();
    let through_proxy = match proxies.is_empty() {
        false => format!("; what {} sends fails meanwhile", proxies.join(" or ")),
        true => String::new(),
    };
    let meanwhile = match has_port {
        true => {
            let hold = crate::units::human_duration(hold);
            format!(" (requests through the edge wait up to {hold}{through_proxy})")
        }
        false => String::new(),
    };
    Some(format!(
        "{why}: the new release starts when the old one has exited, so `{name}` is away for as long as it takes to start{meanwhile}"
    ))
}

impl Found<'_> {
    fn reason(&self) -> String {
        let Program { shown, reads, .. } = self.program;
        let both = match reads {
            Reads::Serves => "two releases at once would both be served; it costs a short gap in which requests wait",
            Reads::Runs => "its jobs would run in two releases at once; it costs a short gap in which requests wait",
            Reads::Acts => "it would act on two releases at once; it costs a short gap in which requests wait",
            Reads::Shows => "two releases at once would both be taken in; it costs a short gap in which requests wait",
        };
        format!("carries `{}`, by which {shown} finds every running container: {both}", self.by)
    }
}

impl Program {
    fn reads_label(&self, label: &str, value: &str) -> bool {
        self.labels.iter().any(|pattern| matches(pattern, label, value))
    }

    fn is_off(&self, labels: &BTreeMap<String, String>) -> bool {
        let says = |(label, off): &(&str, &str)| {
            labels.get(*label).map(|value| value.trim().to_lowercase()).is_some_and(|value| match *off {
                "false" => matches!(value.as_str(), "false" | "0" | "f" | "no" | "off"),
                off => value == off,
            })
        };
        self.off.iter().any(says)
    }
}

/// `a.` stands for what begins with it, `a=b` for the label with that value, `a_*` for the label with a number,
/// and everything else for the label itself.
fn matches(pattern: &str, label: &str, value: &str) -> bool {
    if let Some((name, wanted)) = pattern.split_once('=') {
        return label == name && value == wanted;
    }
    if let Some(start) = pattern.strip_suffix('*') {
        return label.strip_prefix(start).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    }
    match pattern.ends_with(['.', '-', '/', '_']) {
        true => label.starts_with(pattern),
        false => label == pattern,
    }
}

#[cfg(test)]
mod tests;
