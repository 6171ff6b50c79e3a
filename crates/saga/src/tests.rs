//! The engine over a world in memory.

mod ends;
mod generic;
mod recovery;
mod stuck;
mod town;
