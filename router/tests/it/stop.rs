//! A stop finishes what is open.

use crate::harness::{self, Backend, World, demo, get, in_time, next_head, read_to_end, read_until, send};
use std::time::Duration;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::watch};

#[tokio::test]
async fn a_stop_finishes_what_is_open_and_takes_nothing_new() {
    let (finish, told) = watch::channel(false);
    let backend = Backend::start(move |mut stream, _| {
        let mut told = told.clone();
        async move {
            next_head(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
                .await
                .unwrap();
            told.wait_for(|told| *told).await.unwrap();
            stream.write_all(b"-last").await.unwrap();
        }
    })
    .await;
    let World {
        router,
        control: _control,
        folder: _folder,
    } = World::demo(&[backend.address]).await;
    let mut busy = TcpStream::connect(router.address).await.unwrap();
    busy.write_all(get("/", "").as_bytes()).await.unwrap();
    read_until(&mut busy, "first").await;
    let mut idle = TcpStream::connect(router.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: unknown.test\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut idle, "request").await;

    drop(router.stop);
    read_to_end(&mut idle).await;
    in_time("the port's end", async {
        while TcpStream::connect(router.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!router.ended.is_finished());
    finish.send_replace(true);
    assert!(read_to_end(&mut busy).await.ends_with("-last"));
    in_time("the router's end", router.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let backend = Backend::start(|mut stream, _| async move {
        drop(read_to_end(&mut stream).await);
    })
    .await;
    let limits = |config: &mut router::Config| config.limits.shutdown = Duration::from_millis(200);
    let World {
        router,
        control: _control,
        folder: _folder,
    } = World::with(demo(1, &[backend.address]), limits).await;
    let mut hanging = TcpStream::connect(router.address).await.unwrap();
    hanging.write_all(get("/", "").as_bytes()).await.unwrap();
    harness::until("the request", || backend.count() == 1).await;
    drop(router.stop);
    in_time("the router's end", router.ended).await.unwrap().unwrap();
    drop(read_to_end(&mut hanging).await);
}

#[tokio::test]
async fn a_router_that_is_dropped_is_gone() {
    let World {
        router,
        control: _control,
        folder: _folder,
    } = World::demo(&[]).await;
    assert_eq!(send(router.address, get("/", "").as_bytes()).await.status(), 503);
    router.ended.abort();
    in_time("the port's end", async {
        while TcpStream::connect(router.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_taken_port_is_said_plainly() {
    let World {
        router,
        control: _control,
        folder,
    } = World::demo(&[]).await;
    let mut config = harness::config(folder.path());
    config.listen = router.address;
    let client = crate::control::Control::client(folder.path());
    let Err(error) = router::Server::bind(config, client).await else {
        panic!("two routers on one port")
    };
    assert!(error.to_string().contains(&router.address.to_string()), "{error}");
}
