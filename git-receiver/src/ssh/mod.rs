//! SSH: who may connect, who they are, and the one thing they may ask for.

mod admission;
mod auth;
mod budget;
mod host_key;
mod input;
mod server;
mod session;

pub(crate) use auth::Pusher;
pub(crate) use input::Input;
pub use server::Server;
pub(crate) use server::Shared;
