//! Reading the platform file.

use super::PlatformFile;
use crate::problem::Problems;

pub(super) fn platform_file(_text: &str, _file: &str) -> Result<PlatformFile, Problems> {
    Ok(PlatformFile::default())
}
