//! The Ruby buildpack through `bin/detect` and `bin/build`, with the Ruby of the machine's Debian. Downloads are
//! shared by all tests and kept with the build's other files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper fails the test")]

use buildpack_ruby::{DESCRIPTOR, RubyBuildpack};
use buildpack_support::testing::{App, entry};

entry!(RubyBuildpack, DESCRIPTOR);

fn with_downloads(app: App) -> App {
    app.env(
        "PVDIFY_DOWNLOADS",
        concat!(env!("CARGO_TARGET_TMPDIR"), "/downloads"),
    )
}

const LOCK: &str = "PATH\n  remote: greeting\n  specs:\n    greeting (1.0)\n\nGEM\n  remote: https://gems.invalid/\n  specs:\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  greeting!\n\nBUNDLED WITH\n   2.5.6\n";
const SPEC: &str = "Gem::Specification.new do |s|\n  s.name = 'greeting'\n  s.version = '1.0'\n  s.summary = s.author = 'x'\n  s.files = ['lib/greeting.rb']\nend\n";

#[test]
fn it_is_known_by_its_gemfile() {
    assert_eq!(app().file("Gemfile", "").detect().passed().code, 0);
    assert_eq!(app().file("app.rb", "").detect().code, 100);
}

#[test]
fn an_app_with_a_gem_of_its_own_runs_and_what_is_unchanged_is_kept() {
    let app = with_downloads(app())
        .file(
            "Gemfile",
            "source 'https://gems.invalid'\ngem 'greeting', path: 'greeting'\n",
        )
        .file("Gemfile.lock", LOCK)
        .file("greeting/greeting.gemspec", SPEC)
        .file(
            "greeting/lib/greeting.rb",
            "require 'json'; GREETING = JSON.generate([ENV['RACK_ENV']])",
        )
        .file(
            "app.rb",
            "require 'greeting'; require 'openssl'; puts GREETING, OpenSSL::VERSION.size > 0",
        );
    let built = app.build().passed();
    assert!(built.stdout.contains("$ bundle install"), "{}", built.stdout);
    assert_eq!(
        app.process("web").unwrap(),
        ["bash", "-c", "exec bundle exec ruby app.rb"]
    );
    let output = app.start("web").output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "[\"production\"]\ntrue\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let rebuilt = app.build().passed();
    assert!(
        rebuilt.stdout.contains("1 gem: unchanged, kept"),
        "{}",
        rebuilt.stdout
    );

    app.write("Gemfile", "source 'https://gems.invalid'\ngem 'rack'\n");
    let failed = app.build();
    assert!(
        failed.stderr.contains("Gemfile.lock does not agree"),
        "{}{}",
        failed.stdout,
        failed.stderr
    );
}
