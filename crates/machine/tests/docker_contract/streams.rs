//! Logs and events.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use machine::docker::{ContainerEvent, ContainerSpec, DockerResult, Labels, LogLine, State};

use crate::ground::{Ground, Program, SOON};

async fn ended(ground: &Ground, of: &str) -> String {
    let id = ground.run(&ground.container(of, Program::Speaks)).await;
    ground.until("the end of the speaker", &id, |detail| detail.state == State::Exited).await;
    id
}

pub(crate) async fn the_tail_of_a_log_is_its_last_lines(ground: &Ground) {
    let id = ended(ground, "job").await;
    let mut all = ground.docker().logs(&id, 100).await.unwrap();
    assert_eq!(all.len(), 3);
    // Standard output and standard error are two pipes: the engine does not promise their order.
    all.sort();
    assert_eq!(all, ["one", "three", "two"]);
    assert_eq!(ground.docker().logs(&id, 2).await.unwrap().len(), 2);
    assert_eq!(ground.docker().logs(&id, 0).await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn a_followed_log_ends_with_its_container(ground: &Ground) {
    let id = ground.run(&ground.container("job", Program::Speaks)).await;
    let stream = ground.docker().follow_logs(&id, 100).await.unwrap();
    let lines: Vec<LogLine> = tokio::time::timeout(SOON, stream.map(Result::unwrap).collect()).await.unwrap();
    let mut words: Vec<String> = lines.into_iter().map(|line| line.line).collect();
    words.sort();
    assert_eq!(words, ["one", "three", "two"]);
}

pub(crate) async fn a_silent_container_can_be_followed(ground: &Ground) {
    let id = ground.sleeper("web").await;
    let mut stream = ground.docker().follow_logs(&id, 0).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), stream.next()).await.is_err(), "a line out of silence");
    ground.docker().kill(&id, "SIGKILL").await.unwrap();
    assert!(tokio::time::timeout(SOON, stream.next()).await.unwrap().is_none());
}

type Events = BoxStream<'static, DockerResult<ContainerEvent>>;

/// The events up to and with the one of this name.
async fn up_to(events: &mut Events, last: &str) -> Vec<ContainerEvent> {
    let mut seen = Vec::new();
    while seen.last().is_none_or(|event: &ContainerEvent| event.action != last) {
        let event = tokio::time::timeout(SOON, events.next()).await;
        seen.push(event.unwrap_or_else(|_| panic!("no `{last}` after {seen:?}")).unwrap().unwrap());
    }
    seen
}

pub(crate) async fn events_tell_a_life_in_order_and_nothing_of_others(ground: &Ground) {
    let mut events = ground.docker().events(&[ground.label(), ("role".into(), "web".into())]).await.unwrap();
    ground.run(&ground.container("other", Program::Exits(0))).await;
    let mut spec = ground.container("web", Program::Sleeps);
    spec.labels.insert("role".into(), "web".into());
    let id = ground.run(&spec).await;
    ground.docker().kill(&id, "SIGKILL").await.unwrap();
    ground.until("the end", &id, |detail| detail.state == State::Exited).await;
    ground.docker().remove(&id, false).await.unwrap();
    let seen = up_to(&mut events, "destroy").await;
    let words: Vec<&str> = seen.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(words, ["create", "start", "kill", "die", "destroy"]);
    assert!(seen.iter().all(|event| event.id == id && event.name == ground.name("web") && event.at_ms > 0), "{seen:?}");
    assert_eq!(seen[3].exit_code, Some(137));
    assert_eq!(seen[0].labels, spec.labels);
}

pub(crate) async fn events_between_the_call_and_the_first_look_are_not_lost(ground: &Ground) {
    let mut events = ground.docker().events(&[ground.label()]).await.unwrap();
    let id = ended(ground, "job").await;
    let seen = up_to(&mut events, "die").await;
    assert_eq!(seen.last().map(|event| (event.id.clone(), event.exit_code)), Some((id, Some(0))));
    assert_eq!(seen.first().map(|event| event.action.as_str()), Some("create"));
}

pub(crate) async fn events_without_labels_are_those_of_every_container(ground: &Ground) {
    let mut events = ground.docker().events(&[]).await.unwrap();
    let spec = ContainerSpec { labels: Labels::new(), ..ground.container("stranger", Program::Sleeps) };
    let id = ground.run(&spec).await;
    ground.docker().stop(&id, Duration::ZERO).await.unwrap();
    ground.docker().remove(&id, true).await.unwrap();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|word| word != "destroy") {
        // On a machine with other tests, the events of their containers come too.
        let event = tokio::time::timeout(SOON, events.next()).await.unwrap().unwrap().unwrap();
        if event.id == id {
            seen.push(event.action);
        }
    }
    assert_eq!(seen.first().map(String::as_str), Some("create"));
    for word in ["start", "kill", "die", "stop", "destroy"] {
        assert!(seen.iter().any(|action| action == word), "no `{word}` in {seen:?}");
    }
}

pub(crate) async fn events_of_the_past_come_first(ground: &Ground) {
    let id = ended(ground, "job").await;
    let detail = ground.detail(&id).await;
    // An engine stamps the creation a moment after its event at times; half a second is before both.
    let since = detail.created_ms - 500;
    let mut events = ground.docker().events_since(&[ground.label()], Some(since)).await.unwrap();
    ground.docker().remove(&id, false).await.unwrap();
    let words: Vec<String> = up_to(&mut events, "destroy").await.into_iter().map(|event| event.action).collect();
    assert_eq!(words, ["create", "start", "die", "destroy"]);
}

pub(crate) async fn a_signal_shows_in_its_event(ground: &Ground) {
    let mut events = ground.docker().events(&[ground.label()]).await.unwrap();
    let id = ground.sleeper("web").await;
    // Nothing ends by this one.
    ground.docker().kill(&id, "SIGWINCH").await.unwrap();
    ground.docker().kill(&id, "SIGKILL").await.unwrap();
    let mut signals = Vec::new();
    while signals.last() != Some(&9) {
        signals.extend(up_to(&mut events, "kill").await.into_iter().filter_map(|event| event.signal));
    }
    assert_eq!(signals, [28, 9], "and no other event has one");
}
