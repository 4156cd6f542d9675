//! Scenarios: each file is one promise of README or ARCHITECTURE, kept or broken in front of a user's eyes.

#![expect(
    clippy::unwrap_used,
    reason = "a scenario ends where its world is not as it should be"
)]

mod bad_input;
mod bindings;
mod builder_images;
mod buildpack_images;
mod buildpacks;
mod classic;
mod config_release;
mod dashboard;
mod deploy_image;
mod domains;
mod extensions;
mod failed_push;
mod full_disk;
mod garbage;
mod hostile;
mod hostile_limits;
mod io_errors;
mod key_rotation;
mod languages_compiled;
mod languages_web;
mod leaves_nothing;
mod pack;
mod parts;
mod push_to_route;
mod release_command;
mod restart_anywhere;
mod rollback;
mod run_detached;
mod run_exec;
mod samples;
mod scale;
mod stack;
mod tidy;
mod tokens;
mod volumes;
