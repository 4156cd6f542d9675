//! Builds that succeed, and builds whose source is at fault.

use crate::harness::{Bench, CREDENTIALS, append, inside, until};
use pvdify_builder::{BuildError, podman::RegistryAuth};
use pvdify_registry::{Reference, References, Repository};
use pvdify_types::{BuildVar, BuildVars, ConfigValue, ConfigVersion, config_vars::NO_BUILD_VARS};
use std::{collections::BTreeMap, time::Duration};

type Files<'a> = &'a [(&'a str, &'a [u8])];

fn refused(result: Result<pvdify_builder::Built, BuildError>) -> String {
    match result.unwrap_err() {
        BuildError::Refused(text) => text,
        BuildError::Unavailable(text) => panic!("unavailable: {text}"),
    }
}

#[tokio::test]
async fn a_source_with_a_dockerfile_becomes_an_image_in_the_registry() {
    let bench = Bench::start().await;
    let files: &[(&str, &[u8])] = &[
        (
            "Dockerfile",
            b"FROM scratch\nCOPY hello /hello\nEXPOSE 8080\nCMD [\"/hello\"]\n",
        ),
        (
            "Procfile",
            b"web: /hello\nworker: /hello --work\nrelease: /hello --migrate\n",
        ),
        (
            "app.json",
            br#"{"healthchecks":{"web":[{"path":"/up","timeout":7}]}}"#,
        ),
        ("hello", b"hello"),
    ];
    let (log, built) = bench.build("b1", files).await;
    let built = built.unwrap();
    assert_eq!(
        built.image.repository,
        format!("{}/demo", bench.config.registry_address)
    );
    assert_eq!(built.exposed_port, Some(8080));
    assert_eq!(built.healthcheck_path.as_deref(), Some("/up"));
    assert_eq!(built.healthcheck_timeout, Some(7));
    let processes: Vec<_> = built.processes.keys().map(ToString::to_string).collect();
    assert_eq!(processes, ["release", "web", "worker"]);
    insta::assert_snapshot!(log.join("\n").replace(built.image.digest.as_str(), "sha256:..."), @r#"
    -----> Discovering process types
           Procfile declares types -> release, web, worker
    -----> Building with Dockerfile
           STEP 1/4: FROM scratch
           STEP 2/4: COPY hello /hello
           STEP 3/4: EXPOSE 8080
           STEP 4/4: CMD ["/hello"]
    -----> Storing the image
           sha256:...
    "#);

    // The digest is whole in the store, and what Podman pulls by it is the image that was built.
    let name: Repository = "demo".parse().unwrap();
    let manifest = bench
        .store
        .manifest(&name, &Reference::Digest(built.image.digest.clone()))
        .await
        .unwrap()
        .unwrap();
    let references = References::parse(&manifest.bytes, None).unwrap();
    assert_eq!(references.blobs.len(), 2);
    let podman = bench.podman.client();
    podman
        .remove_image("localhost/pvdify-build/demo:latest", true)
        .await
        .unwrap();
    let auth = RegistryAuth {
        username: CREDENTIALS.0.into(),
        password: CREDENTIALS.1.into(),
    };
    let id = podman
        .pull_image(&built.image.to_string(), Some(&auth), false)
        .await
        .unwrap();
    assert_eq!(references.blobs[0].hex(), id);
    assert_eq!(bench.build_containers().await, 0);
    until("the build's folder is removed", async || {
        let work_dir = &bench.config.work_dir;
        let count = |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().count();
        count(work_dir) == 1 && count(&work_dir.join("_cnb/gone")) == 0
    })
    .await;
}

#[tokio::test]
async fn without_a_procfile_web_runs_the_images_own_command() {
    let bench = Bench::start().await;
    let (_, built) = bench
        .build(
            "b1",
            &[("Dockerfile", b"FROM scratch\nCOPY Dockerfile /x\nCMD [\"/x\"]\n")],
        )
        .await;
    let built = built.unwrap();
    assert_eq!(
        built.processes,
        BTreeMap::from([("web".parse().unwrap(), String::new())])
    );
    assert_eq!((built.exposed_port, built.healthcheck_path), (None, None));
}

#[tokio::test]
async fn an_image_that_says_nothing_to_run_needs_a_procfile() {
    let bench = Bench::start().await;
    let dockerfile = ("Dockerfile", b"FROM scratch\nCOPY Dockerfile /x\n".as_slice());
    let (_, result) = bench.build("b1", &[dockerfile]).await;
    assert_eq!(
        refused(result),
        "the image says nothing to run: add CMD to the Dockerfile, or a Procfile beside it"
    );
    let (_, built) = bench.build("b2", &[dockerfile, ("Procfile", b"web: /x\n")]).await;
    assert_eq!(built.unwrap().processes.len(), 1);
}

#[tokio::test]
async fn an_image_beyond_its_limit_is_refused_with_the_figures() {
    let bench = Bench::with(|config| config.limits.image_bytes = 1024 * 1024).await;
    let dockerfile = (
        "Dockerfile",
        b"FROM scratch\nCOPY noise /x\nCMD [\"/x\"]\n".as_slice(),
    );
    // No compression makes it smaller.
    let noise: Vec<u8> = (0..500_000_u64)
        .flat_map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7).to_be_bytes())
        .collect();
    let (_, result) = bench.build("b1", &[dockerfile, ("noise", &noise)]).await;
    let text = refused(result);
    assert!(
        text.starts_with("the image has ")
            && text.ends_with(" MiB, the most this server takes is 1 MiB: make it smaller"),
        "{text}"
    );
    let (_, built) = bench.build("b2", &[dockerfile, ("noise", b"small")]).await;
    built.unwrap();
}

