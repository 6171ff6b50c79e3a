//! Data is safe whatever is done to a platform: random platforms, random sequences of what people do, and writers in
//! the containers whose own logs the judge reads.
//!
//! What holds for every place that data lies in: never more writers at once than plain Compose would run, nothing
//! acknowledged is lost, nobody is killed before it could save, and what is refused changes nothing.
//! `./x data` runs many; a failure tells the seed and the sequence, and `./x data --seed N --only K` runs it again.

mod drive;
mod judge;
mod look;
mod platform;
mod random;
mod report;
mod signals;
mod steps;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use drive::{Sequence, System};
use judge::{Breach, Rule};
use platform::{Files, Health, Kind, Mount, Service, Way};
use random::Random;
use report::Report;
use steps::{Action, Step};

use super::place::{Place, block_on};

/// Steps of a sequence, beside the first `up` and the last `down` and `up`.
const STEPS: usize = 8;
/// How many run at a time.
const AT_ONCE: usize = 2;

#[test]
fn real_data_random_sequences_lose_nothing_and_never_write_twice() {
    many(Report::new("Mainstay"), System::Mainstay, number("MAINSTAY_DATA_SEQUENCES").unwrap_or(4));
}

/// The control: what the judge asks for is what plain Compose does with the same files.
#[test]
fn real_data_plain_compose_passes_the_same_judge() {
    many(Report::new("plain Compose (control)"), System::Compose, number("MAINSTAY_DATA_CONTROL").unwrap_or(2));
}

#[test]
fn real_data_a_service_with_a_shared_volume_is_renamed() {
    let mut files = base("rename", vec![Kind::Named], 2);
    for service in &mut files.services {
        // Long enough to be met by whoever comes before it has saved.
        (service.mounts, service.save_ms) = (vec![mount(0, Way::Direct)], 2000);
    }
    directed(files, &[Action::Up, Action::Rename]);
}

#[test]
fn real_data_a_web_service_on_a_folder_is_deployed() {
    let mut files = base("folder", vec![Kind::Folder], 1);
    files.services[0].mounts = vec![mount(0, Way::Direct)];
    directed(files, &[Action::Up, Action::Deploy, Action::Rollback]);
}

#[test]
fn real_data_a_folder_is_reached_in_every_way_there_is() {
    let mut files = base("ways", vec![Kind::Folder], 4);
    for (service, way) in files.services.iter_mut().zip([Way::Direct, Way::Parent, Way::Link, Way::Driver]) {
        service.mounts = vec![mount(0, way)];
    }
    directed(files, &[Action::Up, Action::Deploy, Action::Rename, Action::Remove, Action::ReAdd]);
}

#[test]
fn real_data_an_unnamed_volume_is_carried_from_release_to_release() {
    let mut files = base("unnamed", Vec::new(), 1);
    files.services[0].has_anonymous = true;
    files.services[0].has_image_volume = true;
    directed(files, &[Action::Up, Action::Deploy, Action::DeployImage, Action::Restart, Action::Down, Action::Up]);
}

#[test]
fn real_data_a_place_of_another_environment_is_refused() {
    let mut files = base("environments", vec![Kind::Fixed], 1);
    files.services[0].mounts = vec![mount(0, Way::Direct)];
    files.environments = 2;
    let step = |action, environment| Step { action, environment, choices: [0, 0], crash: None };
    verdict(files, &[step(Action::Up, 0), step(Action::Up, 1)]);
}

#[test]
fn real_data_a_long_save_ends_before_the_container_does() {
    let mut files = base("save", vec![Kind::Named], 1);
    files.services[0] =
        Service { save_ms: 2000, long_grace: true, mounts: vec![mount(0, Way::Direct)], ..files.services[0].clone() };
    directed(files, &[Action::Up, Action::Deploy, Action::Restart, Action::Down, Action::Up, Action::Stop, Action::Up]);
}

