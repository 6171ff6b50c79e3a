//! A service that keeps data: it writes down when it began, that it lives, what it was asked to keep, and how it ended.
//!
//! Environment: `WRITES=/data,/other/inner` (folders, or single files), `READS=/data` (answered, never written),
//! `SERVICE`, `VERSION`, `ENVIRONMENT`, `SAVE_MS` (how long the save takes after the stop signal).
//! Lines of `<place>/log`, or of the file itself; all times are nanoseconds since 1970:
//!
//! ```text
//! begin <id> <service> <version> <time>
//! beat <id> <n> <time>          every 50 ms
//! double <id> <time>            somebody else of the same service and environment holds the lock
//! ack <id> <number> <time>      `POST /write?x=<number>`, on disk before it is answered
//! saved <id> <n> <time>
//! end <id> <time>
//! ```
//!
//! The `id` is the host name (the container's short id) and the time of the start. A program without libraries cannot
//! handle a signal: the image's shell does, and makes the file `/stop`.
//! Paths: `/write?x=`, `/places` (`w <path>` or `r <path>` a line), `/log?place=<path>`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const BEAT: Duration = Duration::from_millis(50);
const STOP: &str = "/stop";

pub struct Writer {
    id: String,
    writes: Vec<(String, File)>,
    reads: Vec<String>,
    /// Held until the end.
    _locks: Vec<File>,
}

/// The writer that the environment asks for, if it does, already writing.
pub fn start() -> std::io::Result<Option<&'static Writer>> {
    let list = |name: &str| -> Vec<String> {
        let text = std::env::var(name).unwrap_or_default();
        text.split(',').filter(|path| !path.is_empty()).map(str::to_owned).collect()
    };
    // Empty ones are a service without data, which ends in order as well.
    if std::env::var_os("WRITES").is_none() && std::env::var_os("READS").is_none() {
        return Ok(None);
    }
    let (paths, reads) = (list("WRITES"), list("READS"));
    let name = |name: &str| std::env::var(name).unwrap_or_else(|_| "none".to_owned());
    let id = format!("{}-{:x}", name("HOSTNAME"), now());
    let (mut writes, mut locks) = (Vec::new(), Vec::new());
    for path in paths {
        let mut log = OpenOptions::new().create(true).append(true).open(log_of(&path))?;
        line(&mut log, &format!("begin {id} {} {} {}", name("SERVICE"), name("VERSION"), now()))?;
        if Path::new(&path).is_dir() {
            let lock = Path::new(&path).join(format!("lock.{}-{}", name("ENVIRONMENT"), name("SERVICE")));
            let lock = OpenOptions::new().create(true).append(true).open(lock)?;
            if lock.try_lock().is_err() {
                line(&mut log, &format!("double {id} {}", now()))?;
            }
            locks.push(lock);
        }
        writes.push((path, log));
    }
    let writer: &'static Writer = Box::leak(Box::new(Writer { id, writes, reads, _locks: locks }));
    let save = std::env::var("SAVE_MS").ok().and_then(|ms| ms.parse().ok()).unwrap_or(0);
    std::thread::spawn(move || writer.live(Duration::from_millis(save)));
    Ok(Some(writer))
}

impl Writer {
    /// Beats until it is told to stop, saves, and is gone.
    fn live(&self, save: Duration) {
        let mut beats = 0_u64;
        let mut until = None;
        loop {
            self.tell(&format!("beat {} {beats}", self.id));
            beats += 1;
            if until.is_none() && Path::new(STOP).exists() {
                until = Some(std::time::Instant::now() + save);
            }
            if until.is_some_and(|until| std::time::Instant::now() >= until) {
                break;
            }
            std::thread::sleep(BEAT);
        }
        self.tell(&format!("saved {} {beats}", self.id));
        self.tell(&format!("end {}", self.id));
        std::process::exit(0);
    }

    fn tell(&self, text: &str) {
        for (path, log) in &self.writes {
            let mut log = log;
            if let Err(error) = line(&mut log, &format!("{text} {}", now())) {
                eprintln!("could not write to {path}: {error}");
            }
        }
    }

    pub fn answer(&self, path: &str, query: &str) -> Option<(u16, Vec<u8>)> {
        match path {
            "/write" => Some(match self.keep(query.strip_prefix("x=").unwrap_or_default()) {
                Ok(()) => (200, b"kept".to_vec()),
                Err(error) => (500, error.to_string().into_bytes()),
            }),
            "/places" => {
                let writes = self.writes.iter().map(|(path, _)| format!("w {path}\n"));
                Some((
                    200,
                    writes.chain(self.reads.iter().map(|path| format!("r {path}\n"))).collect::<String>().into(),
                ))
            }
            "/log" => {
                let place = query.strip_prefix("place=").unwrap_or_default();
                let known = self.writes.iter().map(|(path, _)| path).chain(&self.reads).any(|path| path == place);
                Some(match std::fs::read(log_of(place)) {
                    Ok(text) if known => (200, text),
                    // A reader may come before the first writer.
                    Err(error) if known && error.kind() == std::io::ErrorKind::NotFound => (200, Vec::new()),
                    _ => (404, b"no such place".to_vec()),
                })
            }
            _ => None,
        }
    }

    fn keep(&self, number: &str) -> std::io::Result<()> {
        for (_, log) in &self.writes {
            let mut log = log;
            line(&mut log, &format!("ack {} {number} {}", self.id, now()))?;
            log.sync_all()?;
        }
        Ok(())
    }
}

/// One write, so that lines of two writers do not mix.
fn line(mut to: impl Write, text: &str) -> std::io::Result<()> {
    to.write_all(format!("{text}\n").as_bytes())
}

fn log_of(place: &str) -> PathBuf {
    let path = Path::new(place);
    if path.is_file() { path.to_owned() } else { path.join("log") }
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}
