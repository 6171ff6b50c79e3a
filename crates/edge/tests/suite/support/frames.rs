//! HTTP/2 by hand: frames are written as bytes, so that what no library would send can be sent.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block without compression: each field a literal that is not indexed.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            // Seven bits for the length; longer texts are not needed here.
            bytes.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// The fields of a plain GET, and more.
pub fn get(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let plain = [(":method", "GET"), (":scheme", "http"), (":authority", "lab"), (":path", path)];
    block(&[&plain[..], more].concat())
}

/// A connection whose client writes frames and reads what comes.
pub struct Raw {
    pub stream: TcpStream,
    bytes: Vec<u8>,
}

/// A frame that came.
#[derive(Debug, Clone)]
pub struct Came {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Came {
    /// The code of a RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        self.payload
            .get(if self.kind == GOAWAY { 4..8 } else { 0..4 })
            .map_or(0, |code| u32::from_be_bytes(code.try_into().unwrap()))
    }
}

impl Raw {
    /// Connects and sends the preface with these settings (id and value).
    pub async fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> Raw {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let payload: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat()).await.unwrap();
        Raw { stream, bytes: Vec::new() }
    }

    /// The server's side of a connection: reads the preface and opens its windows for a megabyte.
    pub async fn accept(mut stream: TcpStream) -> Raw {
        let mut preface = [0u8; 24];
        let _ = stream.read_exact(&mut preface).await;
        let window = (1u32 << 20).to_be_bytes();
        let settings = frame(SETTINGS, 0, 0, &[&4u16.to_be_bytes()[..], &window].concat());
        let _ = stream.write_all(&[settings, frame(WINDOW_UPDATE, 0, 0, &window)].concat()).await;
        Raw { stream, bytes: Vec::new() }
    }

    /// Sends bytes; false when the connection is over.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next frame; `None` at the end of the connection, or after five seconds of silence.
    pub async fn next(&mut self) -> Option<Came> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            let mut buffer = [0u8; 4096];
            let read = tokio::time::timeout(Duration::from_secs(5), self.stream.read(&mut buffer)).await;
            match read {
                Ok(Ok(count)) if count > 0 => self.bytes.extend_from_slice(&buffer[..count]),
                _ => return None,
            }
        }
    }

    fn take(&mut self) -> Option<Came> {
        let head = self.bytes.get(..9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5] & 127, head[6], head[7], head[8]]);
        if self.bytes.len() < 9 + length {
            return None;
        }
        let payload = self.bytes[9..9 + length].to_vec();
        self.bytes.drain(..9 + length);
        Some(Came { kind, flags, stream, payload })
    }

    /// Reads until a frame fits; `None` when the connection ends first.
    pub async fn find(&mut self, fits: impl Fn(&Came) -> bool) -> Option<Came> {
        while let Some(frame) = self.next().await {
            if fits(&frame) {
                return Some(frame);
            }
        }
        None
    }

    /// Waits until the other side closes.
    pub async fn ended(mut self) {
        let began = std::time::Instant::now();
        while self.next().await.is_some() {}
        assert!(began.elapsed() < Duration::from_secs(5), "the edge did not close the connection");
    }
}
