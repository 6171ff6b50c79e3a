//! A first platform file from a compose project.

use crate::compose::Project;

/// A commented `mainstay.yaml` with the reason beside each choice.
pub fn platform_file(_project: &Project) -> String {
    String::from("version: 1\n")
}
