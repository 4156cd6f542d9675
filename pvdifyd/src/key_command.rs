//! `pvdifyd key rotate`: by the server where one runs, since it seals meanwhile; else by this process, which keeps a
//! server from starting until it is done.

use crate::{
    app::key_rotation::{KeyRotated, rotate},
    args::KeyCommand,
    boot,
    config::Config,
    store::{Secrets, Store, anything_sealed},
};
use std::{fmt::Display, sync::Arc};

/// Does it and gives what to print: no value and no key. The error is one line.
///
/// # Errors
/// When there is no database yet, or the rotation stops; the next one finishes it.
pub async fn run(command: KeyCommand, config: &Config) -> Result<String, String> {
    let KeyCommand::Rotate = command;
    let path = config.state_dir.join("pvdify.db");
    if !path.exists() {
        return Err(format!(
            "{} is not there: start pvdifyd once, or set PVDIFY_STATE_DIR",
            path.display()
        ));
    }
    let rotated = match boot::running_server(config).await.map_err(stopped)? {
        Some(server) => server.control_rotate_key().await.map_err(stopped)?,
        None => {
            let _lock = boot::lock_control(config).map_err(|error| {
                format!("{error}; a server that is just starting can be asked in a moment")
            })?;
            let store = Store::open(&path).map_err(|error| error.to_string())?;
            let sealed_rows_exist = store.read(anything_sealed).await.map_err(stopped)?;
            let secrets = Secrets::open(&config.key_file, sealed_rows_exist);
            let secrets = Arc::new(secrets.map_err(|error| error.to_string())?);
            rotate(&store, &secrets).await.map_err(stopped)?
        }
    };
    Ok(text(&rotated, config))
}

fn stopped(error: impl Display) -> String {
    format!("the rotation stopped: {error}. Nothing is lost: run pvdifyd key rotate again")
}

fn text(rotated: &KeyRotated, config: &Config) -> String {
    let what = if rotated.finished {
        "Finished the rotation that was under way"
    } else {
        "Rotated the sealing key"
    };
    let values = match rotated.values {
        1 => "1 value".to_owned(),
        values => format!("{values} values"),
    };
    format!(
        "{what}: {values} sealed anew with the key {}, the only one in {} now\n\
         Back up the key file; a backup of the database made before needs the key file of then.\n",
        rotated.key,
        config.key_file.display()
    )
}
