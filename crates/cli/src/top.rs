//! `mainstay top`: what the edge does right now, seen by looking at its counters twice.
//!
//! [`rates`] makes a [`rates::Frame`] of two looks, [`view`] makes lines of a frame, both purely.
//! [`live`] keeps looking and shows the lines on a [`screen`], which is the terminal's and is given back whatever
//! happens.

mod columns;
mod grid;
pub mod live;
mod numbers;
mod percentile;
pub mod rates;
mod screen;
pub mod view;

#[cfg(test)]
mod tests;
