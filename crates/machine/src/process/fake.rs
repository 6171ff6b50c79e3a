//! Scripted programs for tests.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::lines::Lines;
use super::{Command, Output, ProcessError, Processes, Stream};

/// Answers commands from a script and remembers what it was asked.
#[derive(Default)]
pub struct FakeProcesses {
    script: Mutex<Vec<Answer>>,
    calls: Mutex<Vec<Command>>,
}

type Deed = Arc<dyn Fn(&Command) -> Output + Send + Sync>;

struct Answer {
    words: Vec<String>,
    deed: Deed,
    once: bool,
}

impl FakeProcesses {
    pub fn new() -> Self {
        Self::default()
    }

    /// Whenever a command's words begin with these (split at spaces), this is the answer. Later lines win.
    pub fn on(self, words: &str, status: i32, stdout: &str, stderr: &str) -> Self {
        self.answer(words, fixed(status, stdout, stderr), false);
        self
    }

    /// As `on`, with an answer that is worked out from the command, and may do something on the way.
    pub fn when(self, words: &str, deed: impl Fn(&Command) -> Output + Send + Sync + 'static) -> Self {
        self.answer(words, Arc::new(deed), false);
        self
    }

    /// As `on`, for one call only; several of them are used up in order, before any `on`.
    pub fn once(self, words: &str, status: i32, stdout: &str, stderr: &str) -> Self {
        self.answer(words, fixed(status, stdout, stderr), true);
        self
    }

    /// Every command so far, in order.
    pub fn calls(&self) -> Vec<Command> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same as the words a person would read.
    pub fn lines(&self) -> Vec<String> {
        self.calls().iter().map(Command::to_string).collect()
    }

    fn answer(&self, words: &str, deed: Deed, once: bool) {
        let words = words.split_whitespace().map(str::to_owned).collect();
        self.script.lock().unwrap_or_else(PoisonError::into_inner).push(Answer { words, deed, once });
    }

    fn find(&self, command: &Command) -> Option<Deed> {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = command.words();
        let fits = |answer: &Answer| {
            answer.words.len() <= asked.len() && answer.words.iter().zip(&asked).all(|(want, have)| want == have)
        };
        if let Some(at) = script.iter().position(|answer| answer.once && fits(answer)) {
            return Some(script.remove(at).deed);
        }
        script.iter().rev().find(|answer| fits(answer)).map(|answer| answer.deed.clone())
    }
}

impl std::fmt::Debug for FakeProcesses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeProcesses").field("calls", &self.lines()).finish_non_exhaustive()
    }
}

fn fixed(status: i32, stdout: &str, stderr: &str) -> Deed {
    let output = Output { status, stdout: stdout.into(), stderr: stderr.into() };
    Arc::new(move |_| output.clone())
}

#[async_trait]
impl Processes for FakeProcesses {
    /// A command that nobody scripted is a program that is not there.
    async fn run(&self, command: &Command) -> Result<Output, ProcessError> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(command.clone());
        let deed = self.find(command).ok_or_else(|| ProcessError::NoProgram { program: command.program.clone() })?;
        Ok(deed(command))
    }

    async fn stream(
        &self,
        command: &Command,
        on_line: &mut (dyn FnMut(Stream, String) + Send),
    ) -> Result<i32, ProcessError> {
        let output = self.run(command).await?;
        for (stream, bytes) in [(Stream::Stdout, &output.stdout), (Stream::Stderr, &output.stderr)] {
            let mut lines = Lines::default();
            lines.push(bytes, &mut |line| on_line(stream, line));
            lines.finish(&mut |line| on_line(stream, line));
        }
        Ok(output.status)
    }
}
