//! The judge reads what the writers of a place have written down, and says which rule was broken.
//!
//! A writer was there at least from its first line to its last one, whatever ended it. So two spans that overlap are
//! two writers at one time, and a killed writer, which leaves no `end`, needs no guess.

use std::collections::{BTreeMap, BTreeSet};

use super::platform::Allowed;
use super::signals::{Sent, Signal};

/// Which rule was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// More writers at once than plain Compose would run.
    Writers,
    /// Something that was written is not there any more.
    Lost,
    /// A writer was killed before it could save, or told to stop more than once.
    Killed,
    /// A refused command has changed something.
    Changed,
    /// Another environment may write to a place that has a writer.
    Shared,
    /// A volume is gone that nobody asked to remove.
    Removed,
    /// It went well, and a service does not run.
    Absent,
    /// An operation does not end, or needs a person.
    Stuck,
}

#[derive(Debug, Clone)]
pub struct Breach {
    pub rule: Rule,
    pub what: String,
}

pub fn breach(rule: Rule, what: String) -> Breach {
    Breach { rule, what }
}

/// One life of a program at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Life {
    id: String,
    service: String,
    version: String,
    from: u128,
    last: u128,
    has_saved: bool,
    has_ended: bool,
}

/// How many writers were allowed from when on.
#[derive(Default)]
pub struct Timeline(Vec<(u128, Allowed)>);

/// A command has just ended, and what it stopped has just written its last line.
const SLACK: u128 = 300_000_000;

impl Timeline {
    pub fn from(&mut self, when: u128, allowed: Allowed) {
        self.0.push((when, allowed));
    }

    /// The most of what was allowed within the slack.
    fn at(&self, when: u128, place: &str) -> usize {
        let count = |allowed: &Allowed| allowed.get(place).copied().unwrap_or(0);
        let begun = self.0.partition_point(|(from, _)| *from <= when);
        let recent = self.0.partition_point(|(from, _)| *from <= when.saturating_sub(SLACK));
        self.0[recent.saturating_sub(1)..begun].iter().map(|(_, allowed)| count(allowed)).max().unwrap_or(0)
    }
}

/// What is known beside the log.
pub struct Known<'a> {
    pub place: &'a str,
    pub timeline: &'a Timeline,
    /// Short ids of the containers that run, seen before the log was read.
    pub running: &'a BTreeSet<String>,
    /// Those that this test has killed by hand.
    pub killed: &'a BTreeSet<String>,
    /// Those that this test has stopped by hand, whatever else was stopping them then.
    pub stopped: &'a BTreeSet<String>,
    /// What the engine has sent them.
    pub sent: &'a Sent,
    /// How long each service may take to stop.
    pub graces: &'a BTreeMap<String, u128>,
}

/// What a log tells where no rule was broken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    pub lives: usize,
    /// Killed after the whole grace of their service: what a machine does that is too slow for its programs.
    pub slow: usize,
}

/// The engine writes a signal down a little later than it counts.
const GRACE_SLACK: u128 = 500_000_000;
const TERM: u32 = 15;
const KILL: u32 = 9;

/// The first breach in the log of one place.
pub fn hold(log: &str, known: &Known) -> Result<Held, Breach> {
    let lives = lives(log).map_err(|what| breach(Rule::Lost, format!("{}: {what}", known.place)))?;
    count_writers(&lives, known)?;
    let mut latest: BTreeMap<&str, &Life> = BTreeMap::new();
    for life in &lives {
        latest.insert(container(&life.id), life);
    }
    let mut held = Held { lives: lives.len(), slow: 0 };
    for (index, life) in lives.iter().enumerate() {
        let of = container(&life.id);
        let until =
            lives[index + 1..].iter().find(|next| container(&next.id) == of).map_or(u128::MAX, |next| next.from);
        let sent = known.sent.get(of).map(Vec::as_slice).unwrap_or_default();
        let sent: Vec<Signal> = sent.iter().filter(|one| life.from <= one.at && one.at < until).copied().collect();
        let stops = sent.iter().filter(|one| one.number == TERM).count();
        let failed = |what: &str| {
            let Life { id, service, version, .. } = life;
            let what =
                format!("{}: writer {id} ({service}, version {version}) {what}; {}", known.place, told(life, &sent));
            Err(breach(Rule::Killed, what))
        };
        let lives_on = known.running.contains(of) && latest.get(of).is_some_and(|latest| *latest == life);
        let is_by_hand = known.killed.contains(of);
        if stops > 1 && !is_by_hand && !known.stopped.contains(of) {
            return failed("was told to stop more than once");
        }
        if (life.has_saved && life.has_ended) || lives_on || is_by_hand {
            continue;
        }
        match had_its_grace(life, &sent, known.graces) {
            true => held.slow += 1,
            false => return failed("was killed before it had saved"),
        }
    }
    Ok(held)
}

