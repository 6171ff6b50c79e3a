//! What is wrong with a file, said so that the next edit fixes it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong, where it is, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Problem {
    /// The file as the reader named it.
    pub file: String,
    /// Line, counted from 1; 0 when the place is not known.
    pub line: usize,
    /// Column, counted from 1; 0 when the place is not known.
    pub column: usize,
    /// The keys that lead there, such as `services.api.port`; empty for the file itself.
    pub path: String,
    /// What was found, as it was written.
    pub found: String,
    /// What is allowed there; empty when the message says it all.
    pub allowed: String,
    /// The known word that is nearest to what was found.
    pub nearest: Option<String>,
    /// The problem as a sentence without its final stop.
    pub message: String,
}

/// Everything that is wrong, at once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many things are wrong.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The problems, one by one.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// Gives the value back when nothing is wrong, and everything that is wrong otherwise.
    /// Problems are put in the order of the file, so that a person fixes it from top to bottom.
    pub fn or<T>(mut self, value: Option<T>) -> Result<T, Problems> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            _ => {
                self.0.sort_by(|a, b| (&a.file, a.line, a.column, &a.path).cmp(&(&b.file, b.line, b.column, &b.path)));
                Err(self)
            }
        }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Problems(vec![problem])
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.path.is_empty() {
            write!(f, "\n  at       {}", self.path)?;
        }
        if !self.found.is_empty() {
            write!(f, "\n  found    {}", self.found)?;
        }
        if !self.allowed.is_empty() {
            write!(f, "\n  allowed  {}", self.allowed)?;
        }
        if let Some(nearest) = &self.nearest {
            write!(f, "\n  nearest  {nearest}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// The known word nearest to this one, if one is near enough to have been meant.
pub(crate) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<String> {
    let wanted = word.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|candidate| {
            let plain = candidate.to_lowercase().replace('-', "_");
            (strsim::jaro_winkler(&wanted, &plain), strsim::damerau_levenshtein(&wanted, &plain), candidate)
        })
        .filter(|(likeness, distance, candidate)| {
            // Short words are alike by accident, so edits count there; long ones may be cut or joined.
            *distance <= 1 + candidate.len() / 4 || (*likeness > 0.9 && candidate.len() > 4)
        })
        .max_by(|a, b| b.1.cmp(&a.1).then(a.0.total_cmp(&b.0)))
        .map(|(_, _, candidate)| candidate.to_owned())
}
