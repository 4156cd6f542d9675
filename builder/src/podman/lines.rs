//! A streamed answer by its lines: builds, pulls, pushes and events speak in JSON values, one a line.

use super::PodmanError;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

/// The longest line of a streamed answer.
const MAX_LINE: usize = 1024 * 1024;

/// The JSON values of a streamed answer, one a line.
pub fn json_lines<T: DeserializeOwned>(
    response: Response<Incoming>,
) -> impl Stream<Item = Result<T, PodmanError>> {
    lines(response).map(|line| super::transport::parse(&line?))
}

/// The lines of a streamed answer, without their ends and without empty ones.
pub fn lines(response: Response<Incoming>) -> impl Stream<Item = Result<Bytes, PodmanError>> {
    let state = (response.into_body(), BytesMut::new(), false);
    stream::try_unfold(state, |(mut body, mut buffer, mut ended)| async move {
        loop {
            if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end + 1).freeze().slice(..end);
                if !line.is_empty() {
                    return Ok(Some((line, (body, buffer, ended))));
                }
            } else if ended {
                let rest = buffer.split().freeze();
                return Ok((!rest.is_empty()).then_some((rest, (body, buffer, ended))));
            } else if buffer.len() > MAX_LINE {
                return Err(PodmanError::Answer("a line without end".to_owned()));
            } else {
                match body.frame().await {
                    None => ended = true,
                    Some(frame) => {
                        if let Ok(data) = frame?.into_data() {
                            buffer.extend_from_slice(&data);
                        }
                    }
                }
            }
        }
    })
}
