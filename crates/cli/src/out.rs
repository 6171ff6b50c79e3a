//! Printing to somebody who may have stopped reading: `mainstay events | head -1` ends quietly, as any filter does.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stdout};

/// What a shell says of a program that SIGPIPE has ended.
const PIPE_CLOSED: i32 = 141;

/// Writes a text; nobody is there to be told that it could not be.
#[expect(clippy::exit, reason = "what reads has gone, and what only shows things has nothing left to do")]
pub fn out(text: Arguments<'_>) {
    if let Err(error) = stdout().write_fmt(text)
        && error.kind() == ErrorKind::BrokenPipe
    {
        std::process::exit(PIPE_CLOSED);
    }
}

/// Writes the result of something that was done: its exit code counts, whoever reads it.
pub fn result(text: Arguments<'_>) {
    let _ = stdout().write_fmt(text);
}

macro_rules! print {
    ($($text:tt)*) => { $crate::out::out(format_args!($($text)*)) };
}

macro_rules! println {
    () => { $crate::out::out(format_args!("\n")) };
    ($($text:tt)*) => { $crate::out::out(format_args!("{}\n", format_args!($($text)*))) };
}