/// Whether it was killed, and not before its time was over.
fn had_its_grace(life: &Life, sent: &[Signal], graces: &BTreeMap<String, u128>) -> bool {
    let first = |number: u32| sent.iter().find(|one| one.number == number).map(|one| one.at);
    let grace = graces.get(&life.service).copied().unwrap_or(u128::MAX);
    match (first(TERM), first(KILL)) {
        (Some(term), Some(kill)) => (kill + GRACE_SLACK).saturating_sub(term) >= grace,
        _ => false,
    }
}

/// Its signals, from its first line on.
fn told(life: &Life, sent: &[Signal]) -> String {
    let ms = |at: u128| at.saturating_sub(life.from) / 1_000_000;
    let signals: Vec<String> = sent.iter().map(|one| format!("signal {} at {} ms", one.number, ms(one.at))).collect();
    let signals = if signals.is_empty() { "no signal".to_owned() } else { signals.join(", ") };
    format!("{signals}, last line at {} ms", ms(life.last))
}

fn count_writers(lives: &[Life], known: &Known) -> Result<(), Breach> {
    let begins = lives.iter().map(|life| life.from);
    let changes = known.timeline.0.iter().map(|(from, _)| from + SLACK);
    let mut moments: Vec<u128> = begins.chain(changes).collect();
    moments.sort_unstable();
    for moment in moments {
        let there: Vec<&Life> = lives.iter().filter(|life| life.from <= moment && moment <= life.last).collect();
        let allowed = known.timeline.at(moment, known.place);
        if there.len() > allowed {
            let names: Vec<String> = there
                .iter()
                .map(|life| {
                    let ms = (life.last - moment) / 1_000_000;
                    format!("{} ({}, version {}, for {ms} ms more)", life.id, life.service, life.version)
                })
                .collect();
            let what =
                format!("{}: {} writers at once, {allowed} allowed: {}", known.place, there.len(), names.join(", "));
            return Err(breach(Rule::Writers, what));
        }
    }
    Ok(())
}

/// The short id of the container, which begins the id of a life.
fn container(id: &str) -> &str {
    id.split('-').next().unwrap_or(id)
}

fn lives(log: &str) -> Result<Vec<Life>, String> {
    let mut lives: Vec<Life> = Vec::new();
    let mut index: BTreeMap<String, usize> = BTreeMap::new();
    // A reader may meet the last line half written.
    for line in log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let words: Vec<&str> = line.split(' ').collect();
        let time = words.last().and_then(|time| time.parse::<u128>().ok());
        let (Some(time), true) = (time, words.len() >= 3) else {
            return Err(format!("`{line}` is no line of a log"));
        };
        let id = words[1].to_owned();
        if words[0] == "begin" && words.len() == 5 {
            index.insert(id.clone(), lives.len());
            let (service, version) = (words[2].to_owned(), words[3].to_owned());
            lives.push(Life { id, service, version, from: time, last: time, has_saved: false, has_ended: false });
            continue;
        }
        let Some(life) = index.get(&id).and_then(|index| lives.get_mut(*index)) else {
            return Err(format!("`{line}` has no beginning"));
        };
        life.last = life.last.max(time);
        life.has_saved |= words[0] == "saved";
        life.has_ended |= words[0] == "end";
    }
    Ok(lives)
}

