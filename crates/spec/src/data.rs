//! Where data lies: the places that a service writes to, and whether two services write to the same.
//!
//! One mount may be one place under several names: a volume whose driver binds a folder is that volume and that folder.

pub mod single_file;

use serde::{Deserialize, Serialize};

/// One place in which data lies, by a name that no other place has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A volume of Docker, by its real name.
    Volume(String),
    /// A folder or file of the host, by its canonical path; what lies in it belongs to it.
    Path(String),
    /// A folder that another machine shares.
    Share {
        /// The machine, and how it shares: `nfs:10.0.0.5`.
        server: String,
        /// The path there; what lies in it belongs to it.
        path: String,
    },
    /// A disk, by its number.
    Device(String),
}

impl Place {
    /// Whether data that is written to the one may be data of the other.
    pub fn overlaps(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::Path(one), Place::Path(two)) => within(one, two) || within(two, one),
            (Place::Share { server: here, path: one }, Place::Share { server: there, path: two }) => {
                here == there && (within(one, two) || within(two, one))
            }
            (one, two) => one == two,
        }
    }
}

/// Whether a path is a folder or lies in it.
fn within(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Volume(name) => write!(f, "volume `{name}`"),
            Place::Path(path) => write!(f, "`{path}`"),
            Place::Share { server, path } => write!(f, "share `{server}{path}`"),
            Place::Device(number) => write!(f, "disk {number}"),
        }
    }
}

/// A mount through which a service writes data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataMount {
    /// Where it appears in the container.
    pub target: String,
    /// What it is, in the words of the file: "volume `pgdata`", "folder `./data`".
    pub what: String,
    /// What it is on this machine; empty for a volume of the service's own, which nobody else can name.
    #[serde(default)]
    pub places: Vec<Place>,
    /// Whether it is a volume without a name, by the file or the image, so that the service gets one of its own.
    #[serde(default)]
    pub own: bool,
    /// Which database keeps its files there, where one does: `PostgreSQL`, `SQLite`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

impl DataMount {
    /// Whether both lead to the same data.
    pub fn meets(&self, other: &DataMount) -> bool {
        self.places.iter().any(|one| other.places.iter().any(|two| one.overlaps(two)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_overlaps_what_lies_in_it_and_nothing_beside_it() {
        let path = |text: &str| Place::Path(text.to_owned());
        assert!(path("/srv/data").overlaps(&path("/srv/data")));
        assert!(path("/srv/data").overlaps(&path("/srv/data/pg")));
        assert!(path("/srv/data/pg").overlaps(&path("/srv/data/")));
        assert!(!path("/srv/data").overlaps(&path("/srv/data2")));
        assert!(!path("/srv/data/a").overlaps(&path("/srv/data/b")));
        assert!(!path("/srv/data").overlaps(&Place::Volume("/srv/data".into())));
    }

    #[test]
    fn shares_of_two_servers_are_two_places() {
        let share = |server: &str, path: &str| Place::Share { server: server.into(), path: path.into() };
        assert!(share("nfs:a", "/export").overlaps(&share("nfs:a", "/export/sub")));
        assert!(!share("nfs:a", "/export").overlaps(&share("nfs:b", "/export")));
    }
}