#[tokio::test]
async fn the_run_image_is_found_locally_and_unchanged_steps_come_from_the_cache() {
    let bench = Bench::with_run_image(|_| {}).await;
    let dockerfile = b"FROM pvdify/run:trixie\nRUN echo made > /made\nCOPY app /app\nRUN cat /app /made\n";
    let build = async |id: &'static str, content: &'static [u8]| {
        let files = [("Dockerfile", dockerfile.as_slice()), ("app", content)];
        bench.build(id, &files).await
    };
    let first = build("b1", b"one\n").await;
    insta::assert_snapshot!(first.0[..first.0.len() - 1].join("\n"), @r"
    -----> Discovering process types
           No Procfile: the image's own command is the type web
    -----> Building with Dockerfile
           STEP 1/4: FROM pvdify/run:trixie
           STEP 2/4: RUN echo made > /made
           STEP 3/4: COPY app /app
           STEP 4/4: RUN cat /app /made
           one
           made
    -----> Storing the image
    ");
    let second = build("b2", b"two\n").await;
    insta::assert_snapshot!(second.0[..second.0.len() - 1].join("\n"), @r"
    -----> Discovering process types
           No Procfile: the image's own command is the type web
    -----> Building with Dockerfile
           STEP 1/4: FROM pvdify/run:trixie
           STEP 2/4: RUN echo made > /made
           Using cache
           STEP 3/4: COPY app /app
           STEP 4/4: RUN cat /app /made
           two
           made
    -----> Storing the image
    ");
    assert_ne!(first.1.unwrap().image, second.1.unwrap().image);
    // The same source again is the same image, all of it from the cache.
    let third = build("b3", b"two\n").await;
    assert_eq!(
        third.0.iter().filter(|line| line.trim() == "Using cache").count(),
        3
    );
    let images: Vec<serde_json::Value> = bench.podman.client().get("/libpod/images/json").await.unwrap();
    let names: Vec<String> = images.iter().map(|image| image["RepoTags"].to_string()).collect();
    assert_eq!(names.len(), 2, "the run image and the newest build: {names:?}");
}

#[tokio::test]
async fn a_failing_step_is_named_with_its_line_and_its_last_output() {
    let bench = Bench::with_run_image(|_| {}).await;
    let dockerfile = b"# a comment\nFROM pvdify/run:trixie\n\nRUN echo trying && \\\n    false\n";
    let (log, result) = bench.build("b1", &[("Dockerfile", dockerfile)]).await;
    insta::assert_snapshot!(refused(result), @r"
    Dockerfile line 4: RUN echo trying && false: exit status 1
    Its last output:
      trying
    ");
    assert_eq!(log.last().unwrap(), "       trying");
    let (_, result) = bench
        .build(
            "b2",
            &[("Dockerfile", b"FROM pvdify/run:trixie\nCOPY nothere /x\n")],
        )
        .await;
    insta::assert_snapshot!(refused(result), @r#"Dockerfile line 2: COPY nothere /x: "/nothere": no such file or directory"#);
    let (_, result) = bench
        .build(
            "b3",
            &[("Dockerfile", b"FROM no-such-host.invalid/x:1\nRUN true\n")],
        )
        .await;
    let text = refused(result);
    assert!(
        text.starts_with("Dockerfile line 1: FROM no-such-host.invalid/x:1: the image no-such-host.invalid/x:1 can't be fetched: "),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_eq!(bench.build_containers().await, 0);
    let images: Vec<serde_json::Value> = bench.podman.client().get("/libpod/images/json").await.unwrap();
    assert_eq!(images.len(), 1, "only the run image: {images:?}");
}

#[tokio::test]
async fn a_bad_source_is_refused_before_anything_runs() {
    let bench = Bench::start().await;
    let good = ("Dockerfile", b"FROM scratch\nCOPY . /\n".as_slice());
    let table: [(Files<'_>, &str); 6] = [
        (&[], "the source is empty: commit your files and push again"),
        (
            &[("Dockerfile", b"FROM scratch\nRUNN x\n")],
            "Dockerfile line 2: unknown instruction RUNN",
        ),
        (
            &[("Dockerfile", b"FROM scratch\nRUN --mount=type=ssh x\n")],
            "Dockerfile line 2: RUN --mount=type=ssh is not supported: there is no SSH agent in a build",
        ),
        (
            &[good, ("Procfile", b"web\n")],
            "Procfile line 1: no colon; a line reads \"type: command\"",
        ),
        (
            &[good, ("app.json", b"{")],
            "app.json: EOF while parsing an object at line 1 column 1",
        ),
        (
            &[
                good,
                ("app.json", br#"{"formation": {"web": {"quantity": 999}}}"#),
            ],
            "app.json: formation: \"web\": a quantity is at most 100, not 999",
        ),
    ];
    for (files, message) in table {
        let (log, result) = bench.build("b1", files).await;
        assert_eq!(refused(result), message);
        assert_eq!(log, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_with_its_address_before_anything_runs() {
    let mut bench = Bench::start().await;
    bench.builder = bench.builder.clone().with_resolver(inside());
    let table = [
        (
            "http://metadata.example/latest",
            "ADD http://metadata.example/latest is not allowed: metadata.example is 169.254.169.254, and files are fetched from public addresses only; use RUN with curl instead",
        ),
        (
            "https://both.example:8443/a",
            "ADD https://both.example:8443/a is not allowed: both.example is 10.0.0.7, and files are fetched from public addresses only; use RUN with curl instead",
        ),
        (
            "git@six.example:a/b.git",
            "ADD git@six.example:a/b.git is not allowed: six.example is fe80::1, and files are fetched from public addresses only; use RUN with curl instead",
        ),
    ];
    for (source, message) in table {
        let dockerfile = format!("FROM scratch\nADD https://public.example/x /x\nADD {source} /b\n");
        let files: Files<'_> = &[("Dockerfile", dockerfile.as_bytes())];
        let (log, result) = bench.build("b1", files).await;
        assert_eq!(refused(result), format!("Dockerfile line 3: {message}"));
        assert_eq!(log, Vec::<String>::new());
    }
}

#[tokio::test]
async fn the_build_ca_is_trusted_in_steps_and_left_out_of_the_image() {
    let bench = Bench::with_run_image(|config| {
        let ca = config.work_dir.with_file_name("ca.pem");
        std::fs::write(&ca, "THE BUNDLE\n").unwrap();
        config.build_ca = Some(ca);
    })
    .await;
    let dockerfile = b"FROM pvdify/run:trixie AS one\nUSER 1000\nRUN cat $SSL_CERT_FILE $PIP_CERT\n\nFROM one\nUSER 0\nRUN cat $NODE_EXTRA_CA_CERTS\nCOPY . /app\nRUN ls -a /app && touch /fail && false\n";
    let (log, result) = bench.build("b1", &[("Dockerfile", dockerfile)]).await;
    assert_eq!(
        log.iter().filter(|line| line.trim() == "THE BUNDLE").count(),
        3,
        "{log:#?}"
    );
    assert!(!log.join("\n").contains("crt"), "{log:#?}");
    assert!(
        refused(result)
            .starts_with("Dockerfile line 9: RUN ls -a /app && touch /fail && false: exit status 1")
    );

    let dockerfile = b"FROM pvdify/run:trixie\nRUN cat $SSL_CERT_FILE\nCOPY . /app\n";
    let (_, built) = bench.build("b2", &[("Dockerfile", dockerfile)]).await;
    built.unwrap();
    let image: serde_json::Value = bench
        .podman
        .client()
        .get("/libpod/images/localhost%2Fpvdify-build%2Fdemo:latest/json")
        .await
        .unwrap();
    assert!(
        !image["Config"].to_string().contains("CERT"),
        "{}",
        image["Config"]
    );
    assert_eq!(
        image["Labels"]["pvdify.installation"],
        bench.config.installation.as_str()
    );
}

/// Every file below `dir` that holds the text.
fn files_holding(dir: &std::path::Path, text: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files_holding(&entry.path(), text, found);
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(entry.path().display().to_string());
            }
        }
    }
}

#[tokio::test]
async fn a_config_var_is_read_where_a_step_mounts_it_and_is_nowhere_afterwards() {
    let bench = Bench::with_run_image(|_| {}).await;
    let dockerfile = b"FROM pvdify/run:trixie\nRUN --mount=type=secret,id=TOKEN v=$(cat /run/secrets/TOKEN); echo \"${#v} letters, the last are ${v#correct-horse}\"\n\
        RUN --mount=type=secret,id=TOKEN,required=true,target=/t,mode=0444 cat /t > /dev/null && touch /made\nRUN cat /run/secrets/TOKEN || true\nCMD [\"/made\"]\n";
    let files = [("Dockerfile", dockerfile.as_slice())];
    let vars = |value: &str, since| {
        let value = ConfigValue::new(value.to_owned()).unwrap();
        let since = ConfigVersion(since);
        BuildVars::from([("TOKEN".parse().unwrap(), BuildVar { value, since })])
    };
    let secret = "correct-horse-4711";
    let (log, built) = bench.build_with("b1", &files, &vars(secret, 3)).await;
    built.unwrap();
    insta::assert_snapshot!(log[2..log.len() - 1].join("\n"), @r#"
    -----> Building with Dockerfile
           Config vars as secrets: TOKEN
           STEP 1/5: FROM pvdify/run:trixie
           STEP 2/5: RUN --mount=type=secret,id=TOKEN v=$(cat /run/secrets/TOKEN); echo "${#v} letters, the last are ${v#correct-horse}"
           18 letters, the last are -4711
           STEP 3/5: RUN --mount=type=secret,id=TOKEN,required=true,target=/t,mode=0444 cat /t > /dev/null && touch /made
           STEP 4/5: RUN cat /run/secrets/TOKEN || true
           cat: can't open '/run/secrets/TOKEN': No such file or directory
           STEP 5/5: CMD ["/made"]
    -----> Storing the image
    "#);
    let mut found = Vec::new();
    files_holding(bench.folder.path(), secret, &mut found);
    assert_eq!(found, Vec::<String>::new());
    let history: serde_json::Value = bench
        .podman
        .client()
        .get("/libpod/images/localhost%2Fpvdify-build%2Fdemo:latest/history")
        .await
        .unwrap();
    let history = history.to_string();
    assert!(history.contains("id=TOKEN.3"), "{history}");

    // The same value comes from the cache; another one does not.
    let cached = async |id: &'static str, vars: BuildVars| {
        let (log, built) = bench.build_with(id, &files, &vars).await;
        built.unwrap();
        log.iter().filter(|line| line.trim() == "Using cache").count()
    };
    assert_eq!(cached("b2", vars(secret, 3)).await, 4);
    assert_eq!(cached("b3", vars("another", 4)).await, 0);
}

#[tokio::test]
async fn a_link_in_the_source_does_not_take_the_place_of_the_build_ca() {
    let bench = Bench::with_run_image(|config| {
        let ca = config.work_dir.with_file_name("ca.pem");
        std::fs::write(&ca, "THE BUNDLE\n").unwrap();
        config.build_ca = Some(ca);
    })
    .await;
    let outside = bench.folder.path().join("outside");
    std::fs::write(&outside, "of the host\n").unwrap();
    let source = bench.folder.path().join("b1.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&source).unwrap());
    append(
        &mut tar,
        "Dockerfile",
        b"FROM pvdify/run:trixie\nRUN cat $SSL_CERT_FILE\nCMD [\"x\"]\n",
    );
    // The name that it once had.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, ".pvdify-build-ca.crt", &outside)
        .unwrap();
    tar.finish().unwrap();
    let (log, built) = bench.build_source("b1", &source, NO_BUILD_VARS).await;
    built.unwrap();
    let said = log.join("\n");
    assert!(
        said.contains("THE BUNDLE") && !said.contains("of the host"),
        "{said}"
    );
}

#[tokio::test]
async fn what_failed_builds_left_for_the_cache_can_be_pruned_and_the_newest_image_stays() {
    let bench = Bench::with_run_image(|_| {}).await;
    let images = async || -> usize {
        let client = bench.podman.client();
        let all: Vec<serde_json::Value> = client.get("/libpod/images/json?all=true").await.unwrap();
        all.len()
    };
    let good = b"FROM pvdify/run:trixie\nRUN touch /a\n";
    let (_, built) = bench.build("b1", &[("Dockerfile", good)]).await;
    built.unwrap();
    let kept = images().await;
    let bad = b"FROM pvdify/run:trixie\nRUN touch /b\nRUN false\n";
    bench.build("b2", &[("Dockerfile", bad)]).await.1.unwrap_err();
    assert!(images().await > kept, "the first step is kept for the next try");
    bench
        .builder
        .prune_cache(Duration::from_secs(3600))
        .await
        .unwrap();
    assert!(images().await > kept, "it is too young");
    bench.builder.prune_cache(Duration::ZERO).await.unwrap();
    assert_eq!(images().await, kept);
    let (log, _) = bench.build("b3", &[("Dockerfile", good)]).await;
    assert!(log.contains(&"       Using cache".to_owned()), "{log:?}");
}
