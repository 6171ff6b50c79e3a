//! What the machine tells about the images, folders and volumes that a compose file names.
//!
//! Resolving is pure: whoever calls it looks, and says here what was found. What nobody has looked at is taken as the
//! file alone tells it, on the careful side: an unknown path is a folder with data.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::single_file::FileFacts;
use crate::ids::ServiceName;

/// Everything that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The image of each service, where it is here already.
    pub images: BTreeMap<ServiceName, ImageFacts>,
    /// Paths of the host by the words of the compose file.
    pub paths: BTreeMap<String, PathFacts>,
    /// Volumes that exist, by real name.
    pub volumes: BTreeMap<String, VolumeFacts>,
    /// Programs outside of this stack that read the Docker socket and can reach it, by the names of
    /// [`crate::resolve::reader`].
    pub readers: BTreeSet<String>,
}

/// What an image says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// The folders that it declares as volumes.
    pub volumes: Vec<String>,
    /// The ports that it exposes, over TCP.
    pub ports: Vec<u16>,
    /// Its entrypoint and command.
    pub words: Vec<String>,
    /// The names of its variables.
    pub variables: BTreeSet<String>,
    /// Its title, by the label of the image specification.
    pub title: Option<String>,
}

/// What lies at a path of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFacts {
    /// The path without links.
    pub canonical: String,
    /// What it is.
    pub kind: PathKind,
    /// Which database keeps its files there, where one does.
    pub database: Option<Database>,
    /// What counts where it is a single file.
    pub file: FileFacts,
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathKind {
    /// Nothing is there yet; Docker makes a folder.
    Missing,
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A socket, a terminal, a graphics card: nothing that keeps data.
    Other,
    /// A disk, by its number.
    Disk(String),
}

/// A database, by its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Its name: `PostgreSQL`.
    pub name: String,
    /// Whether a server of its own keeps it, and not a program that has it inside.
    pub server: bool,
}

/// What Docker says about a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeFacts {
    /// Its driver.
    pub driver: String,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Which database keeps its files there, where one does.
    pub database: Option<Database>,
}
