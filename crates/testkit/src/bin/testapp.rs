//! A web application with switches for trouble, for tests of whatever deploys, routes and watches.
//!
//! Standard library only, so that it is small and starts in a millisecond. Environment:
//! `PORT` (8080), `MORE_PORTS` (`9000,9001`, answered alike), `UDP_PORT` (sends back what it gets), `BUILD` (the text of `/`), `HEALTHY_AFTER_MS`, `NEVER_HEALTHY=1`, `CRASH_AFTER_MS` (status 3),
//! `ALLOWED_HOSTS` (`shop.example.com,..`, 400 for whoever names another), `HTTPS_ONLY=1` (301 for whoever does not come over it),
//! `OOM=1` (takes memory without end), `LOG_LINES=n` (written at the start), `FAIL_RATIO_PERCENT` (500s on `/`, spread
//! evenly), `CUT=1` (each answer of `/` breaks off in the middle), `SLOW_MS` (before each answer of `/`), `RAW_PORT`
//! (speaks no HTTP: says `BUILD` and a line end, then sends back what it gets).
//! Paths: `/`, `/health`, `/slow?ms=n`, `/echo` (the request as it arrived), `/crash`, anything else is 404.
//! `testapp get http://host:8080/path [host]` asks instead of answering: status 0 and the body for a 200.
//! It does not handle SIGTERM: run it under an init, or let it be killed. As a keeper of data (`testapp/writer.rs`) it
//! writes, and ends in order where the image's shell makes `/stop` of the signal.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    clippy::disallowed_methods,
    reason = "a stand-in for somebody's application"
)]

// Not `src/bin/writer.rs`, which would be a program of its own.
#[path = "testapp/writer.rs"]
mod writer;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

static REQUESTS: AtomicU64 = AtomicU64::new(0);

struct App {
    build: String,
    started: Instant,
    healthy_after: Option<Duration>,
    fail_percent: u64,
    cuts: bool,
    slow: Duration,
    /// Empty: any.
    hosts: Vec<String>,
    https_only: bool,
    writer: Option<&'static writer::Writer>,
}

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [verb, url, host @ ..] = words.as_slice()
        && verb == "get"
    {
        return get(url, host.first());
    }
    let port = number("PORT").unwrap_or(8080);
    for line in 1..=number("LOG_LINES").unwrap_or(0) {
        println!("log line {line}");
    }
    if let Some(ms) = number("CRASH_AFTER_MS") {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(ms));
            println!("crashing as told");
            std::process::exit(3);
        });
    }
    if set("OOM") {
        std::thread::spawn(eat);
    }
    let app: &'static App = Box::leak(Box::new(App {
        build: std::env::var("BUILD").unwrap_or_else(|_| "no build".to_owned()),
        started: Instant::now(),
        healthy_after: (!set("NEVER_HEALTHY")).then(|| Duration::from_millis(number("HEALTHY_AFTER_MS").unwrap_or(0))),
        fail_percent: number("FAIL_RATIO_PERCENT").unwrap_or(0),
        cuts: set("CUT"),
        slow: Duration::from_millis(number("SLOW_MS").unwrap_or(0)),
        hosts: std::env::var("ALLOWED_HOSTS").iter().flat_map(|all| all.split(',')).map(str::to_owned).collect(),
        https_only: set("HTTPS_ONLY"),
        writer: writer::start()?,
    }));
    if let Some(port) = number("UDP_PORT").and_then(|port| u16::try_from(port).ok()) {
        std::thread::spawn(move || echo(port));
    }
    if let Some(port) = number("RAW_PORT").and_then(|port| u16::try_from(port).ok()) {
        std::thread::spawn(move || raw(app, port));
    }
    for more in std::env::var("MORE_PORTS").unwrap_or_default().split(',').filter_map(|port| port.parse().ok()) {
        std::thread::spawn(move || listen(app, more));
    }
    listen(app, u16::try_from(port).unwrap_or(8080))
}

fn listen(app: &'static App, port: u16) -> std::io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("build {} listens on {port}", app.build);
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || serve(app, stream));
    }
    Ok(())
}

