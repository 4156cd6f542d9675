//! What ends the program other than success, as the person and the calling script see it.
//!
//! | exit code | means |
//! |---|---|
//! | 0 | done; also when the reader of our output went away (`pvdify logs \| head`) |
//! | 1 | failed: the server refused, a release failed, nothing answered |
//! | 2 | the command line was wrong; no request that changes anything was sent |
//!
//! `run`, `exec` and `enter` end with the exit status of the process instead, once it runs.
//!
//! An error is one line `error: ...`, followed by `hint: ...` where there is a next step. Neither ever holds
//! a token or a config value.

use crate::output;
use pvdify_client::Error as ApiError;
use std::{io, process::ExitCode};

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The command line was wrong.
    Usage(Told),
    /// It was right, and did not come to its end.
    Failed(Told),
    /// A call of the API failed.
    Api(ApiError),
    /// Nobody reads stdout any more.
    BrokenPipe,
    /// A process elsewhere was ours for a while, and ended so; or a signal ended its session. There is no more to say.
    Status(u8),
}

/// The two lines.
#[derive(Debug)]
pub(crate) struct Told {
    what: String,
    hint: Option<String>,
}

impl CliError {
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::Usage(Told {
            what: what.into(),
            hint: None,
        })
    }

    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self::Failed(Told {
            what: what.into(),
            hint: None,
        })
    }

    /// Adds the next step to an error of our own; the API's errors have theirs.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Usage(told) | Self::Failed(told) = &mut self {
            told.hint = Some(hint.into());
        }
        self
    }

    /// A failed write to stdout.
    pub(crate) fn stdout(cause: &io::Error) -> Self {
        if cause.kind() == io::ErrorKind::BrokenPipe {
            Self::BrokenPipe
        } else {
            Self::failed(format!("can't write the output: {cause}"))
        }
    }

    /// Shows the error on stderr; gives the exit code.
    pub(crate) fn show(self, api_url: &str) -> ExitCode {
        let (told, code) = match self {
            Self::BrokenPipe => return ExitCode::SUCCESS,
            Self::Status(status) => return ExitCode::from(status),
            Self::Usage(told) => (told, 2),
            Self::Failed(told) => (told, 1),
            Self::Api(error @ ApiError::Url(_)) => (tell(&error, api_url), 2),
            Self::Api(error) => (tell(&error, api_url), 1),
        };
        output::talk(&format!("error: {}", told.what));
        if let Some(hint) = told.hint {
            output::talk(&format!("hint: {hint}"));
        }
        ExitCode::from(code)
    }
}

impl From<ApiError> for CliError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// The sentence and the next step for a failed call: the server's own, unless the person's side is at fault.
fn tell(error: &ApiError, api_url: &str) -> Told {
    match error {
        ApiError::Url(_) => Told {
            what: error.to_string(),
            hint: Some("set PVDIFY_API_URL or --api-url, as http://127.0.0.1:9443".to_owned()),
        },
        ApiError::Transport(cause) => Told {
            what: format!("can't reach Pvdify at {api_url}: {cause}"),
            hint: Some(
                "start the server (`pvdifyd --dev` on your own machine), or set PVDIFY_API_URL to where it runs"
                    .to_owned(),
            ),
        },
        ApiError::Refused { status: 401, body } => Told {
            what: body.error.clone(),
            hint: Some("make a token with `pvdifyd token create` on the server, and set PVDIFY_TOKEN to it".to_owned()),
        },
        ApiError::Refused { status, body } => Told {
            what: body.error.clone(),
            hint: if !body.hint.is_empty() {
                Some(body.hint.clone())
            } else if *status >= 500 && !body.request_id.is_empty() {
                Some(format!("the server's log has more, under request {}", body.request_id))
            } else {
                None
            },
        },
    }
}

/// Shows what clap has to say, which may also be a help text that was asked for.
pub(crate) fn show_clap(refusal: &clap::Error) -> ExitCode {
    match refusal.print() {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ if refusal.use_stderr() => ExitCode::from(2),
        _ => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvdify_api::ErrorBody;

    fn refused(status: u16, hint: &str) -> ApiError {
        ApiError::Refused {
            status,
            body: ErrorBody {
                error: "what".into(),
                code: "code".into(),
                hint: hint.into(),
                request_id: "r-1".into(),
            },
        }
    }

    #[test]
    fn each_failed_call_has_its_next_step() {
        let table = [
            (
                refused(401, "the server's"),
                Some("make a token with `pvdifyd token create` on the server, and set PVDIFY_TOKEN to it"),
            ),
            (refused(404, "the server's"), Some("the server's")),
            (refused(404, ""), None),
            (
                refused(500, ""),
                Some("the server's log has more, under request r-1"),
            ),
        ];
        for (error, hint) in table {
            assert_eq!(tell(&error, "http://x").hint.as_deref(), hint, "{error:?}");
        }
    }
}
