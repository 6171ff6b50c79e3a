//! An environment file: names and values, and who may read it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::dotenv::{self, Written};
use crate::error::{Faults, Result, SecretsError};
use crate::redact::Redactor;
use crate::secret::Secret;
use crate::version::{Salt, Version};

/// Far more than any environment; a log file given by mistake is not read into memory.
const LIMIT: u64 = 1024 * 1024;

/// The content of an environment file, as it is written. Printed, it shows the names only.
#[derive(Debug, Default)]
pub struct EnvFile {
    written: Written,
    access: Access,
}

/// Who may read a file, as it was when it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// The bits of its mode.
    pub mode: u32,
    /// Its owner.
    pub owner: u32,
}

impl Access {
    /// Whether others than its owner can reach what is in it.
    pub fn is_open(self) -> bool {
        self.mode & 0o077 != 0
    }

    /// The people that its mode lets in, besides its owner.
    pub fn readers(self) -> &'static str {
        match self.mode {
            mode if mode & 0o004 != 0 => "readable by all users",
            mode if mode & 0o040 != 0 => "readable by its group",
            _ => "open to others than its owner",
        }
    }
}

impl EnvFile {
    /// Reads a file, whoever else may read it: see [`EnvFile::access`].
    pub fn load(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let fault = |source| SecretsError::Read { file: file.clone(), source };
        // Opened once: what is looked at is what is read, even if the path is pointed elsewhere in between.
        let mut opened = File::open(path).map_err(fault)?;
        let metadata = opened.metadata().map_err(fault)?;
        if !metadata.is_file() {
            return Err(SecretsError::NotAFile { file });
        }
        let mut bytes = Vec::new();
        opened.by_ref().take(LIMIT + 1).read_to_end(&mut bytes).map_err(fault)?;
        if bytes.len() as u64 > LIMIT {
            return Err(SecretsError::TooLarge { file, limit: LIMIT });
        }
        let access = Access { mode: metadata.permissions().mode() & 0o7777, owner: metadata.uid() };
        Ok(Self { access, ..Self::parse(&bytes, &file)? })
    }

    /// Parses the content of a file. `file` is its name in errors, which tell no value.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            SecretsError::NotText {
                file: file.to_owned(),
                line: 1 + good.iter().filter(|byte| **byte == b'\n').count(),
            }
        })?;
        Ok(Self { written: dotenv::parse(text), access: Access::default() })
    }

    /// What these names mean, as somebody else found out.
    pub fn of_values(values: impl IntoIterator<Item = (String, String)>) -> Self {
        let values = values.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        Self { written: Written { values, ..Written::default() }, access: Access::default() }
    }

    /// Who may read it.
    pub fn access(&self) -> Access {
        self.access
    }

    /// What Compose will refuse: all mistakes at once.
    pub fn faults(&self) -> &Faults {
        &self.written.faults
    }

    /// Every name that it gives a value to, or takes from the shell; sorted.
    pub fn all_names(&self) -> impl Iterator<Item = &str> {
        self.written.values.keys().chain(&self.written.inherited).map(String::as_str)
    }

    /// The names, sorted.
    pub fn names(&self) -> Vec<&str> {
        self.written.values.keys().map(String::as_str).collect()
    }

    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.written.values.get(name)
    }

    /// Names and values, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.written.values.iter().map(|(name, secret)| (name.as_str(), secret))
    }

    /// Knows all values of this file.
    pub fn redactor(&self) -> Redactor {
        Redactor::new(self.iter())
    }

    /// Names this content. The order of lines, comments and quoting do not count.
    pub fn version(&self, salt: &Salt) -> Version {
        Version::of(self.iter().map(|(name, secret)| (name, secret.expose())), salt)
    }
}

#[cfg(test)]
mod tests;
