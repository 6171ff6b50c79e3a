//! Help for tests that meet real things: a Docker Engine, ports, folders, and time that passes.
//!
//! Nothing of this is in the product. Three ideas hold it together.
//!
//! A test never sleeps for a guess: `wait_for` asks until the answer is right, and when its time is over it
//! reports the last answer, because "timed out" alone helps nobody.
//!
//! What a test makes on a real engine carries a label that no other test has, and `RealDocker` removes everything
//! with that label when it is dropped, also when the test panics. A missing engine fails the test and says what
//! to install; a test that skips itself proves nothing.
//!
//! A test that needs a web application takes `app_image`: a small server with switches for every kind of trouble
//! (late health, crashes, slow answers, memory without end), in an image that takes a second to make.

#![expect(clippy::panic, clippy::expect_used, reason = "this crate is part of tests: a panic is how a test fails")]

mod app;
mod place;
mod real_docker;
mod wait;

pub use app::{app_image, registry_image, writer_image};
pub use place::{free_port, temp_root};
pub use real_docker::{BASE_IMAGE, RealDocker};
pub use wait::wait_for;
