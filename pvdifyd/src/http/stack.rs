//! `/stack/rebase`.

use super::{Web, error::Answer, extract::Caller, sse};
use axum::{extract::State, response::Response};

pub(super) async fn rebase(State(web): State<Web>, Caller(caller): Caller) -> Answer<Response> {
    Ok(sse::events(&web.app, caller.rebase_stack()?))
}