/// Speaks first, as many servers do, and sends back what it gets.
fn raw(app: &'static App, port: u16) -> std::io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    for mut stream in listener.incoming().flatten() {
        std::thread::spawn(move || -> std::io::Result<()> {
            stream.write_all(format!("{}\n", app.build).as_bytes())?;
            std::io::copy(&mut stream.try_clone()?, &mut stream)?;
            Ok(())
        });
    }
    Ok(())
}

/// Sends every packet back.
fn echo(port: u16) -> std::io::Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", port))?;
    let mut buffer = [0; 1500];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        socket.send_to(&buffer[..length], from)?;
    }
}

fn get(url: &str, host: Option<&String>) -> std::io::Result<()> {
    let address = url.trim_start_matches("http://");
    let (authority, path) = address.split_once('/').unwrap_or((address, ""));
    let with_port = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let mut stream = TcpStream::connect(with_port)?;
    let host = host.map_or(authority, String::as_str);
    stream.write_all(format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    println!("{}", answer.split_once("\r\n\r\n").map_or("", |(_, body)| body));
    if !answer.starts_with("HTTP/1.1 200") {
        std::process::exit(1);
    }
    Ok(())
}

/// One connection, with as many requests as the client likes.
fn serve(app: &App, stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(request) = read_request(&mut reader)? {
        let (status, body) = answer(app, &request);
        let is_cut = app.cuts && request.path == "/";
        let keep = if request.close { "close" } else { "keep-alive" };
        let head = format!(
            "HTTP/1.1 {status} {}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: {keep}\r\nx-build: {}\r\n\r\n",
            if status < 400 { "OK" } else { "Trouble" },
            body.len() + if is_cut { 100 } else { 0 },
            app.build
        );
        writer.write_all(&[head.as_bytes(), &body].concat())?;
        if request.close || is_cut {
            break;
        }
    }
    Ok(())
}

struct Request {
    path: String,
    head: String,
    body: Vec<u8>,
    close: bool,
}

fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let (mut head, mut length, mut close) = (String::new(), 0_u64, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "connection" => close = value.trim().eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        head.push_str(&line);
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    let path = head.split_whitespace().nth(1).unwrap_or("/").to_owned();
    Ok(Some(Request { path, head, body, close }))
}

fn answer(app: &App, request: &Request) -> (u16, Vec<u8>) {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let header = |wanted: &str| {
        let lines = request.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim()).next()
    };
    let host = header("host").unwrap_or_default().split(':').next().unwrap_or_default();
    if !app.hosts.is_empty() && !app.hosts.iter().any(|allowed| allowed == host) {
        return (400, format!("host {host} is not allowed").into_bytes());
    }
    if app.https_only && header("x-forwarded-proto") != Some("https") {
        return (503, b"come over https".to_vec());
    }
    match path {
        "/" => {
            // A stride that meets every hundredth once: what fails is spread over the requests, and its share exact.
            let turn = REQUESTS.fetch_add(1, Ordering::Relaxed) * 37 % 100;
            let status = if turn < app.fail_percent { 500 } else { 200 };
            std::thread::sleep(app.slow);
            (status, app.build.clone().into_bytes())
        }
        "/health" => match app.healthy_after {
            Some(after) if app.started.elapsed() >= after => (200, b"healthy".to_vec()),
            _ => (503, b"not yet".to_vec()),
        },
        "/slow" => {
            let ms = query.strip_prefix("ms=").and_then(|ms| ms.parse().ok()).unwrap_or(1000);
            std::thread::sleep(Duration::from_millis(ms));
            (200, app.build.clone().into_bytes())
        }
        "/echo" => (200, [request.head.as_bytes(), b"\n", &request.body].concat()),
        "/crash" => std::process::exit(3),
        _ => {
            let kept = app.writer.and_then(|writer| writer.answer(path, query));
            kept.unwrap_or_else(|| (404, b"no such page".to_vec()))
        }
    }
}

fn eat() {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        // Pages count only once they are written to.
        eaten.push(vec![1; 8 << 20]);
        std::hint::black_box(&eaten);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn set(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| value == "1")
}
