//! Where secrets come from. An enum and not a trait: the list of stores is short, and each must be audited here.

use std::path::Path;

use crate::env_file::EnvFile;
use crate::error::Result;
use crate::redact::Redactor;
use crate::secret::Secret;
use crate::version::{Salt, Version};

/// An open source of secrets. Encrypted stores will be further variants.
#[derive(Debug)]
pub enum Source {
    EnvFile(EnvFile),
}

impl Source {
    /// Opens an environment file.
    pub fn env_file(path: &Path) -> Result<Self> {
        Ok(Self::EnvFile(EnvFile::load(path)?))
    }

    /// The names of the secrets, sorted.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::EnvFile(file) => file.names(),
        }
    }

    pub fn get(&self, name: &str) -> Option<&Secret> {
        match self {
            Self::EnvFile(file) => file.get(name),
        }
    }

    pub fn redactor(&self) -> Redactor {
        match self {
            Self::EnvFile(file) => file.redactor(),
        }
    }

    pub fn version(&self, salt: &Salt) -> Version {
        match self {
            Self::EnvFile(file) => file.version(salt),
        }
    }
}
