//! Looking again and again.

use std::io;
use std::time::Duration;

use edge::{Control, Counters};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::rates::{Frame, between};
use super::screen::{Act, Screen, acts};
use super::view::{Key, Line, Look, View, Wish};
use crate::errors::{Failure, failed};
use crate::supervise::stop_signal;

pub const SHORTEST: Duration = Duration::from_millis(100);
pub const LONGEST: Duration = Duration::from_secs(3600);
/// The first pair of looks is closer, so that something is there to be read.
const FIRST: Duration = Duration::from_millis(300);

/// Gives so many frames to `show`, or all until the process is told to stop; `show` says whether it wants more.
pub async fn each(
    control: &Control,
    interval: Duration,
    count: Option<u64>,
    mut show: impl FnMut(&Frame) -> io::Result<()>,
) -> Result<(), Failure> {
    let stop = stop_signal();
    let mut before = look(control).await?;
    let mut shown = 0;
    while count.is_none_or(|count| shown < count) {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(interval) => {}
        }
        let now = look(control).await?;
        // Nothing can be said about an interval in which another edge has taken over.
        if let Some(frame) = between(&before, &now) {
            match show(&frame) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.map_err(failed("write what was seen"))?,
            }
            shown += 1;
        }
        before = now;
    }
    Ok(())
}

async fn look(control: &Control) -> Result<Counters, Failure> {
    let looked = control.counters().await;
    looked.map_err(|error| {
        failed("look at the edge")(error).hint("`mainstay up` starts it; `mainstay status` tells more")
    })
}

/// The live view, until the person leaves it or the process is told to stop.
pub async fn live(control: &Control, view: View, interval: Duration) -> Result<(), Failure> {
    let mut screen = Screen::open().map_err(failed("use the terminal"))?;
    let mut acts = acts();
    let stop = stop_signal();
    let mut watch = Watch { view, interval, before: None, frame: None, trouble: None };
    let mut next = Instant::now();
    loop {
        let size = Screen::size();
        screen.draw(&watch.lines(size), size.0).map_err(failed("draw on the terminal"))?;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            act = acts.recv() => match act {
                // The terminal is gone.
                None => return Ok(()),
                Some(act) => if watch.does(act) == Wish::Quit { return Ok(()) },
            },
            () = tokio::time::sleep_until(next) => {
                let is_first = watch.before.is_none();
                watch.look(control, &stop).await;
                next = Instant::now() + if is_first { FIRST.min(watch.interval) } else { watch.interval };
            }
        }
    }
}

/// What the live view knows.
struct Watch {
    view: View,
    interval: Duration,
    before: Option<Counters>,
    frame: Option<Frame>,
    trouble: Option<String>,
}

impl Watch {
    async fn look(&mut self, control: &Control, stop: &CancellationToken) {
        if self.view.is_paused {
            return;
        }
        let looked = tokio::select! {
            () = stop.cancelled() => return,
            looked = control.counters() => looked,
        };
        match looked {
            Ok(now) => {
                if let Some(frame) = self.before.as_ref().and_then(|before| between(before, &now)) {
                    self.frame = Some(frame);
                }
                (self.before, self.trouble) = (Some(now), None);
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                (self.before, self.trouble) = (None, Some(format!("{error}{cause}; trying again")));
            }
        }
    }

    fn does(&mut self, act: Act) -> Wish {
        match act {
            Act::Interrupt => return Wish::Quit,
            Act::Resize => {}
            Act::Press(Key::Char('+')) if !self.view.is_typing() => self.interval = (self.interval * 2).min(LONGEST),
            Act::Press(Key::Char('-')) if !self.view.is_typing() => self.interval = (self.interval / 2).max(SHORTEST),
            Act::Press(key) => return self.view.press(key),
        }
        Wish::Stay
    }

    fn lines(&mut self, size: (usize, usize)) -> Vec<Line> {
        let mut lines = match &self.frame {
            Some(frame) => self.view.screen(frame, size),
            None => blank(size.1, "looking…"),
        };
        if let (Some(trouble), Some(first)) = (&self.trouble, lines.first_mut()) {
            *first = Line { look: Look::Troubled, text: super::grid::shortened(trouble, size.0) };
        }
        lines
    }
}

fn blank(height: usize, text: &str) -> Vec<Line> {
    let mut lines = vec![Line { look: Look::Plain, text: String::new() }; height];
    if let Some(first) = lines.first_mut() {
        first.text = text.to_owned();
    }
    lines
}
