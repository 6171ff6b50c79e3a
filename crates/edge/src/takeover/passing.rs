//! Sending bytes and open files over a unix socket.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

/// Open files per message; the kernel takes up to 253.
const BATCH: usize = 64;

/// No manifest is larger.
const MOST_BYTES: u32 = 16 << 20;

/// Sends a length, the bytes, and then the files, each batch with one byte to carry it.
pub(crate) fn send(stream: &mut UnixStream, bytes: &[u8], files: &[OwnedFd]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(bytes)?;
    for batch in files.chunks(BATCH) {
        let borrowed: Vec<_> = batch.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
            return Err(io::Error::other("there is no room for the files"));
        }
        sendmsg(&*stream, &[IoSlice::new(b"f")], &mut control, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

pub(crate) fn receive(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0u8; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
    }
    let mut bytes = vec![0u8; length as usize];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Receives so many files.
pub(crate) fn receive_files(stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut files = Vec::with_capacity(count);
    while files.len() < count {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0u8; 1];
        // Closed on exec from the start, so that no child of another thread gets hold of them.
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before = files.len();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                files.extend(rights);
            }
        }
        if files.len() == before {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message came without its files"));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    #[test]
    fn more_files_than_fit_in_one_message_arrive_in_their_order() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let files: Vec<OwnedFd> = (0..150)
            .map(|number| {
                let mut file = tempfile::tempfile().unwrap();
                write!(file, "{number}").unwrap();
                file.rewind().unwrap();
                file.into()
            })
            .collect();
        send(&mut here, b"words", &files).unwrap();
        assert_eq!(receive(&mut there).unwrap(), b"words");
        let received = receive_files(&there, 150).unwrap();
        for (number, file) in received.into_iter().enumerate() {
            let mut text = String::new();
            std::fs::File::from(file).read_to_string(&mut text).unwrap();
            assert_eq!(text, number.to_string());
        }
    }

    #[test]
    fn a_sender_that_dies_in_between_is_an_error() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let file: OwnedFd = tempfile::tempfile().unwrap().into();
        send(&mut here, b"words", &[file]).unwrap();
        drop(here);
        receive(&mut there).unwrap();
        assert_eq!(receive_files(&there, 2).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
