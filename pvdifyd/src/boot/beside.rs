//! Commands on the host beside a server: it is asked where it runs, and kept from starting where it does not.

use super::{Failure, lock, prepare_folders};
use crate::config::{Config, Parts};
use pvdify_client::Client;
use std::fs::File;
use tokio::net::UnixStream;

/// A client of the server that runs with this state directory; `None`: none does.
pub(crate) async fn running_server(config: &Config) -> Result<Option<Client>, Failure> {
    let socket = config.control_socket();
    if UnixStream::connect(&socket).await.is_err() {
        return Ok(None);
    }
    Ok(Some(Client::over_control_socket(&socket)?))
}

/// Keeps a server from starting with this state directory until dropped.
pub(crate) fn lock_control(config: &Config) -> Result<Vec<File>, Failure> {
    prepare_folders(&config.state_dir)?;
    let control = Parts {
        control: true,
        git: false,
        router: false,
    };
    lock::take(&config.state_dir, control)
}
