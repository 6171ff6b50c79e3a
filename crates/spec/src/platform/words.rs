//! The words and addresses that values of the platform file are made of.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::InvalidUnit;

/// How a new release of a service takes over from the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The new release starts beside the old one, proves itself, and then gets all traffic at once.
    BlueGreen,
    /// The copies are replaced batch by batch; a new one is ready before an old one finishes and goes.
    Rolling,
    /// The old worker takes nothing new, finishes what it has begun, and only then the new one starts.
    DrainFirst,
    /// The old one finishes what is under way, for `drain` at most, and stops before the new one starts, because two must never run; new requests are held meanwhile.
    Exclusive,
    /// It stays as it is through deploys: databases and other keepers of data.
    Keep,
    /// It runs once per release and must end well before anything that depends on it starts.
    Job,
}

impl Strategy {
    /// Every strategy, in the order of the reference.
    pub const ALL: [Strategy; 6] = [
        Strategy::BlueGreen,
        Strategy::Rolling,
        Strategy::DrainFirst,
        Strategy::Exclusive,
        Strategy::Keep,
        Strategy::Job,
    ];

    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Strategy::BlueGreen => "blue-green",
            Strategy::Rolling => "rolling",
            Strategy::DrainFirst => "drain-first",
            Strategy::Exclusive => "exclusive",
            Strategy::Keep => "keep",
            Strategy::Job => "job",
        }
    }

    /// Whether an old and a new container run at the same time during a deploy.
    pub fn runs_two(self) -> bool {
        matches!(self, Strategy::BlueGreen | Strategy::Rolling)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What happens to CPU and memory limits on a host that has less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceMode {
    /// They are scaled down in proportion until their sum fits the host.
    Fit,
    /// They stay as declared; only a CPU limit above the host's own is cut, because Docker refuses it.
    #[default]
    Declared,
}

impl ResourceMode {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            ResourceMode::Fit => "fit",
            ResourceMode::Declared => "declared",
        }
    }
}

/// What becomes of a container that nobody here has made and that writes to a database's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Intruders {
    /// It is ended at once, and told of.
    #[default]
    Stop,
    /// It is told of and left running.
    Report,
}

/// An address and port to listen on, written as a port, or as `address:port`.
///
/// A port without an address means every address of both families, IPv4 and IPv6; see [`Bind::each`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bind(pub SocketAddr, bool);

impl Bind {
    /// This port on all addresses, IPv4 and IPv6.
    pub fn any(port: u16) -> Self {
        Bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port), true)
    }

    /// Exactly this address and port.
    pub fn exactly(address: SocketAddr) -> Self {
        Bind(address, false)
    }

    /// The sockets that this means: one for an address, one for each family where there is none.
    pub fn each(&self) -> impl Iterator<Item = Bind> + use<> {
        let six = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), self.0.port());
        std::iter::once(Bind::exactly(self.0)).chain(self.1.then_some(Bind::exactly(six)))
    }

    /// Reads `80`, `127.0.0.1:8080` or `[::]:80`.
    pub fn parse(text: &str) -> Result<Self, InvalidUnit> {
        let invalid = || InvalidUnit {
            kind: "an address to listen on",
            found: text.to_owned(),
            allowed: "a port from 1 to 65535, or `address:port` such as `127.0.0.1:8080`",
            nearest: None,
        };
        let text = text.trim();
        let bind = match text.parse::<u16>() {
            Ok(port) => Bind::any(port),
            Err(_) => Bind::exactly(text.parse::<SocketAddr>().map_err(|_| invalid())?),
        };
        if bind.0.port() == 0 { Err(invalid()) } else { Ok(bind) }
    }

    /// Whether two listeners cannot have both: the same port on the same address, or on every address of its family.
    pub fn meets(&self, other: &Bind) -> bool {
        let meet = |one: Bind, two: Bind| {
            let all = one.0.ip().is_unspecified() || two.0.ip().is_unspecified();
            one.0.is_ipv4() == two.0.is_ipv4() && (all || one.0.ip() == two.0.ip())
        };
        self.0.port() == other.0.port() && self.each().any(|one| other.each().any(|two| meet(one, two)))
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Bind {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        Bind::parse(text)
    }
}

impl Serialize for Bind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.1 { serializer.serialize_u16(self.0.port()) } else { serializer.collect_str(&self.0) }
    }
}

impl<'de> Deserialize<'de> for Bind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Port(u16),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Port(port) => port.to_string(),
            Written::Text(text) => text,
        };
        Bind::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Bind {
    fn schema_name() -> Cow<'static, str> {
        "Bind".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "format": "bind", "minimum": 1, "maximum": 65535 })
    }
}

/// Whether a byte may stand in the name of a header, a cookie or a method (RFC 9110, 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
