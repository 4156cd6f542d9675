//! The terminal that this program runs in, as a process elsewhere has it.
//!
//! In raw mode each key goes there as it is, Ctrl-C too. What always holds: the mode before is restored when [`Raw`]
//! is dropped, which also an error and a panic do; signals end the program by a value (`session.rs`), so they too.

use pvdify_types::TerminalSize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io;

/// Whether both ends of a session are a terminal.
pub(crate) fn is_there() -> bool {
    use io::IsTerminal as _;
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Its size now; the usual one where it tells none.
pub(crate) fn size() -> TerminalSize {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => TerminalSize {
            columns: size.ws_col,
            rows: size.ws_row,
        },
        Ok(_) | Err(_) => TerminalSize::default(),
    }
}

/// Raw mode, as long as it lives.
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    pub(crate) fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone has no mode.
        tcsetattr(io::stdin(), OptionalActions::Drain, &self.before).ok();
    }
}