/// The numbers that were acknowledged, as the log has them.
pub fn acknowledged(log: &str) -> BTreeSet<u64> {
    log.lines().filter_map(|line| line.strip_prefix("ack ")?.split(' ').nth(1)?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u128 = 1_000_000;

    fn timeline(spans: &[(u128, usize)]) -> Timeline {
        let mut timeline = Timeline::default();
        for (from, count) in spans {
            timeline.from(from * MS, Allowed::from([("d".to_owned(), *count)]));
        }
        timeline
    }

    /// `words time-in-ms` a line.
    fn log(lines: &[&str]) -> String {
        let line = |line: &&str| {
            let (words, time) = line.rsplit_once(' ').unwrap();
            format!("{words} {}\n", time.parse::<u128>().unwrap() * MS)
        };
        lines.iter().map(line).collect()
    }

    fn judged(lines: &[&str], spans: &[(u128, usize)], running: &[&str], killed: &[&str]) -> Result<usize, Rule> {
        let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
        let (running, killed) = (set(running), set(killed));
        let timeline = timeline(spans);
        signalled(lines, &timeline, (&running, &killed), &Sent::new()).map(|held| held.lives)
    }

    fn signalled(
        lines: &[&str],
        timeline: &Timeline,
        (running, killed): (&BTreeSet<String>, &BTreeSet<String>),
        sent: &Sent,
    ) -> Result<Held, Rule> {
        let (stopped, graces) = (BTreeSet::new(), BTreeMap::from([("web".to_owned(), 10_000 * MS)]));
        let known = Known { place: "d", timeline, running, killed, stopped: &stopped, sent, graces: &graces };
        hold(&log(lines), &known).map_err(|breach| breach.rule)
    }

    #[test]
    fn signals_tell_a_slow_machine_from_a_short_grace_and_one_stop_from_two() {
        let (timeline, nobody) = (timeline(&[(0, 1)]), BTreeSet::new());
        let judged = |lines: &[&str], sent: &[(u128, u32)]| {
            let sent = sent.iter().map(|(at, number)| Signal { at: at * MS, number: *number }).collect();
            signalled(lines, &timeline, (&nobody, &nobody), &Sent::from([("a".to_owned(), sent)]))
        };
        let killed = ["begin a-1 web 1 1000", "beat a-1 1 12000"];
        assert_eq!(judged(&killed, &[(2_000, 15), (12_000, 9)]), Ok(Held { lives: 1, slow: 1 }));
        assert_eq!(judged(&killed, &[(2_000, 15), (11_000, 9)]), Err(Rule::Killed));
        assert_eq!(judged(&killed, &[(2_000, 15)]), Err(Rule::Killed));
        assert_eq!(judged(&killed, &[(2_000, 9)]), Err(Rule::Killed));
        let saved = ["begin a-1 web 1 1000", "saved a-1 2 2000", "end a-1 2000"];
        assert_eq!(judged(&saved, &[(1_500, 15)]), Ok(Held { lives: 1, slow: 0 }));
        assert_eq!(judged(&saved, &[(1_500, 15), (1_600, 15)]), Err(Rule::Killed));
        // Each life of a container is told once.
        let twice = [&saved[..], &["begin a-2 web 1 3000", "saved a-2 2 4000", "end a-2 4000"]].concat();
        assert_eq!(judged(&twice, &[(1_500, 15), (3_500, 15)]), Ok(Held { lives: 2, slow: 0 }));
    }

    const ONE_AFTER_ANOTHER: [&str; 8] = [
        "begin a-1 web 1 1000",
        "beat a-1 0 1050",
        "ack a-1 7 1060",
        "saved a-1 2 2000",
        "end a-1 2000",
        "begin b-1 web 2 2001",
        "beat b-1 0 2050",
        "beat b-1 1 4000",
    ];

    #[test]
    fn writers_one_after_another_are_fine() {
        assert_eq!(judged(&ONE_AFTER_ANOTHER, &[(0, 1)], &["b"], &[]), Ok(2));
    }

    #[test]
    fn two_at_once_are_found_where_one_is_allowed_and_fine_where_two_are() {
        let lines = ["begin a-1 web 1 1000", "begin b-1 web 2 1500", "beat a-1 1 1550", "beat b-1 1 1600"];
        assert_eq!(judged(&lines, &[(0, 1)], &["a", "b"], &[]), Err(Rule::Writers));
        assert_eq!(judged(&lines, &[(0, 2)], &["a", "b"], &[]), Ok(2));
    }

    #[test]
    fn a_killed_writer_is_no_second_one() {
        let lines = ["begin a-1 web 1 1000", "beat a-1 1 1490", "begin b-1 web 2 1500", "beat b-1 1 1600"];
        assert_eq!(judged(&lines, &[(0, 1)], &["b"], &["a"]), Ok(2));
        assert_eq!(judged(&lines, &[(0, 1)], &["b"], &[]), Err(Rule::Killed));
    }

    #[test]
    fn a_writer_that_outlives_what_allowed_it_is_found() {
        let lines = ["begin a-1 web 1 1000", "beat a-1 1 5000"];
        assert_eq!(judged(&lines, &[(0, 1), (3000, 0)], &["a"], &[]), Err(Rule::Writers));
        assert_eq!(judged(&lines, &[(0, 1), (4900, 0)], &["a"], &[]), Ok(1));
    }

    #[test]
    fn an_earlier_life_of_a_running_container_has_to_have_saved() {
        let lines = ["begin a-1 web 1 1000", "beat a-1 1 1500", "begin a-2 web 1 2000", "beat a-2 1 2500"];
        assert_eq!(judged(&lines, &[(0, 1)], &["a"], &[]), Err(Rule::Killed));
        assert_eq!(judged(&lines, &[(0, 1)], &["a"], &["a"]), Ok(2));
    }

    #[test]
    fn an_end_without_a_save_is_a_kill() {
        let lines = ["begin a-1 web 1 1000", "end a-1 1500"];
        assert_eq!(judged(&lines, &[(0, 1)], &[], &[]), Err(Rule::Killed));
    }

    #[test]
    fn a_log_without_its_beginning_has_lost_something() {
        assert_eq!(judged(&["beat a-1 1 1500"], &[(0, 1)], &["a"], &[]), Err(Rule::Lost));
        assert_eq!(judged(&["\0\0\0 1500"], &[(0, 1)], &["a"], &[]), Err(Rule::Lost));
    }

    #[test]
    fn a_half_written_last_line_is_left_out() {
        let text = format!("{}beat b-1 1 12", log(&ONE_AFTER_ANOTHER));
        assert_eq!(lives(&text).unwrap().len(), 2);
        assert_eq!(acknowledged(&text), BTreeSet::from([7]));
    }
}
