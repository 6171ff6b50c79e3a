//! An environment file: names and values, readable by its owner alone.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::dotenv;
use crate::error::{Result, SecretsError};
use crate::redact::Redactor;
use crate::secret::Secret;
use crate::version::{Salt, Version};

/// Far more than any environment; a log file given by mistake is not read into memory.
const LIMIT: u64 = 1024 * 1024;

/// The content of an environment file. Printed, it shows the names only.
#[derive(Debug)]
pub struct EnvFile {
    values: BTreeMap<String, Secret>,
}

impl EnvFile {
    /// Reads a file whose mode is 0600 or 0400. Any other mode is refused, with the command that puts it right.
    pub fn load(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let fault = |source| SecretsError::Read { file: file.clone(), source };
        // Opened once: what is checked is what is read, even if the path is pointed elsewhere in between.
        let mut opened = File::open(path).map_err(fault)?;
        let metadata = opened.metadata().map_err(fault)?;
        refuse(&file, &metadata)?;
        let mut bytes = Vec::new();
        opened.by_ref().take(LIMIT + 1).read_to_end(&mut bytes).map_err(fault)?;
        if bytes.len() as u64 > LIMIT {
            return Err(SecretsError::TooLarge { file, limit: LIMIT });
        }
        Self::parse(&bytes, &file)
    }

    /// Parses the content of a file. `file` is its name in errors, which tell all mistakes at once and no value.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            SecretsError::NotText {
                file: file.to_owned(),
                line: 1 + good.iter().filter(|byte| **byte == b'\n').count(),
            }
        })?;
        let values = dotenv::parse(text).map_err(|faults| SecretsError::Mistakes { file: file.to_owned(), faults })?;
        Ok(Self { values })
    }

    /// The names, sorted.
    pub fn names(&self) -> Vec<&str> {
        self.values.keys().map(String::as_str).collect()
    }

    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.values.get(name)
    }

    /// Names and values, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.values.iter().map(|(name, secret)| (name.as_str(), secret))
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

fn refuse(file: &str, metadata: &Metadata) -> Result<()> {
    if !metadata.is_file() {
        return Err(SecretsError::NotAFile { file: file.to_owned() });
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if matches!(mode, 0o600 | 0o400) {
        return Ok(());
    }
    // A quote inside single quotes is the one thing a shell would read as more than a name.
    let fix = format!("chmod 0600 '{}'", file.replace('\'', r"'\''"));
    Err(SecretsError::Mode { file: file.to_owned(), mode, fix })
}

#[cfg(test)]
mod tests;
