//! This program's standard streams at a process's: what is typed goes there, what it writes comes here, and its exit
//! status is ours.
//!
//! Reading stdin and writing stdout may block for as long as they like, in threads of their own: the connection is
//! answered all the same. Each side has one window of bytes under way (`pvdify_api::session`). Whatever ends the
//! program here, the server sees the connection end, and ends the process.

use crate::{error::CliError, terminal};
use pvdify_api::session::{FromClient, FromServer, Start, WINDOW};
use pvdify_client::{SessionEvent, SessionReceiver, SessionSender};
use std::{
    io::{self, Read, Write},
    thread,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

/// What is read of stdin at once.
const PIECE: usize = 32 * 1024;

/// Stays with a process to its end; a status other than 0 is an error, and ours.
pub(crate) async fn attend(
    (mut sender, mut receiver): (SessionSender, SessionReceiver),
    start: Start,
) -> Result<(), CliError> {
    let has_terminal = start.terminal.is_some();
    let mut signals = Signals::listen().map_err(|cause| CliError::failed(format!("can't start: {cause}")))?;
    let running = async {
        sender.say(&FromClient::Start(start)).await?;
        until_started(&mut receiver).await?;
        // Only now: what kept it from starting is told to a terminal as it was.
        let raw = has_terminal.then(terminal::Raw::enter).transpose();
        let _raw =
            raw.map_err(|cause| CliError::failed(format!("the terminal takes no raw mode: {cause}")))?;
        Running::new(sender).run(&mut receiver, has_terminal).await
    };
    let status = tokio::select! {
        status = running => status?,
        signal = signals.next() => return Err(CliError::Status(128 + signal)),
    };
    match u8::try_from(status) {
        Ok(0) => Ok(()),
        Ok(status) => Err(CliError::Status(status)),
        Err(_) => Err(CliError::Status(u8::MAX)),
    }
}

async fn until_started(receiver: &mut SessionReceiver) -> Result<(), CliError> {
    loop {
        match receiver.next().await? {
            Some(SessionEvent::Message(FromServer::Started { .. })) => return Ok(()),
            Some(SessionEvent::Message(FromServer::Error { error, hint, .. })) => {
                return Err(told(error, &hint));
            }
            Some(_) => {}
            None => return Err(gone()),
        }
    }
}

fn told(error: String, hint: &str) -> CliError {
    match hint {
        "" => CliError::failed(error),
        hint => CliError::failed(error).hint(hint),
    }
}

fn gone() -> CliError {
    CliError::failed("the server ended the connection").hint("see what became of it with pvdify logs")
}

/// A session under way.
struct Running {
    sender: SessionSender,
    input: mpsc::Receiver<Vec<u8>>,
    input_ended: bool,
    /// Bytes of input that the server takes now.
    room: usize,
    output: mpsc::UnboundedSender<SessionEvent>,
    /// Bytes of output that were written.
    written: mpsc::UnboundedReceiver<io::Result<usize>>,
}

impl Running {
    fn new(sender: SessionSender) -> Self {
        let (output, written) = write_output();
        Self {
            sender,
            input: read_stdin(),
            input_ended: false,
            room: WINDOW,
            output,
            written,
        }
    }

    async fn run(mut self, receiver: &mut SessionReceiver, has_terminal: bool) -> Result<i64, CliError> {
        let resized = signal(SignalKind::window_change());
        let mut resized = resized.map_err(|cause| CliError::failed(format!("can't start: {cause}")))?;
        let end = loop {
            tokio::select! {
                event = receiver.next() => match event? {
                    Some(SessionEvent::Message(FromServer::Exit { status })) => break Ok(status),
                    Some(SessionEvent::Message(FromServer::Error { error, hint, .. })) => {
                        break Err(told(error, &hint));
                    }
                    Some(SessionEvent::Message(FromServer::Window { bytes })) => self.room += bytes,
                    Some(SessionEvent::Message(FromServer::Started { .. })) => {}
                    // The thread ends after what it is told last.
                    Some(output) => drop(self.output.send(output)),
                    None => break Err(gone()),
                },
                piece = self.input.recv(), if !self.input_ended && self.room >= PIECE => match piece {
                    Some(piece) => {
                        self.room -= piece.len();
                        self.sender.input(piece.into()).await?;
                    }
                    None => {
                        self.input_ended = true;
                        self.sender.say(&FromClient::Eof).await?;
                    }
                },
                Some(written) = self.written.recv() => {
                    let bytes = written.map_err(|cause| CliError::stdout(&cause))?;
                    self.sender.say(&FromClient::Window { bytes }).await?;
                }
                Some(()) = resized.recv(), if has_terminal => {
                    self.sender.say(&FromClient::Resize(terminal::size())).await?;
                }
            }
        };
        // What came is still to be written, however slow its reader is.
        drop(self.output);
        while let Some(written) = self.written.recv().await {
            written.map_err(|cause| CliError::stdout(&cause))?;
        }
        end
    }
}

/// What stdin holds, in pieces. The thread ends with the program: a read can't be broken off.
fn read_stdin() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(1);
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut piece = vec![0; PIECE];
        loop {
            let read = match stdin.read(&mut piece) {
                Ok(0) => return,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // As good as its end: nothing more will come.
                Err(_) => return,
            };
            if sender.blocking_send(piece[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A thread that writes each output to where it belongs, and tells how much.
fn write_output() -> (
    mpsc::UnboundedSender<SessionEvent>,
    mpsc::UnboundedReceiver<io::Result<usize>>,
) {
    let (sender, mut output) = mpsc::unbounded_channel();
    let (done, written) = mpsc::unbounded_channel();
    thread::spawn(move || {
        while let Some(event) = output.blocking_recv() {
            let result = match &event {
                SessionEvent::Stdout(bytes) => write(io::stdout().lock(), bytes),
                SessionEvent::Stderr(bytes) => write(io::stderr().lock(), bytes),
                SessionEvent::Message(_) => continue,
            };
            let failed = result.is_err();
            if done.send(result).is_err() || failed {
                return;
            }
        }
    });
    (sender, written)
}

fn write(mut to: impl Write, bytes: &[u8]) -> io::Result<usize> {
    to.write_all(bytes)?;
    to.flush()?;
    Ok(bytes.len())
}

/// What ends the program from outside; in raw mode no key does.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The number of the next one.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.hangup.recv() => 1,
            _ = self.interrupt.recv() => 2,
            _ = self.quit.recv() => 3,
            _ = self.terminate.recv() => 15,
        }
    }
}
