//! The smallest image there can be: one program that waits for ever.
//!
//! A container of it does nothing and needs nothing; it is there for its network namespace and its names.
//! The program is a few instructions long, so it is written down here instead of being built or pulled: a machine
//! without a way to any registry can make it.

/// The path of the program in the image.
pub const PROGRAM: &str = "pause";

/// What else the image says. A container of it is to be stopped by SIGKILL: process 1 takes no notice of a polite signal
/// without a handler for it.
pub const LINES: [&str; 1] = ["ENTRYPOINT [\"/pause\"]"];

/// `pause` for ever. (x86_64)
///
/// ```text
/// mov eax, 34; syscall; jmp back
/// ```
#[cfg(not(target_arch = "aarch64"))]
const CODE: &[u8] = &[0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7];
#[cfg(not(target_arch = "aarch64"))]
const MACHINE: u16 = 62;

/// `ppoll` of nothing for ever, since there is no `pause`. (aarch64)
///
/// ```text
/// mov x0, 0; mov x1, 0; mov x2, 0; mov x3, 0; mov x8, 73; svc 0; b back
/// ```
#[cfg(target_arch = "aarch64")]
const CODE: &[u8] = &[
    0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x80, 0xd2, 0x02, 0x00, 0x80, 0xd2, 0x03, 0x00, 0x80, 0xd2, 0x28, 0x09, 0x80,
    0xd2, 0x01, 0x00, 0x00, 0xd4, 0xfa, 0xff, 0xff, 0x17,
];
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

const LOAD_AT: u64 = 0x40_0000;
const BLOCK: usize = 512;
const FILE_HEADER: u16 = 64;
const PROGRAM_HEADER: u16 = 56;

/// The files of the image, as a tar archive.
pub fn archive() -> Vec<u8> {
    let program = program();
    let mut header = tar::Header::new_ustar();
    let name = header.as_old_mut().name.iter_mut();
    name.zip(PROGRAM.bytes()).for_each(|(place, byte)| *place = byte);
    header.set_mode(0o755);
    header.set_size(program.len() as u64);
    header.set_cksum();
    let mut archive = header.as_bytes().to_vec();
    archive.extend(&program);
    // The last block of the file is filled up, and two empty ones end the archive.
    archive.resize(archive.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    archive
}

/// An ELF file of one segment. (man 5 elf)
fn program() -> Vec<u8> {
    let code_at = u64::from(FILE_HEADER) + u64::from(PROGRAM_HEADER);
    let size = code_at + CODE.len() as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    file.extend([0; 8]);
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    // An executable for this machine.
    half(&mut file, 2);
    half(&mut file, MACHINE);
    word(&mut file, 1);
    long(&mut file, LOAD_AT + code_at);
    // Its program headers follow; it has no sections.
    long(&mut file, u64::from(FILE_HEADER));
    long(&mut file, 0);
    word(&mut file, 0);
    half(&mut file, FILE_HEADER);
    half(&mut file, PROGRAM_HEADER);
    half(&mut file, 1);
    half(&mut file, 0);
    half(&mut file, 0);
    half(&mut file, 0);
    // The whole file is loaded, to be read and executed.
    word(&mut file, 1);
    word(&mut file, 5);
    long(&mut file, 0);
    long(&mut file, LOAD_AT);
    long(&mut file, LOAD_AT);
    long(&mut file, size);
    long(&mut file, size);
    long(&mut file, 0x1000);
    file.extend(CODE);
    file
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the program is run as it is, and nothing tells that it waits")]
    fn the_program_runs_and_waits_until_it_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        tar::Archive::new(archive().as_slice()).unpack(folder.path()).unwrap();
        let path = folder.path().join(PROGRAM);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o755);
        let mut child = Command::new(path).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(child.try_wait().unwrap(), None, "it waits");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