/// The file is empty when its writer first comes, and what is in it later looks like no database.
#[test]
fn real_data_a_single_file_stays_data_whatever_is_written_to_it() {
    let mut files = base("file", vec![Kind::SingleFile], 3);
    for service in &mut files.services {
        service.save_ms = 1000;
    }
    files.services[0].mounts = vec![mount(0, Way::Direct)];
    directed(files, &[Action::Up, Action::Deploy, Action::DeployImage, Action::Rename, Action::Move, Action::Rollback]);
}

#[test]
fn real_data_a_single_file_of_another_environment_is_refused() {
    let mut files = base("file2", vec![Kind::SingleFile], 1);
    files.services[0].mounts = vec![mount(0, Way::Direct)];
    files.environments = 2;
    let step = |action, environment| Step { action, environment, choices: [0, 0], crash: None };
    verdict(files, &[step(Action::Up, 0), step(Action::Deploy, 0), step(Action::Up, 1)]);
}

/// Without a port its end with 0 looks as if it had done its work.
#[test]
fn real_data_a_service_without_a_port_that_was_stopped_by_hand_comes_back_with_up() {
    let mut files = base("still", vec![Kind::Named], 2);
    (files.services[0].health, files.services[0].mounts) = (Health::Stable, vec![mount(0, Way::Direct)]);
    (files.services[1].health, files.services[1].is_routed) = (Health::Docker, false);
    files.services[0].is_routed = false;
    let step = |action, first| Step { action, environment: 0, choices: [first, 0], crash: None };
    verdict(files, &[step(Action::Up, 0), step(Action::Stop, 0), step(Action::Stop, 0), step(Action::Up, 0)]);
}

#[test]
fn real_data_a_service_with_a_dead_container_is_scaled() {
    let files = base("dead", Vec::new(), 1);
    let step = |action, second| Step { action, environment: 0, choices: [0, second], crash: None };
    let steps = [
        step(Action::Up, 0),
        step(Action::Kill, 0),
        step(Action::Scale, 1),
        step(Action::Kill, 0),
        step(Action::Scale, 0),
        step(Action::Kill, 0),
        step(Action::Scale, 0),
        step(Action::Up, 0),
    ];
    verdict(files, &steps);
}

/// Docker goes on with a stop whose agent has died; a second signal would end the program before it has saved.
#[test]
fn real_data_a_stop_that_outlives_its_agent_is_not_made_twice() {
    let mut files = base("agent", vec![Kind::Named], 1);
    files.services[0] =
        Service { save_ms: 3000, long_grace: true, mounts: vec![mount(0, Way::Direct)], ..files.services[0].clone() };
    let step = |action, crash| Step { action, environment: 0, choices: [0, 0], crash };
    let mut steps = vec![step(Action::Up, None)];
    for (action, after_ms) in [(Action::Down, 1000), (Action::Deploy, 2000), (Action::Restart, 1500)] {
        steps.extend([step(action, Some(after_ms)), step(Action::Up, None)]);
    }
    verdict(files, &steps);
}

/// What the judge is there to find: two writers, on a real volume.
#[test]
fn real_data_the_judge_finds_two_real_writers() {
    let mut files = base("twice", vec![Kind::External], 1);
    files.services[0].mounts = vec![mount(0, Way::Direct)];
    let (volume, name, image) =
        (files.fixed_name(0), format!("{}-production-second", files.name), files.images[0][0].clone());
    let mut sequence = Sequence::new(System::Compose, place(&files.name), files);
    let up = Step { action: Action::Up, environment: 0, choices: [0, 0], crash: None };
    sequence.steps(&[up]).unwrap();
    let volume = format!("{volume}:/d0");
    super::place::docker(&[
        "run",
        "--detach",
        "--name",
        &name,
        "--volume",
        &volume,
        "--env",
        "SERVICE=s2",
        "--env",
        "WRITES=/d0",
        &image,
    ]);
    let found: Breach = sequence.steps(&[up]).unwrap_err();
    assert_eq!(found.rule, Rule::Writers, "{}", found.what);
}

fn mount(place: usize, way: Way) -> Mount {
    Mount { place, way, is_writable: true }
}

