//! The terminal while it is ours; it is given back on every way out: the end, an error, a panic, a signal.

use std::io::{self, Write, stdout};
use std::sync::Once;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate,
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};
use tokio::sync::mpsc;

use super::view::{Key, Line, Look};

/// The other screen of the terminal, in raw mode; dropping it gives the terminal back.
pub struct Screen {
    _ours: (),
}

/// What a person does at the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Press(Key),
    /// The terminal has another size.
    Resize,
    /// Ctrl-C, which is a key in raw mode.
    Interrupt,
}

impl Screen {
    pub fn open() -> io::Result<Screen> {
        restored_by_panics();
        enable_raw_mode()?;
        let screen = Screen { _ours: () };
        execute!(stdout(), EnterAlternateScreen, Hide, DisableLineWrap, Clear(ClearType::All))?;
        Ok(screen)
    }

    /// Columns and rows.
    pub fn size() -> (usize, usize) {
        let (columns, rows) = size().unwrap_or((80, 24));
        (usize::from(columns.max(20)), usize::from(rows.max(5)))
    }

    /// Writes all lines at once, each over what stood there, so that nothing flickers.
    pub fn draw(&mut self, lines: &[Line], width: usize) -> io::Result<()> {
        let mut out = Vec::with_capacity(8 << 10);
        queue!(out, BeginSynchronizedUpdate)?;
        for (row, line) in lines.iter().enumerate() {
            queue!(out, MoveTo(0, u16::try_from(row).unwrap_or(u16::MAX)))?;
            dress(&mut out, line.look)?;
            // Blanks to the end instead of clearing: after the last column that would take its letter away.
            let blank = width.saturating_sub(line.text.chars().count());
            queue!(out, Print(&line.text), Print(" ".repeat(blank)))?;
            queue!(out, SetAttribute(Attribute::Reset), ResetColor)?;
        }
        queue!(out, EndSynchronizedUpdate)?;
        let mut terminal = stdout().lock();
        terminal.write_all(&out)?;
        terminal.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn dress(out: &mut Vec<u8>, look: Look) -> io::Result<()> {
    match look {
        Look::Plain => Ok(()),
        Look::Title => queue!(out, SetAttribute(Attribute::Bold)),
        Look::Head => queue!(out, SetAttribute(Attribute::Reverse)),
        Look::Troubled => queue!(out, SetForegroundColor(Color::Red)),
        Look::Dim => queue!(out, SetAttribute(Attribute::Dim)),
    }
}

fn give_back() {
    // There is nobody left to tell when even this fails.
    let _ = disable_raw_mode();
    let _ = execute!(stdout(), EndSynchronizedUpdate, EnableLineWrap, Show, LeaveAlternateScreen);
}

/// A panic's message is to stand on the ordinary screen.
fn restored_by_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
    });
}

/// What the person does, read on a thread of its own, which ends with the process or when nobody listens.
pub fn acts() -> mpsc::UnboundedReceiver<Act> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if act(&event).is_some_and(|act| sender.send(act).is_err()) {
                return;
            }
        }
    });
    receiver
}

fn act(event: &Event) -> Option<Act> {
    match event {
        Event::Resize(..) => Some(Act::Resize),
        Event::Key(key) if key.kind != KeyEventKind::Release => pressed(key),
        _ => None,
    }
}

fn pressed(key: &KeyEvent) -> Option<Act> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Act::Interrupt);
    }
    let key = match key.code {
        KeyCode::Char(letter) => Key::Char(letter),
        KeyCode::Tab => Key::Tab,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        _ => return None,
    };
    Some(Act::Press(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set where this test runs itself on a terminal that `script` makes.
    const ON_A_TERMINAL: &str = "MAINSTAY_TEST_ON_A_TERMINAL";

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a terminal of its own needs a process of its own")]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        if std::env::var_os(ON_A_TERMINAL).is_some() {
            let _screen = Screen::open().unwrap();
            panic!("on purpose");
        }
        let me = std::env::current_exe().unwrap();
        let test = "top::screen::tests::a_panic_gives_the_terminal_back_before_it_is_told";
        let line = format!("'{}' --exact {test} --nocapture; stty --all", me.display());
        let mut script = std::process::Command::new("script");
        script.args(["--quiet", "--command", &line, "/dev/null"]).env(ON_A_TERMINAL, "1");
        let output = script.stdin(std::process::Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what:?} in {text:?}"));
        assert!(place("\u{1b}[?1049h") < place("\u{1b}[?1049l"));
        assert!(place("\u{1b}[?1049l") < place("on purpose"), "it is told on the ordinary screen: {text:?}");
        assert!(text.contains(" icanon") && text.contains(" echo "), "no raw mode any more: {text:?}");
    }
}
