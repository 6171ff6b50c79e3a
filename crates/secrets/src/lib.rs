//! Secrets: the only crate that sees plaintext, small enough to be audited by reading it.
//!
//! A secret comes from a [`Source`], today an environment file beside the platform file, and leaves as a [`Secret`]:
//! a value that shows `[redacted]` wherever it is printed, cannot be serialised, and is read only by calling
//! [`Secret::expose`], so that every place that reads one is found by searching for that word.
//!
//! A [`Redactor`] knows all values and takes them out of text that others wrote: container logs, process errors, reports.
//! A [`Version`] names the content of a source without saying anything about it, so that a release can record which
//! secrets it was started with and a plan can say that they have changed.
//!
//! ```text
//!   .env            --> EnvFile --+--> Secret --expose()--> the environment of a container, nothing else
//!                                  +--> Redactor --> logs, errors, reports without the values
//!                                  +--> Version  --> release record, plan
//! ```
//!
//! What it never does: write a file, print, log, keep a value in an error. A parse error names the line and the variable
//! and quotes nothing, because the line that cannot be parsed may be the one with the password.

mod dotenv;
mod env_file;
mod error;
mod redact;
mod secret;
mod source;
mod version;

pub use env_file::{Access, EnvFile};
pub use error::{Fault, Faults, Result, SecretsError};
pub use redact::{Redactor, SHORTEST};
pub use secret::Secret;
pub use source::Source;
pub use version::{Salt, Version};
