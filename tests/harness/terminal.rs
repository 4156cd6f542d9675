//! A program in a terminal of a test's own: what it shows, what is typed, how large it is.

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::AsFd,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

/// How long what is waited for may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A program and its terminal.
pub struct Terminal {
    master: File,
    child: Child,
    shown: Arc<Mutex<String>>,
    /// Kept open: the terminal has its modes as long as someone has it.
    slave: File,
}

impl Terminal {
    pub(crate) fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there is a pty");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it can be opened");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        resize(&master, columns, rows);
        let name = name.to_str().expect("its name is a path");
        let slave = open(Path::new(name));
        let end = || slave.try_clone().expect("another handle");
        command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .env("TERM", "xterm")
            .kill_on_drop(true);
        let child = command.spawn().expect("the program starts");
        let master = File::from(master);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut reader, shared) = (master.try_clone().expect("another handle"), Arc::clone(&shown));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends, or fails, with the last handle of the other side.
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..read]);
                shared
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&text);
            }
        });
        Self {
            master,
            child,
            shown,
            slave,
        }
    }

    /// Types this.
    ///
    /// # Panics
    /// When nobody has the other side.
    pub fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("it takes keys");
    }

    /// Makes it another size.
    ///
    /// # Panics
    /// When it is gone.
    pub fn resize(&self, columns: u16, rows: u16) {
        resize(&self.master, columns, rows);
    }

    /// Waits until it shows this after what it showed before, which it gives.
    ///
    /// # Panics
    /// When it does not within a minute.
    pub async fn until(&self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            {
                let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(at) = shown.find(text) {
                    return shown.drain(..at + text.len()).collect();
                }
                assert!(begun.elapsed() < LIMIT, "no {text:?} in {shown:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether it echoes and edits lines, as for a shell's prompt.
    ///
    /// # Panics
    /// When it is gone.
    #[must_use]
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.slave).expect("it has modes");
        modes.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// The program's number.
    ///
    /// # Panics
    /// When it ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Waits for the program's end, and gives its exit status.
    ///
    /// # Panics
    /// When it does not end, or a signal ended it.
    pub async fn end(&mut self) -> i32 {
        let ended = tokio::time::timeout(LIMIT, self.child.wait()).await;
        let status = ended.expect("it ends").expect("it was started");
        status.code().expect("no signal ended it")
    }
}

fn resize(master: impl AsFd, columns: u16, rows: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(master, size).expect("it has a size");
}

fn open(name: &Path) -> File {
    use rustix::fs::{Mode, OFlags};
    let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty());
    File::from(slave.expect("its other side opens"))
}
