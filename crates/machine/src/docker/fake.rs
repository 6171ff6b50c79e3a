//! The fake engine.

/// How containers of an image behave.
#[derive(Debug, Clone, Default)]
pub enum Behaviour {
    #[default]
    Runs,
}

/// An engine in memory.
#[derive(Debug, Clone, Default)]
pub struct FakeDocker {}
