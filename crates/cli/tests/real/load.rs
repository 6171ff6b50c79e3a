//! An open-loop load: requests leave by the clock, however slow the answers are.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(10);

/// One request: when it left, when it was over, and the body or the trouble.
#[derive(Debug, Clone)]
pub struct Sample {
    pub sent: Instant,
    pub over: Instant,
    pub answer: Result<String, String>,
}

/// Requests under way. Dropping it ends them.
pub struct Load {
    stop: Arc<AtomicBool>,
    samples: Arc<Mutex<Vec<Sample>>>,
    clock: Option<JoinHandle<()>>,
}

/// What a load has seen.
#[derive(Debug)]
pub struct Seen(pub Vec<Sample>);

type Idle = Arc<Mutex<VecDeque<TcpStream>>>;

impl Load {
    /// A hundred requests a second; every other one on a connection of its own.
    pub fn start(port: u16) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let samples = Arc::new(Mutex::new(Vec::new()));
        let clock = std::thread::spawn({
            let (stop, samples) = (stop.clone(), samples.clone());
            move || send_by_the_clock(port, &stop, &samples)
        });
        Load { stop, samples, clock: Some(clock) }
    }

    /// What came so far.
    pub fn so_far(&self) -> Seen {
        Seen(self.samples.lock().unwrap().clone())
    }

    /// Some operations are over before the load has met what they changed: it goes on until it can prove something.
    pub fn end(mut self) -> Seen {
        let enough = Instant::now() + Duration::from_secs(5);
        let asked = self.so_far().count() + 20;
        while self.so_far().count() < asked.max(40) && Instant::now() < enough {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.finish();
        self.so_far()
    }

    fn finish(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(clock) = self.clock.take() {
            let _ = clock.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.finish();
    }
}

fn send_by_the_clock(port: u16, stop: &AtomicBool, samples: &Arc<Mutex<Vec<Sample>>>) {
    let idle: Idle = Arc::default();
    let began = Instant::now();
    let mut under_way: Vec<JoinHandle<()>> = Vec::new();
    for number in 0_u32.. {
        let due = began + EVERY * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if stop.load(Ordering::SeqCst) {
            break;
        }
        under_way.retain(|request| !request.is_finished());
        let (idle, samples) = (idle.clone(), samples.clone());
        under_way.push(std::thread::spawn(move || {
            let sent = Instant::now();
            let answer = if number % 2 == 0 { once(port) } else { kept(port, &idle) };
            samples.lock().unwrap().push(Sample { sent, over: Instant::now(), answer });
        }));
    }
    for request in under_way {
        let _ = request.join();
    }
}

fn once(port: u16) -> Result<String, String> {
    exchange(&mut connect(port)?, "close")
}

fn kept(port: u16, idle: &Idle) -> Result<String, String> {
    // The longest idle one first, so that each is used again and again.
    let there = idle.lock().unwrap().pop_front();
    let mut stream = match there {
        Some(stream) => stream,
        None => connect(port)?,
    };
    let body = exchange(&mut stream, "keep-alive")?;
    idle.lock().unwrap().push_back(stream);
    Ok(body)
}

fn connect(port: u16) -> Result<TcpStream, String> {
    connect_to(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

fn connect_to(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| format!("connect: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    Ok(stream)
}

fn exchange(stream: &mut TcpStream, connection: &str) -> Result<String, String> {
    exchange_with(stream, &format!("connection: {connection}"))
}

fn exchange_with(stream: &mut TcpStream, headers: &str) -> Result<String, String> {
    send(stream, &format!("GET / HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n\r\n"))
}

fn send(stream: &mut TcpStream, request: &str) -> Result<String, String> {
    stream.write_all(request.as_bytes()).map_err(|error| format!("send: {error}"))?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(answer) = complete(&bytes) {
            return answer;
        }
        match stream.read(&mut buffer) {
            Ok(0) => return Err(format!("closed after {} bytes", bytes.len())),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) => return Err(format!("receive: {error}")),
        }
    }
}

/// The answer once it is all there: the body of a 200, the status line of anything else.
fn complete(bytes: &[u8]) -> Option<Result<String, String>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    if body.len() < length {
        return None;
    }
    match head.starts_with("HTTP/1.1 200 ") {
        true => Some(Ok(body.to_owned())),
        false => Some(Err(format!("{}: {body}", head.lines().next().unwrap_or_default()))),
    }
}

/// One request now.
pub fn ask(port: u16) -> Result<String, String> {
    once(port)
}

/// One request now, to this address.
pub fn ask_at(address: SocketAddr) -> Result<String, String> {
    exchange(&mut connect_to(address)?, "close")
}

/// One request now, for this path of this host.
pub fn ask_for(port: u16, host: &str, path: &str) -> Result<String, String> {
    send(&mut connect(port)?, &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"))
}

/// One request now, with a header of its own.
pub fn ask_with(port: u16, header: &str) -> Result<String, String> {
    exchange_with(&mut connect(port)?, &format!("connection: close\r\n{header}"))
}

impl Seen {
    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn failures(&self) -> Vec<&str> {
        self.0.iter().filter_map(|sample| sample.answer.as_ref().err().map(String::as_str)).collect()
    }

    /// Requests by body.
    pub fn bodies(&self) -> BTreeMap<&str, usize> {
        let mut bodies = BTreeMap::new();
        for sample in &self.0 {
            if let Ok(body) = &sample.answer {
                *bodies.entry(body.as_str()).or_default() += 1;
            }
        }
        bodies
    }

    /// Every request was answered, and by nothing but these.
    pub fn only(&self, expected: &[&str]) -> &Seen {
        assert!(self.count() > 10, "the load has hardly run: {} requests", self.count());
        let failures = self.failures();
        assert!(failures.is_empty(), "{} of {} requests failed, first: {}", failures.len(), self.count(), failures[0]);
        let bodies = self.bodies();
        let found: Vec<&str> = bodies.keys().copied().collect();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{bodies:?}");
        self
    }

    /// The old one until the switch, the new one after it: whoever asks after somebody has seen the new one gets it.
    pub fn switched(&self, old: &str, new: &str) -> &Seen {
        self.only(&[old, new]);
        let is = |sample: &&Sample, body: &str| sample.answer.as_deref() == Ok(body);
        let first_new = self.0.iter().filter(|sample| is(sample, new)).map(|sample| sample.over).min().unwrap();
        let late = self.0.iter().filter(|sample| is(sample, old) && sample.sent > first_new).count();
        assert_eq!(late, 0, "{late} requests got `{old}` after `{new}` had been seen");
        self
    }
}
