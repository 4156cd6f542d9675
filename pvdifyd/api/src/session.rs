//! `/apps/{name}/ps/run` and `/apps/{name}/ps/{instance}/exec`: a WebSocket (RFC 6455, so a GET) of the subprotocol
//! `pvdify.session.v1`, at whose other end is a process.
//!
//! Text messages are JSON: [`FromClient`] and [`FromServer`]. Binary ones are bytes: from the client the process's
//! input as it is, from the server one byte that says which output ([`STDOUT`], [`STDERR`]) and then what was written
//! there. The client's first message is `start`, the server's last one `exit` or `error`.
//!
//! Each side may have [`WINDOW`] bytes of input or output under way that the other did not yet take; `window` says
//! that it took some. So a reader who pauses holds up the process and nothing else: pings, sizes and the end pass by.
//! The server pings every 15 seconds, and takes a client of whom it hears nothing for 45 to be gone. A client who is
//! gone ends the process.

use pvdify_types::TerminalSize;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The subprotocol.
pub const PROTOCOL: &str = "pvdify.session.v1";
/// Bytes, each way, that may be under way and not yet taken.
pub const WINDOW: usize = 1 << 20;
/// The largest message.
pub const MAX_MESSAGE: usize = 256 * 1024;
/// The first byte of what was written to standard output; a terminal's both outputs are one.
pub const STDOUT: u8 = 1;
/// The first byte of what was written to standard error.
pub const STDERR: u8 = 2;

/// What a client says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FromClient {
    /// Start it.
    Start(Start),
    /// The size of its terminal changed.
    Resize(TerminalSize),
    /// The end of its input.
    Eof,
    /// So many bytes of its output were taken.
    Window {
        /// How many.
        bytes: usize,
    },
}

/// What to start.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// One text is a process type of the release, or a line for a shell; several are a program and its arguments; none
    /// is an interactive shell.
    pub command: Vec<String>,
    /// The size of its terminal; without, it has none and its outputs are told apart.
    #[serde(default)]
    pub terminal: Option<TerminalSize>,
    /// On top of the app's environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromServer {
    /// It runs.
    Started {
        /// As `run.1234`, or the instance that it runs in.
        name: String,
    },
    /// So many bytes of its input were taken.
    Window {
        /// How many.
        bytes: usize,
    },
    /// It ended by itself.
    Exit {
        /// Its exit status; 128 and a signal's number where that ended it.
        status: i64,
    },
    /// It did not start, or was ended.
    Error {
        /// Why.
        error: String,
        /// For programs.
        code: String,
        /// What to do next; may be empty.
        hint: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_objects_with_a_type() {
        let start = Start {
            command: vec!["ls".into()],
            terminal: Some(TerminalSize::default()),
            env: [("A".to_owned(), "1".to_owned())].into(),
        };
        let messages = [
            FromClient::Start(start),
            FromClient::Resize(TerminalSize { columns: 1, rows: 2 }),
            FromClient::Eof,
            FromClient::Window { bytes: 3 },
        ];
        let text: Vec<String> = messages
            .iter()
            .map(|message| serde_json::to_string(message).unwrap())
            .collect();
        assert_eq!(
            text,
            [
                r#"{"type":"start","command":["ls"],"terminal":{"columns":80,"rows":24},"env":{"A":"1"}}"#,
                r#"{"type":"resize","columns":1,"rows":2}"#,
                r#"{"type":"eof"}"#,
                r#"{"type":"window","bytes":3}"#,
            ]
        );
        for (message, text) in messages.iter().zip(&text) {
            assert!(serde_json::from_str::<FromClient>(text).unwrap() == *message);
        }
    }
}
