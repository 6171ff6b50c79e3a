//! What one client, one target or one connection may use up.

use std::time::Duration;

/// The edge's limits and patience; the defaults suit one server with small services.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the first byte of a request to the end of its headers.
    pub header_read: Duration,
    /// A TLS handshake, from the first byte to the agreed protocol.
    pub tls_handshake: Duration,
    /// Silence inside a request body.
    pub request_body_idle: Duration,
    /// Bytes per second that a client must send of a request's body, and take of an answer, on average; 0 asks nothing.
    ///
    /// Only the time counts in which the edge waits for the client. WebSockets, server-sent events and gRPC are free.
    pub body_rate: u64,
    /// How long a client may fall behind that rate.
    pub body_grace: Duration,
    /// A client that does not take what it asked for.
    pub client_write: Duration,
    /// A client of HTTP/1 that has ended its sending and waits for its answer (`nc` with a request on its standard
    /// input); most that look like that have left, and what they asked for is given up after so long.
    pub client_half_closed: Duration,
    /// An idle keep-alive connection of a client.
    pub client_idle: Duration,
    /// An idle keep-alive connection to a target. Node closes after 5 s and answers nothing, so ours ends earlier.
    pub target_idle: Duration,
    /// An HTTP/2 connection to a target without a call. Such servers say that they close (GOAWAY), so it may rest longer.
    pub target_idle_h2: Duration,
    /// The first words of a target over HTTP/2 on a new connection.
    pub target_first_words: Duration,
    /// Silence of a target with calls under way over HTTP/2, after which it is asked whether it still lives.
    ///
    /// gRPC servers take more than one such question in five minutes for an attack, and close the connection.
    pub target_ping: Duration,
    /// How long it may take to answer that.
    pub target_ping_patience: Duration,
    /// All headers of one request together; more is answered 431.
    pub header_bytes: usize,
    /// Headers of one request by number; more are answered 431.
    pub header_count: usize,
    /// Path and query of one request; more is answered 414.
    pub uri_bytes: usize,
    /// One request body; `None` leaves it to the service.
    pub body_bytes: Option<u64>,
    /// Connections per listener; more wait in the listen queue.
    pub connections: usize,
    /// Connections of one client (an IPv6 /64) on public listeners; more are closed at once.
    ///
    /// Large enough for an office or a mobile network behind one address; a twentieth of a listener's connections, so
    /// that no single address can take them all.
    pub connections_per_client: u32,
    /// Streams of one HTTP/2 connection at a time.
    pub streams: u32,
    /// Idle connections kept per target.
    pub idle_per_target: usize,
    /// How long a shutdown waits for what is under way.
    pub shutdown: Duration,
    /// How long a successor gets from the sockets to the word that it serves; then this edge serves on.
    pub successor: Duration,
    /// After a takeover: an idle connection is closed when it asks for nothing for so long.
    pub handover_idle: Duration,
    /// After a takeover: WebSockets are closed.
    pub handover_websockets: Duration,
    /// After a takeover: what is still under way is cut.
    pub handover: Duration,
    /// WebSockets of a switched-away release are closed over this long, so that not all clients come back at once.
    pub close_spread: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            header_read: Duration::from_secs(15),
            tls_handshake: Duration::from_secs(10),
            request_body_idle: Duration::from_secs(60),
            // Slower than any modem; a minute behind it is a tunnel on a train.
            body_rate: 240,
            body_grace: Duration::from_secs(60),
            client_write: Duration::from_secs(60),
            client_half_closed: Duration::from_secs(5),
            client_idle: Duration::from_secs(75),
            target_idle: Duration::from_secs(4),
            target_idle_h2: Duration::from_secs(60),
            target_first_words: Duration::from_secs(10),
            target_ping: Duration::from_secs(310),
            target_ping_patience: Duration::from_secs(20),
            header_bytes: 32 << 10,
            header_count: 100,
            uri_bytes: 8 << 10,
            body_bytes: None,
            connections: 20_000,
            connections_per_client: 1_000,
            streams: 128,
            idle_per_target: 256,
            shutdown: Duration::from_secs(30),
            successor: Duration::from_secs(10),
            handover_idle: Duration::from_secs(10),
            handover_websockets: Duration::from_secs(60),
            handover: Duration::from_secs(300),
            close_spread: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// How often the sweeper looks: a quarter of the shortest limit, within reason.
    pub(crate) fn sweep_every(&self) -> Duration {
        let shortest = self.header_read.min(self.client_write).min(self.client_idle).min(self.target_idle);
        (shortest / 4).clamp(Duration::from_millis(20), Duration::from_millis(250))
    }
}
