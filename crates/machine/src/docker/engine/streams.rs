//! What the engine tells over time: logs and events.

use bollard::container::LogOutput;
use bollard::query_parameters::{EventsOptionsBuilder, LogsOptions, LogsOptionsBuilder};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};

use super::{Engine, LONG_PATIENCE, PATIENCE, containers, refusal, translate};
use crate::docker::{ContainerEvent, DockerResult, LogLine, LogRange, StampedLine, Stream};

/// More lines than a person reads, few enough for memory.
const MOST_LINES: usize = 10_000;

pub(super) async fn logs(engine: &Engine, id: &str, tail: usize) -> DockerResult<Vec<String>> {
    let thing = format!("container `{id}`");
    // A container that is not there answers the log question with an empty stream on some engines.
    containers::inspect(engine, id).await?;
    let stream = engine.client.logs(id, Some(options(tail, false)));
    let lines: Vec<LogOutput> =
        engine.ask("read the log of", thing, LONG_PATIENCE, stream.take(MOST_LINES).try_collect()).await?;
    Ok(lines.into_iter().map(|line| log_line(line).line).collect())
}

pub(super) async fn follow(
    engine: &Engine,
    id: &str,
    tail: usize,
) -> DockerResult<BoxStream<'static, DockerResult<LogLine>>> {
    containers::inspect(engine, id).await?;
    let (host, thing) = (engine.host.clone(), format!("container `{id}`"));
    let stream = engine.client.logs(id, Some(options(tail, true)));
    Ok(stream
        .map_ok(log_line)
        .map_err(move |error| refusal::explain(&host, "follow the log of", thing.clone(), error))
        .boxed())
}

pub(super) async fn read(
    engine: &Engine,
    id: &str,
    range: &LogRange,
) -> DockerResult<BoxStream<'static, DockerResult<StampedLine>>> {
    containers::inspect(engine, id).await?;
    let (host, thing) = (engine.host.clone(), format!("container `{id}`"));
    let tail = range.tail.map_or_else(|| "all".to_owned(), |tail| tail.min(MOST_LINES).to_string());
    let since_ns = range.since_ns.unwrap_or(i64::MIN);
    let mut options =
        LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true).follow(range.follow).tail(&tail);
    // The engine counts in seconds here; what is finer is left out below.
    if let Some(since) = range.since_ns.and_then(|ns| i32::try_from(ns / 1_000_000_000).ok()) {
        options = options.since(since);
    }
    let lines = engine.client.logs(id, Some(options.build())).map_ok(stamped);
    let wanted = lines.try_filter(move |line| std::future::ready(line.at_ns >= since_ns));
    Ok(wanted.map_err(move |error| refusal::explain(&host, "read the log of", thing.clone(), error)).boxed())
}

/// `2026-01-02T03:04:05.678901234Z the line`.
fn stamped(output: LogOutput) -> StampedLine {
    let LogLine { stream, line } = log_line(output);
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok().and_then(|at| i64::try_from(at.as_nanosecond()).ok());
    match line.split_once(' ').map_or((line.as_str(), ""), |(stamp, rest)| (stamp, rest)) {
        (stamp, rest) if time(stamp).is_some() => {
            StampedLine { at_ns: time(stamp).unwrap_or_default(), stream, line: rest.to_owned() }
        }
        _ => StampedLine { at_ns: 0, stream, line },
    }
}

pub(super) async fn events(
    engine: &Engine,
    labels: &[(String, String)],
    since_ms: Option<i64>,
) -> DockerResult<BoxStream<'static, DockerResult<ContainerEvent>>> {
    let mut filters = translate::label_filter(labels);
    let mut types = vec!["container".to_owned()];
    if labels.is_empty() {
        // What a container leaves and comes to: a network's event has the network's labels, not the container's.
        types.push("network".to_owned());
    }
    filters.insert("type".to_owned(), types);
    // The request only goes out with the first poll. Asking for everything since now, by the engine's own clock,
    // makes it replay what happens in between.
    let info = engine.ask("ask for the time of", "the engine", PATIENCE, engine.client.info()).await?;
    let now = info.system_time.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let since = since_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).or(now);
    let mut options = EventsOptionsBuilder::new().filters(&filters);
    if let Some(since) = since {
        options = options.since(&format!("{}.{:09}", since.as_second(), since.subsec_nanosecond()));
    }
    let host = engine.host.clone();
    Ok(engine
        .client
        .events(Some(options.build()))
        .map_err(move |error| refusal::explain(&host, "follow the events of", "the engine".to_owned(), error))
        .try_filter_map(|message| std::future::ready(Ok(translate::event(message))))
        .boxed())
}

fn options(tail: usize, follow: bool) -> LogsOptions {
    let tail = tail.min(MOST_LINES).to_string();
    LogsOptionsBuilder::new().stdout(true).stderr(true).follow(follow).tail(&tail).build()
}

fn log_line(output: LogOutput) -> LogLine {
    let stream = if matches!(output, LogOutput::StdErr { .. }) { Stream::Stderr } else { Stream::Stdout };
    let text = String::from_utf8_lossy(output.as_ref());
    LogLine { stream, line: text.trim_end_matches(['\n', '\r']).to_owned() }
}