/// So many plain services behind HTTP health checks.
fn base(test: &str, places: Vec<Kind>, count: usize) -> Files {
    let service = |index: usize| Service {
        name: format!("s{}", index + 1),
        mounts: Vec::new(),
        health: Health::Http,
        has_image_volume: false,
        has_anonymous: false,
        replicas: 1,
        scaled: 0,
        long_grace: false,
        save_ms: 300,
        image: 0,
        version: 1,
        is_routed: index == 0,
    };
    Files {
        name: name(test),
        places,
        services: (0..count).map(service).collect(),
        removed: Vec::new(),
        environments: 1,
        ports: vec![testkit::free_port(), testkit::free_port()],
        images: images(),
    }
}

fn directed(files: Files, actions: &[Action]) {
    let step = |action: &Action| Step { action: *action, environment: 0, choices: [0, 0], crash: None };
    verdict(files, &actions.iter().map(step).collect::<Vec<_>>());
}

fn verdict(files: Files, steps: &[Step]) {
    let mut sequence = Sequence::new(System::Mainstay, place(&files.name), files);
    if let Err(breach) = sequence.run(steps) {
        panic!("{:?}: {}\n{}", breach.rule, breach.what, sequence.story());
    }
}

/// A name that no other platform has, here or in another test.
fn name(test: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("real-data-{test}-{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst))
}

fn place(name: &str) -> Place {
    let mut place = Place::new("data");
    place.name = name.to_owned();
    place
}

fn images() -> [[String; 2]; 2] {
    let volume = format!("/d{}", platform::IMAGE_VOLUME);
    let image = |build: &str, volume: Option<&str>| block_on(testkit::writer_image(build, volume));
    [[image("one", None), image("two", None)], [image("one", Some(&volume)), image("two", Some(&volume))]]
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Two at a time, until all have been run; then the verdict on them all.
fn many(report: Report, system: System, count: u64) {
    let (seed, only) = (number("MAINSTAY_DATA_SEED").unwrap_or(1), number("MAINSTAY_DATA_ONLY"));
    let sequences: Vec<u64> = only.map_or_else(|| (1..=count).collect(), |only| vec![only]);
    let (queue, report, images) = (Mutex::new(sequences.into_iter()), Mutex::new(report), images());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(sequence) = queue.lock().unwrap().next() else { return };
                    one(system, seed, sequence, &images, &report);
                }
            });
        }
    });
    report.into_inner().unwrap().end();
}

fn one(system: System, seed: u64, number: u64, images: &[[String; 2]; 2], report: &Mutex<Report>) {
    let mut random = Random::new(seed, number);
    let name = name(&format!("{number}"));
    let ports = vec![testkit::free_port(), testkit::free_port()];
    let files = Files::random(&mut random, &name, ports, images.clone());
    let steps = steps::random(&mut random, STEPS, files.environments);
    let mut sequence = Sequence::new(system, place(&name), files.clone());
    let mut broken = sequence.run(&steps).err();
    let mut story = sequence.story();
    if let Some(breach) = &mut broken {
        eprintln!("sequence {number} of seed {seed}: {:?}: {}", breach.rule, breach.what);
        if std::env::var_os("MAINSTAY_DATA_SHRINK").is_some() {
            shrink(system, &files, &steps, breach, &mut story);
        }
        story =
            format!("sequence {number} of seed {seed}; again with `./x data --seed {seed} --only {number}`\n{story}");
    }
    report.lock().unwrap().add(&sequence, broken.as_ref().map(|breach| (breach, story)));
}

/// Leaves out one step after the other, as long as the same rule is broken.
fn shrink(system: System, files: &Files, steps: &[Step], breach: &mut Breach, story: &mut String) {
    let mut steps = steps.to_vec();
    for index in (1..steps.len()).rev() {
        let mut fewer = steps.clone();
        fewer.remove(index);
        let files = Files { name: name("shrink"), ..files.clone() };
        let mut sequence = Sequence::new(system, place(&files.name), files);
        match sequence.run(&fewer) {
            Err(again) if again.rule == breach.rule => (steps, *story, *breach) = (fewer, sequence.story(), again),
            _ => {}
        }
    }
}
