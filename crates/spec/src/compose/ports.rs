//! Published ports.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::value;
use crate::platform::Bind;

/// One port of a container that is published on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The port inside the container.
    pub target: u16,
    /// The port on the host; `None` when Docker picks one, the first one of a range.
    pub published: Option<u16>,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The address on the host, if it is not every address.
    pub host_ip: Option<String>,
}

impl Port {
    /// The sockets on the host: those of both families where the file names no address, as Docker has it; none where
    /// Docker picks the port.
    pub fn binds(&self) -> Vec<Bind> {
        let Some(published) = self.published else { return Vec::new() };
        match self.address() {
            None => Bind::any(published).each().collect(),
            Some(address) => {
                let address = address.parse::<IpAddr>().ok();
                address.map(|address| Bind::exactly(SocketAddr::new(address, published))).into_iter().collect()
            }
        }
    }

    /// Whether it is published on every address of the host, not on the loopback or another one alone.
    pub fn is_everywhere(&self) -> bool {
        let address = self.address().map(str::parse::<IpAddr>);
        address.is_none_or(|address| address.is_ok_and(|address| address.is_unspecified()))
    }

    fn address(&self) -> Option<&str> {
        let written = self.host_ip.as_deref()?;
        let bare = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(written);
        (!bare.is_empty()).then_some(bare)
    }

    pub(super) fn all(listed: Option<&Value>) -> Vec<Port> {
        let Some(listed) = listed.and_then(Value::as_array) else { return Vec::new() };
        listed.iter().filter_map(Port::read).collect()
    }

    fn read(raw: &Value) -> Option<Port> {
        match raw {
            Value::Object(fields) => Some(Port {
                target: small(fields.get("target")?)?,
                published: fields.get("published").and_then(first_of_range),
                protocol: fields.get("protocol").and_then(value::text).unwrap_or_else(|| "tcp".to_owned()),
                host_ip: fields.get("host_ip").and_then(value::text),
            }),
            short => Port::read_short(&value::text(short)?),
        }
    }

    /// The short form, `[[address:]published:]target[/protocol]`; Compose spells it out, hand-made input may not.
    fn read_short(text: &str) -> Option<Port> {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (before, target) = ports.rsplit_once(':').map_or((None, ports), |(before, target)| (Some(before), target));
        let (host_ip, published) = match before {
            None => (None, None),
            Some(before) => before.rsplit_once(':').map_or((None, Some(before)), |(ip, port)| (Some(ip), Some(port))),
        };
        Some(Port {
            target: first(target)?,
            published: published.and_then(first),
            protocol: protocol.to_owned(),
            host_ip: host_ip.map(str::to_owned),
        })
    }
}

/// The ports of `expose`, which are texts such as `8000`, `8000/tcp` or `8000-8002`.
pub(super) fn exposed(listed: Option<&Value>) -> Vec<u16> {
    value::texts(listed).iter().filter(|text| !text.ends_with("/udp")).filter_map(|text| first(text)).collect()
}

fn first_of_range(value: &Value) -> Option<u16> {
    first(&value::text(value)?)
}

fn first(text: &str) -> Option<u16> {
    let digits = text.split(['-', '/']).next()?;
    digits.trim().parse().ok().filter(|port| *port > 0)
}

fn small(value: &Value) -> Option<u16> {
    u16::try_from(value::whole(value)?).ok().filter(|port| *port > 0)
}
