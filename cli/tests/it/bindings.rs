//! `bindings`, `bindings:add`, `bindings:remove`.

use crate::{
    cli::Cli,
    server::{Server, empty, json},
};
use insta::assert_snapshot;
use serde_json::json as value;

const PUT: &str = "PUT /apps/demo/bindings/db";
const DELETE: &str = "DELETE /apps/demo/bindings/db";

fn shown() -> serde_json::Value {
    value!({"name": "db", "type": "postgresql", "provider": null, "entries": [{"name": "host", "size": 2}, {"name": "pw", "size": 6}]})
}

#[tokio::test]
async fn bindings_are_listed_without_what_is_in_them() {
    let server = Server::start([("GET /apps/demo/bindings", json(200, &value!([shown()])))]).await;
    assert_snapshot!(Cli::new(&server).run(&["bindings", "demo"]).await, @r"
    exit 0
    --- stdout
    BINDING  TYPE        PROVIDER  ENTRIES
    db       postgresql            host (2 bytes), pw (6 bytes)
    --- stderr
    ");
    let server = Server::start([("GET /apps/demo/bindings", json(200, &value!([])))]).await;
    assert_snapshot!(Cli::new(&server).run(&["bindings", "demo"]).await, @r"
    exit 0
    --- stdout
    --- stderr
    demo is bound to nothing.
    ");
}

#[tokio::test]
async fn files_become_entries_and_what_is_in_them_is_not_shown() {
    let server = Server::start([(PUT, json(200, &shown()))]).await;
    let cli = Cli::new(&server)
        .file("host", "db")
        .file("password.txt", "s3cret");
    let args = [
        "bindings:add",
        "demo",
        "db",
        "host",
        "pw=password.txt",
        "--type",
        "postgresql",
    ];
    assert_snapshot!(cli.run(&args).await, @r"
    exit 0
    --- stdout
    Binding db added. Next release on demo will have it.
    --- stderr
    Instances of the release that demo has keep what they were started with. A push or a change of config makes the next one.
    ");
    assert_eq!(
        server.requests(),
        [
            r#"PUT /apps/demo/bindings/db {"type":"postgresql","provider":null,"entries":{"host":"ZGI=","pw":"czNjcmV0"}}"#
        ]
    );
    let server = Server::start([(DELETE, empty())]).await;
    assert_snapshot!(Cli::new(&server).run(&["bindings:remove", "demo", "db"]).await, @r"
    exit 0
    --- stdout
    Binding db removed. Next release on demo will not have it.
    --- stderr
    Instances of the release that demo has keep what they were started with. A push or a change of config makes the next one.
    ");
}

#[tokio::test]
async fn what_is_no_binding_is_told_in_one_line_and_not_sent() {
    let server = Server::start([]).await;
    let cli = Cli::new(&server)
        .file("host", "s3cret")
        .file("large", &"x".repeat((1 << 20) + 1))
        .env("PVDIFY_APP", "demo");
    let table: [(&[&str], &str); 10] = [
        (&["db"], "no file is named"),
        (&["Db", "./host"], "\"Db\": a binding's name has"),
        (&["db", "type=./host"], "\"type\": an entry can't be called type"),
        (&["db", "=x"], "\"\": an entry's name has"),
        (&["db", "/no/such"], "can't read /no/such: No such file"),
        (&["db", "/tmp"], "can't read /tmp: Is a directory"),
        (&["db", "./host", "host=./host"], "the entry host is given twice"),
        (&["db", "./large"], "./large has more than 1 MiB"),
        (
            &["db", "./host", "--provider", "a b"],
            "\"a b\": a binding's type or provider",
        ),
        (
            &["db", "./host", "--type=ca-certificates"],
            "the entry host is no certificate",
        ),
    ];
    for (args, text) in table {
        let mut all = vec!["bindings:add"];
        all.extend(args);
        if !args.iter().any(|arg| arg.starts_with("--type")) {
            all.push("--type=x");
        }
        let said = cli.run(&all).await;
        assert!(
            said.starts_with("exit 2") && said.contains(&format!("error: {text}")),
            "{args:?}: {said}"
        );
        let lines = said.lines().filter(|line| line.starts_with("error:")).count();
        assert!(lines == 1 && !said.contains("s3cret"), "{said}");
    }
    let said = cli.run(&["bindings:add", "db", "./host"]).await;
    assert!(
        said.contains("error: the binding has no type\nhint: say it with --type TYPE"),
        "{said}"
    );
    let said = cli.run(&["bindings:remove", "../x"]).await;
    assert!(said.contains("\"../x\": a binding's name has"), "{said}");
    assert!(server.requests().is_empty());
}
