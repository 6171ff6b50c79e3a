//! Every stop is a good stop: a program that needs its time to save has saved, whoever stopped it and why.
//!
//! At its stop signal the program works for `MAINSTAY_STOP_SECONDS` (3 when not set; `20` is the full matrix) and then
//! writes `saved`. Each test ends with `down`, after which every container that was started has saved, and none that
//! this platform has ever had was killed.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::crash::{end_agent, start_agent};
use super::place::{Place, Ran, lines, wait};

const LIMIT: Duration = Duration::from_secs(120);

/// How long the program takes to save.
fn needs() -> u64 {
    std::env::var("MAINSTAY_STOP_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// `SIGNAL` is the one it obeys; with `HOOK` it saves only what a hook has prepared; `BAD` crashes, `DEAF` is never healthy.
const PROGRAM: &str = r#"
[ -z "$BAD" ] || exit 3
echo "$WORD" >> "/data/$HOSTNAME.started"
save() {
  sleep "$NEEDS"
  [ -z "$HOOK" ] || [ -e /tmp/hook ] || exit 9
  echo "$WORD" >> "/data/$HOSTNAME.saved"
  exit 0
}
trap save "${SIGNAL:-TERM}"
[ -n "$DEAF" ] || touch /tmp/up
while true; do sleep 0.1; done
"#;

/// What a Compose service of the program has beside its environment: lines that are indented by four.
fn service(name: &str, environment: &str, more: &str) -> String {
    format!(
        "  {name}:\n    image: debian:bookworm-slim\n    command: [bash, /app/run.sh]\n    stop_grace_period: 1m\n    volumes: [\"./left:/data\", \"./app:/app:ro\"]\n    healthcheck: {{test: [CMD, test, -e, /tmp/up], interval: 1s, timeout: 5s, retries: 60}}\n    environment: {{NEEDS: \"{}\", {environment}}}\n{more}",
        needs()
    )
}

/// A program that is nobody's concern, so that the platform is never empty.
fn bystander() -> String {
    "  idle:\n    image: debian:bookworm-slim\n    init: true\n    command: [sleep, infinity]\n".to_owned()
}

/// A platform of such programs, and what Docker tells of their ends.
struct Stops {
    place: Place,
    deaths: Deaths,
}

/// `docker events` as they come: a removed container cannot be asked any more how it ended.
struct Deaths {
    watch: Child,
    file: PathBuf,
}

impl Deaths {
    fn of(place: &Place) -> Deaths {
        let file = place.dir().join("deaths.txt");
        let label = place.label();
        let words = ["events", "--filter", &label, "--filter", "event=die", "--format"];
        let watch = place
            .docker_command()
            .args(words)
            .arg("{{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}")
            .stdout(std::fs::File::create(&file).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Deaths { watch, file }
    }

    fn all(&self) -> Vec<String> {
        lines(&std::fs::read_to_string(&self.file).unwrap())
    }
}

impl Drop for Deaths {
    fn drop(&mut self) {
        let _ = self.watch.kill();
        let _ = self.watch.wait();
    }
}

impl Stops {
    /// With these keys of services in the platform file, each line indented by two.
    fn new(test: &str, services: &str) -> Stops {
        let place = Place::new(&format!("stops{test}"));
        for folder in ["left", "app"] {
            std::fs::create_dir(place.dir().join(folder)).unwrap();
        }
        place.write("app/run.sh", PROGRAM);
        let (name, port) = (&place.name, place.port);
        let text = format!(
            "version: 1\nplatform: {name}\nenvironments:\n  production:\n    edge: {{http: \"127.0.0.1:{port}\"}}\n  staging:\n    edge: {{http: \"127.0.0.1:{}\"}}\nservices:\n{services}",
            testkit::free_port()
        );
        place.write("mainstay.yaml", &text);
        let deaths = Deaths::of(&place);
        Stops { place, deaths }
    }

    fn compose(&self, services: &[String]) {
        self.place.write("compose.yaml", &format!("services:\n{}", services.concat()));
    }

    fn run(&self, words: &[&str]) -> Ran {
        self.place.run(words)
    }

    /// How often the program has begun, or has saved.
    fn count(&self, what: &str) -> usize {
        let files = std::fs::read_dir(self.place.dir().join("left")).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.extension().is_some_and(|extension| extension == what));
        files.map(|path| std::fs::read_to_string(path).unwrap().lines().count()).sum()
    }

    #[track_caller]
    fn saved(&self, times: usize) {
        assert_eq!(self.count("saved"), times, "how often it has saved; deaths: {:?}", self.deaths.all());
    }

    fn wait_for_saved(&self, times: usize) {
        wait("it to save", LIMIT, || match self.count("saved") {
            count if count == times => Ok(()),
            count => Err(format!("{count} of {times}; {:?}", self.deaths.all())),
        });
    }

    fn wait_for_started(&self, times: usize) {
        wait("it to start", LIMIT, || match self.count("started") {
            count if count >= times => Ok(()),
            count => Err(format!("{count} of {times}")),
        });
    }

    /// Takes everything away; whatever had started has saved, and none was killed.
    #[track_caller]
    fn end(&self) -> Ran {
        let ran = self.run(&["down", "--yes"]).done();
        self.ended();
        ran
    }

    #[track_caller]
    fn ended(&self) {
        assert_eq!(self.place.containers(), [], "everything is gone");
        assert_eq!(self.count("saved"), self.count("started"), "saved as often as started");
        let killed: Vec<String> = self.deaths.all().into_iter().filter(|death| death.ends_with(" 137")).collect();
        assert!(killed.is_empty(), "killed: {killed:?}");
    }

    /// Edge and agent are this test's own, so that it can kill them.
    fn under_own_processes(&mut self) {
        self.place.start("edge", None);
        start_agent(&mut self.place, None);
    }

    /// Begins a command and kills the agent as soon as this is there; another agent goes on.
    fn killed_when(&mut self, words: &[&str], is_there: impl Fn(&Stops) -> bool) -> Ran {
        let command = self.place.begin(words);
        wait("the right moment", LIMIT, || if is_there(self) { Ok(()) } else { Err("not yet".to_owned()) });
        end_agent(&mut self.place);
        start_agent(&mut self.place, None);
        Ran::of(command.wait_with_output().unwrap())
    }

    /// Whether a container of this name is being stopped: the program ignores nothing while it saves.
    fn is_saving(&self, container: &str) -> bool {
        self.place
            .try_docker(&["top", container, "-eo", "pid,args"])
            .is_ok_and(|text| text.contains(&format!("sleep {}", needs())))
    }
}

#[test]
fn real_stop_by_restart_deploy_failed_deploy_rollback_and_removal_saves_each_time() {
    let stops = Stops::new("verbs", "  mc: {strategy: exclusive, health: {budget: 20s}}\n");
    let files = |environment: &str| stops.compose(&[service("mc", environment, ""), bystander()]);
    files("WORD: one");
    stops.run(&["up", "--yes"]).done();
    stops.run(&["restart", "mc", "--yes"]).done();
    stops.saved(1);
    files("WORD: two");
    stops.run(&["up", "--yes"]).done();
    stops.saved(2);
    files("WORD: three, BAD: yes");
    let ran = stops.run(&["up", "--yes"]).ended(3);
    ran.says("runs again (it was away for ");
    assert!(!ran.err.contains("traffic stayed"), "{}", ran.err);
    stops.saved(3);
    assert_eq!(stops.count("started"), 4, "the old one runs again");
    stops.run(&["rollback", "mc", "--yes"]).done();
    stops.saved(4);
    stops.compose(&[bystander()]);
    stops.place.write("mainstay.yaml", &mainstay_without_services(&stops));
    stops.run(&["up", "--yes"]).done();
    stops.saved(5);
    stops.end();
}

fn mainstay_without_services(stops: &Stops) -> String {
    let written = std::fs::read_to_string(stops.place.dir().join("mainstay.yaml")).unwrap();
    written.split("services:").next().unwrap().to_owned()
}

#[test]
fn real_down_of_another_environment_gives_the_signal_of_the_file_and_runs_the_hook_before() {
    let stops = Stops::new("down", "  mc: {strategy: exclusive, health: {budget: 20s}}\n");
    let hook = "    stop_signal: SIGUSR1\n    pre_stop:\n      - command: [sh, -c, 'echo prepared by $$(id -un) in $$(pwd) with $$WORD; touch /tmp/hook']\n        user: root\n        working_dir: /tmp\n        environment: {WORD: care}\n      - command: [sh, -c, 'exit 7']\n";
    stops.compose(&[service("mc", "WORD: one, SIGNAL: USR1, HOOK: yes", hook)]);
    stops.run(&["up", "-e", "staging", "--yes"]).done();
    let shown = stops.run(&["plan", "-e", "staging"]).done();
    assert!(!shown.out.contains("pre_stop"), "nothing differs: {}", shown.out);
    let ran = stops.run(&["down", "-e", "staging", "--yes"]).done();
    ran.says("pre_stop | prepared by root in /tmp with care").says("ended with code 7; the stop goes on");
    ran.says("it has 1 min to end").says("has ended after");
    stops.saved(1);
    stops.ended();
}

#[test]
fn real_another_hook_is_a_change_and_the_release_before_is_stopped_with_its_own() {
    let stops = Stops::new("hook", "  mc: {strategy: exclusive, health: {budget: 20s}}\n");
    let files = |word: &str| {
        let hook = format!("    pre_stop: [{{command: [sh, -c, 'echo {word}; touch /tmp/hook']}}]\n");
        stops.compose(&[service("mc", "WORD: one, HOOK: yes", &hook)]);
    };
    files("first");
    stops.run(&["up", "--yes"]).done();
    stops.run(&["up", "--yes"]).done().says("Nothing had to be changed");
    files("second");
    stops.run(&["up", "--yes"]).done().says("pre_stop | first");
    stops.run(&["restart", "mc", "--yes"]).done().says("pre_stop | second");
    stops.end().says("pre_stop | second");
    stops.saved(3);
}

#[test]
fn real_a_down_whose_agent_is_killed_in_the_middle_is_brought_to_its_end() {
    let mut stops = Stops::new("downkill", "  mc: {strategy: exclusive, health: {budget: 20s}}\n");
    let needing = "    depends_on: [store]\n";
    stops.compose(&[
        service("mc", "WORD: one", needing),
        service("store", "WORD: two, SIGNAL: INT", "    stop_signal: SIGINT\n"),
    ]);
    stops.under_own_processes();
    stops.run(&["up", "--yes"]).done();
    let mc = stops.place.containers().into_iter().find(|(name, _)| name.contains("-mc-")).unwrap().0;
    let began = Instant::now();
    stops.killed_when(&["down", "--yes"], |stops| stops.is_saving(&mc)).done();
    stops.ended();
    stops.saved(2);
    assert!(began.elapsed() < Duration::from_secs(60 + needs() * 2), "within the grace: {:?}", began.elapsed());
}

#[test]
fn real_scaling_down_and_down_of_three_copies_save_each_copy() {
    let stops = Stops::new("copies", "  mc: {strategy: drain-first, health: {budget: 30s}}\n");
    stops.compose(&[service("mc", "WORD: one", "    deploy: {replicas: 3}\n")]);
    stops.run(&["up", "--yes"]).done();
    stops.run(&["scale", "mc=1", "--yes"]).done();
    stops.saved(2);
    stops.run(&["scale", "mc=3", "--yes"]).done();
    stops.end();
    stops.saved(5);
}

#[test]
fn real_a_warm_release_that_expires_and_a_failed_one_that_is_pruned_have_saved() {
    let stops = Stops::new("warm", "  mc: {strategy: blue-green, shared_data: safe, health: {budget: 5s}, warm: 1s}\n");
    let files = |environment: &str| stops.compose(&[service("mc", environment, "")]);
    files("WORD: one");
    stops.run(&["up", "--yes"]).done();
    files("WORD: two");
    stops.run(&["up", "--yes"]).done();
    stops.wait_for_saved(1);
    files("WORD: three, DEAF: yes");
    stops.run(&["up", "--yes"]).ended(3).says("traffic stayed where it was");
    stops.saved(2);
    // Started again by hand, and so stopped by it: it is pruned only when it does not run.
    stops.run(&["prune", "--yes"]).done();
    stops.end();
    stops.saved(3);
}

#[test]
fn real_a_kept_database_that_is_named_and_one_that_was_renamed_by_hand_save() {
    let stops = Stops::new("keep", "  mc: {strategy: keep, health: {budget: 20s}}\n");
    let files = |environment: &str| stops.compose(&[service("mc", environment, "    stop_signal: SIGINT\n")]);
    files("WORD: one, SIGNAL: INT");
    stops.run(&["up", "--yes"]).done();
    files("WORD: two, SIGNAL: INT");
    stops.run(&["up", "--yes"]).done();
    stops.saved(0);
    stops.run(&["up", "--service", "mc", "--yes"]).done();
    stops.saved(1);
    let name = stops.place.containers()[0].0.clone();
    stops.place.docker(&["rename", &name, &format!("{}-renamed", stops.place.name)]);
    stops.end();
    stops.saved(2);
}

#[test]
fn real_a_deploy_that_is_given_up_in_the_health_gate_stops_the_new_release_well() {
    for (strategy, saved) in [("blue-green", 1), ("exclusive", 2)] {
        let name = format!("abort{}", strategy.len());
        let stops = Stops::new(
            &name,
            &format!("  mc: {{strategy: {strategy}, shared_data: safe, health: {{budget: 100s}}}}\n"),
        );
        stops.compose(&[service("mc", "WORD: one", "")]);
        stops.run(&["up", "--yes"]).done();
        stops.compose(&[service("mc", "WORD: two, DEAF: yes", "")]);
        let command = stops.place.begin(&["up", "--yes"]);
        stops.wait_for_started(2);
        kill(Pid::from_raw(i32::try_from(command.id()).unwrap()), Signal::SIGINT).unwrap();
        let ran = Ran::of(command.wait_with_output().unwrap());
        assert_eq!(ran.code, 3, "{ran:#?}");
        stops.saved(saved);
        stops.end();
    }
}

#[test]
fn real_an_agent_that_is_killed_while_it_stops_the_old_release_loses_nothing() {
    let mut stops = Stops::new("stopkill", "  mc: {strategy: exclusive, health: {budget: 20s}}\n");
    stops.compose(&[service("mc", "WORD: one", "")]);
    stops.under_own_processes();
    stops.run(&["up", "--yes"]).done();
    stops.compose(&[service("mc", "WORD: two", "")]);
    let old = stops.place.container("mc", "r1");
    stops.killed_when(&["up", "--yes"], |stops| stops.is_saving(&old)).done();
    stops.saved(1);
    stops.end();
    stops.saved(2);
}

#[test]
fn real_an_agent_that_is_killed_while_the_new_release_starts_undoes_it_well() {
    let mut stops = Stops::new("startkill", "  mc: {strategy: exclusive, health: {budget: 6s}}\n");
    stops.compose(&[service("mc", "WORD: one", "")]);
    stops.under_own_processes();
    stops.run(&["up", "--yes"]).done();
    stops.compose(&[service("mc", "WORD: two, DEAF: yes", "")]);
    let ran = stops.killed_when(&["up", "--yes"], |stops| stops.count("started") == 2);
    assert_eq!(ran.code, 3, "{ran:#?}");
    stops.saved(2);
    assert_eq!(stops.count("started"), 3, "the old one runs again");
    stops.end();
}

#[test]
fn real_an_undo_of_all_or_nothing_stops_what_had_switched_well() {
    let stops =
        Stops::new("together", "  mc: {strategy: exclusive, health: {budget: 20s}}\n  later: {strategy: exclusive}\n");
    let files = |word: &str, bad: &str| {
        let later = format!("    depends_on: [mc]\n    environment: {{WORD: {word}}}\n");
        let command = format!("  later:\n    image: debian:bookworm-slim\n    init: true\n    command: {bad}\n{later}");
        stops.compose(&[service("mc", &format!("WORD: {word}"), ""), command]);
    };
    files("one", "[sleep, infinity]");
    stops.run(&["up", "--yes"]).done();
    files("two", "[sh, -c, exit 3]");
    let ran = stops.run(&["up", "--all-or-nothing", "--yes"]);
    assert_eq!(ran.code, 3, "{ran:#?}");
    stops.saved(2);
    assert_eq!(stops.count("started"), 3, "the old one runs again");
    stops.end();
}

#[test]
fn real_a_migration_and_a_job_that_take_too_long_are_stopped_well() {
    let migrate = "  mc: {strategy: exclusive, health: {budget: 20s}, migrate: {command: [bash, /app/run.sh], kind: expand, timeout: 3s}}\n  seed: {strategy: job, job_timeout: 3s}\n";
    let stops = Stops::new("late", migrate);
    stops.compose(&[service("mc", "WORD: one", ""), service("seed", "WORD: job", "    restart: \"no\"\n")]);
    let ran = stops.run(&["up", "--service", "mc", "--yes"]);
    assert_ne!(ran.code, 0, "{ran:#?}");
    ran.says("it was stopped after 3 s");
    stops.saved(1);
    let ran = stops.run(&["up", "--service", "seed", "--yes"]);
    assert_ne!(ran.code, 0, "{ran:#?}");
    ran.says("the job has not ended within 3 s");
    stops.saved(2);
    stops.end();
}

#[test]
fn real_what_is_given_up_when_the_ledger_is_built_again_is_stopped_well() {
    let mut stops = Stops::new("rebuild", "  mc: {strategy: exclusive, health: {budget: 100s}}\n");
    stops.compose(&[service("mc", "WORD: one", "")]);
    stops.under_own_processes();
    stops.run(&["up", "--yes"]).done();
    stops.compose(&[service("mc", "WORD: two, DEAF: yes", "")]);
    let mut command = stops.place.begin(&["up", "--yes"]);
    stops.wait_for_started(2);
    end_agent(&mut stops.place);
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        let _ = std::fs::remove_file(stops.place.state().join(name));
    }
    start_agent(&mut stops.place, None);
    stops.wait_for_saved(2);
    let _ = command.kill();
    let _ = command.wait();
    stops.wait_for_started(3);
    stops.end();
}

#[test]
fn real_down_stops_a_service_before_what_it_depends_on() {
    let stops =
        Stops::new("order", "  ingest: {strategy: exclusive, health: {budget: 20s}}\n  store: {strategy: keep}\n");
    // Perl is in every Debian image: a listener that appends each line it is sent.
    stops.place.write(
        "app/store.pl",
        "use IO::Socket::INET; $SIG{TERM} = sub { exit 0 }; my $s = IO::Socket::INET->new(LocalPort => 7000, Listen => 5, ReuseAddr => 1) or die; while (1) { my $c = $s->accept or next; while (<$c>) { open my $f, '>>', '/data/events'; print $f $_; close $f } }\n",
    );
    stops.place.write(
        "app/ingest.sh",
        "flush() { sleep 2; for i in $(seq 50); do echo event $i; done > /dev/tcp/store/7000 || exit 8; exit 0; }\ntrap flush TERM\nwhile true; do sleep 0.1; done\n",
    );
    let ingest = "  ingest:\n    image: debian:bookworm-slim\n    command: [bash, /app/ingest.sh]\n    volumes: [\"./app:/app:ro\"]\n    stop_grace_period: 1m\n    depends_on: [store]\n";
    let store = "  store:\n    image: debian:bookworm-slim\n    command: [perl, /app/store.pl]\n    volumes: [\"./left:/data\", \"./app:/app:ro\"]\n    healthcheck: {test: [CMD, bash, -c, \"true > /dev/tcp/127.0.0.1/7000\"], interval: 1s}\n";
    let events = || {
        let text = std::fs::read_to_string(stops.place.dir().join("left/events")).unwrap_or_default();
        text.lines().count()
    };
    stops.compose(&[ingest.to_owned(), store.to_owned(), bystander()]);
    stops.run(&["up", "--yes"]).done();
    stops.run(&["down", "--yes"]).done();
    assert_eq!(events(), 50, "{:?}", stops.deaths.all());
    let deaths = stops.deaths.all();
    assert!(!deaths.iter().any(|death| death.ends_with(" 8") || death.ends_with(" 137")), "{deaths:?}");
}

#[test]
fn real_ctrl_c_of_down_stops_nothing_more_and_what_was_left_serves_again() {
    let stops = Stops::new("downabort", "  mc: {strategy: exclusive, health: {budget: 20s}}\n");
    stops.compose(&[service("mc", "WORD: one", "    depends_on: [store]\n"), service("store", "WORD: two", "")]);
    stops.run(&["up", "--yes"]).done();
    let mc = stops.place.containers().into_iter().find(|(name, _)| name.contains("-mc-")).unwrap().0;
    let down = stops.place.begin(&["down", "--yes"]);
    wait("the first stop", LIMIT, || if stops.is_saving(&mc) { Ok(()) } else { Err("not yet".to_owned()) });
    kill(Pid::from_raw(i32::try_from(down.id()).unwrap()), Signal::SIGINT).unwrap();
    let ran = Ran::of(down.wait_with_output().unwrap());
    assert_eq!(ran.code, 4, "{ran:#?}");
    ran.says("what was not stopped yet serves again");
    stops.saved(1);
    assert_eq!(stops.place.service("store")["state"], "running");
    stops.run(&["up", "--yes"]).done();
    assert_eq!(stops.count("started"), 3, "the database was never away, and there are not two");
    stops.end();
}
