//! What there is on the engine: containers by their names, and what the writers in them answer.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::super::place::docker;

const SOON: Duration = Duration::from_secs(3);

/// One container that runs.
#[derive(Debug, Clone)]
pub struct Running {
    /// The short id, which is its host name as well.
    pub id: String,
    pub name: String,
    pub environment: String,
    pub service: String,
    pub address: String,
    pub volumes: Vec<String>,
}

/// Every container whose name begins with the platform's, running or not, by short id.
pub fn containers(platform: &str) -> BTreeSet<String> {
    listed(&["ps", "--all", "--quiet", "--filter", &format!("name=^/{platform}-")])
}

pub fn volumes() -> BTreeSet<String> {
    listed(&["volume", "ls", "--quiet"])
}

fn listed(words: &[&str]) -> BTreeSet<String> {
    docker(words).lines().map(str::to_owned).collect()
}

pub fn running(platform: &str) -> Vec<Running> {
    let ids = listed(&["ps", "--quiet", "--filter", &format!("name=^/{platform}-")]);
    if ids.is_empty() {
        return Vec::new();
    }
    let mut words = vec!["inspect"];
    words.extend(ids.iter().map(String::as_str));
    // One of them may be gone by now; the others are answered all the same.
    let output = std::process::Command::new("docker").args(&words).output().unwrap();
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    found.iter().filter(|one| one["State"]["Running"] == true).filter_map(|one| read(platform, one)).collect()
}

fn read(platform: &str, one: &Value) -> Option<Running> {
    let name = one["Name"].as_str()?.trim_start_matches('/').to_owned();
    let environment = name.strip_prefix(platform)?.strip_prefix('-')?.split('-').next()?.to_owned();
    let env = one["Config"]["Env"].as_array()?;
    let service = env.iter().filter_map(Value::as_str).find_map(|text| text.strip_prefix("SERVICE="))?.to_owned();
    let addresses = one["NetworkSettings"]["Networks"].as_object()?.values();
    let address = addresses.filter_map(|network| network["IPAddress"].as_str()).find(|address| !address.is_empty())?;
    let mounts = one["Mounts"].as_array()?.iter().filter(|mount| mount["Type"] == "volume");
    Some(Running {
        id: one["Id"].as_str()?.get(..12)?.to_owned(),
        environment,
        service,
        address: address.to_owned(),
        volumes: mounts.filter_map(|mount| mount["Name"].as_str()).map(str::to_owned).collect(),
        name,
    })
}

/// The body of a 200, from the program in the container. It may just be starting.
pub fn ask(container: &Running, method: &str, path: &str) -> Result<Vec<u8>, String> {
    let address: SocketAddr = format!("{}:8080", container.address).parse().map_err(|error| format!("{error}"))?;
    let begin = Instant::now();
    loop {
        match ask_once(address, method, path) {
            Err(error) if error.contains("refused") && begin.elapsed() < SOON => {
                std::thread::sleep(Duration::from_millis(50));
            }
            answer => return answer,
        }
    }
}

fn ask_once(address: SocketAddr, method: &str, path: &str) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&address, SOON).map_err(failed)?;
    stream.set_read_timeout(Some(SOON)).map_err(failed)?;
    let request = format!("{method} {path} HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed)?;
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or("it answers no HTTP")?;
    let body = answer.split_off(head + 4);
    match answer.starts_with(b"HTTP/1.1 200") {
        true => Ok(body),
        false => Err(format!("{path}: {}", String::from_utf8_lossy(&body))),
    }
}

pub fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()
}
