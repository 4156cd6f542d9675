//! A server that answers every request alike, with a body cut into chunks as the test gives them.

use axum::{Router, body::Body, http::StatusCode};
use futures_util::stream;
use std::{convert::Infallible, io};
use tokio::net::TcpListener;

/// What one chunk of a body is.
#[derive(Clone)]
pub(crate) enum Chunk {
    Bytes(Vec<u8>),
    /// The connection breaks here.
    Cut,
}

pub(crate) fn chunks<const N: usize>(chunks: [&str; N]) -> Vec<Chunk> {
    chunks.map(|chunk| Chunk::Bytes(chunk.into())).into()
}

/// Answers `status` and the chunks to whatever is asked, until the test's runtime ends; gives its URL.
pub(crate) async fn serve(status: u16, chunks: Vec<Chunk>) -> String {
    let answer = move || {
        let chunks = chunks.clone();
        async move {
            // A yield after each chunk makes each a write of its own.
            let body = stream::unfold(chunks.into_iter(), |mut rest| async move {
                tokio::task::yield_now().await;
                let chunk = match rest.next()? {
                    Chunk::Bytes(bytes) => Ok(bytes),
                    Chunk::Cut => Err(io::Error::other("cut")),
                };
                Some((chunk, rest))
            });
            let status = StatusCode::from_u16(status).unwrap();
            Ok::<_, Infallible>((status, Body::from_stream(body)))
        }
    };
    serve_router(Router::new().fallback(move || async move { answer().await.unwrap() })).await
}

/// Serves a router until the test's runtime ends; gives its URL.
pub(crate) async fn serve_router(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}
