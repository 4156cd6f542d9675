//! Tables swap under load, and nobody notices.

use crate::harness::{Backend, World, in_time, table};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const CLIENTS: usize = 16;
const SWAPS: u64 = 50;

/// One client on one connection, request after request.
async fn client(router: SocketAddr, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) {
    let mut stream = TcpStream::connect(router).await.unwrap();
    let request = b"POST /x HTTP/1.1\r\nHost: demo.test\r\nContent-Length: 0\r\n\r\n";
    while !stop.load(SeqCst) {
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"served") {
            let mut buffer = [0; 1024];
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "cut off after {:?}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&buffer[..count]);
        }
        assert!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{:?}",
            String::from_utf8_lossy(&answer)
        );
        done.fetch_add(1, SeqCst);
    }
}

/// Each swap brings a new instance; the old one is killed as soon as it is reported drained, as the control
/// plane does it. A request that was counted too late would hit a dead instance and fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_swaps_under_load_fail_no_request() {
    let mut current = Backend::saying("served").await;
    let one = |generation: u64, backend: &Backend| {
        table(
            generation,
            &[("demo.test", &[(format!("i{generation}"), backend.address)])],
        )
    };
    let world = World::new(one(1, &current)).await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(client(world.router.address, Arc::clone(&stop), Arc::clone(&done))))
        .collect();

    for generation in 2..2 + SWAPS {
        let next = Backend::saying("served").await;
        world.control.publish(&one(generation, &next));
        let old = format!("i{}", generation - 1);
        world
            .control
            .report(|report| {
                report.generation.0 == generation
                    && report
                        .draining
                        .iter()
                        .all(|draining| draining.instance.as_str() != old)
            })
            .await;
        drop(std::mem::replace(&mut current, next));
        let before = done.load(SeqCst);
        in_time("requests between swaps", async {
            while done.load(SeqCst) < before + CLIENTS {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    stop.store(true, SeqCst);
    for client in clients {
        in_time("a client's end", client).await.unwrap();
    }
    assert!(done.load(SeqCst) > CLIENTS * 50);
}
