//! The salt that keys the hashes of definitions on this machine.

use std::io::Read;

use machine::files::Root;

use crate::errors::{Failure, failed};

const FILE: &str = "salt";
const LENGTH: usize = 32;

pub fn load(root: &Root) -> Result<Vec<u8>, Failure> {
    if let Some(salt) = root.read(FILE).map_err(failed("read the salt"))?
        && salt.len() == LENGTH
    {
        return Ok(salt);
    }
    let mut salt = vec![0; LENGTH];
    let mut random = std::fs::File::open("/dev/urandom").map_err(failed("get random bytes"))?;
    random.read_exact(&mut salt).map_err(failed("get random bytes"))?;
    root.write_atomic(FILE, &salt, 0o600).map_err(failed("keep the salt"))?;
    Ok(salt)
}
