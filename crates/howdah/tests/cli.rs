//! What the program says and how it ends, as a shell sees it: help, wrong usage, `check`, and a start that fails.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const GOOD: &str = "[databases]\napp = host=127.0.0.1 user=app password=x\n[pgbouncer]\nlisten_port = 6432\nauth_type = any\n";

#[test]
fn help_tells_what_it_is_how_to_call_it_and_how_it_ends() {
    let help = howdah(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for expected in
        ["A connection pooler for PostgreSQL", "howdah serve /etc/pgbouncer", "Exit codes:", "demo"]
    {
        assert!(stdout(&help).contains(expected), "{expected}: {}", stdout(&help));
    }
    let brief = howdah(&["-h"]);
    assert_eq!(brief.status.code(), Some(0));
    assert!(stdout(&brief).lines().count() < stdout(&help).lines().count());
}

#[test]
fn version_is_the_packages() {
    for flag in ["-V", "--version"] {
        let version = howdah(&[flag]);
        assert_eq!(version.status.code(), Some(0));
        assert_eq!(stdout(&version), format!("howdah {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn wrong_usage_ends_with_2_and_a_reason() {
    for (arguments, reason) in [
        (&[][..], "Usage:"),
        (&["-v"], "a file is missing"),
        (&["srve"], "neither a command nor a file srve"),
        (
            &["srve", "pgbouncer.ini"],
            "neither a command nor a file srve; the commands are serve, check, demo",
        ),
        (&["chek", "-v"], "neither a command nor a file chek"),
        (&["serve"], "required"),
        (&["check"], "required"),
        (&["serve", "--daemonise", "x"], "--daemonise"),
        (&["-d", "pgbouncer.ini"], "systemd"),
        (&["-R", "pgbouncer.ini"], "so_reuseport"),
        (&["demo", "--clients", "0"], "--clients"),
        (&["demo", "--seconds", "soon"], "--seconds"),
    ] {
        let output = howdah(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn check_is_content_with_a_good_file() {
    let file = Ini::with(GOOD);
    let output = howdah(&["check", file.name()]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert_eq!(stdout(&output), format!("{}: good: 1 database, 0 known users\n", file.name()));
}

#[test]
fn check_reads_a_url_as_serve_does_and_repeats_no_password() {
    let output = howdah(&["check", "postgres://app:hidden@db.example/shop"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "the URL: good: 1 database, 0 known users\n");
    for command in ["check", "serve"] {
        for url in
            ["mysql://app:hidden@db.example/shop", "postgres://app:hidden@db.example/shop?sslmode=require"]
        {
            let output = howdah(&[command, url]);
            assert_eq!(output.status.code(), Some(3), "{command} {url}");
            let said = stdout(&output) + &stderr(&output);
            assert!(said.contains("the URL: 1 error"), "{said}");
            assert!(!said.contains("hidden"), "{said}");
        }
    }
}

#[test]
fn check_goes_on_with_warnings_and_says_where() {
    let file = Ini::with(&format!("{GOOD}syslog = 1\n"));
    let output = howdah(&["check", file.name()]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let text = stdout(&output);
    assert!(text.starts_with(&format!("{}:6: warning: syslog", file.name())), "{text}");
    assert!(text.contains("usable, with 1 warning"), "{text}");
}

#[test]
fn check_lists_every_error_and_ends_with_3() {
    let file = Ini::with(&format!("{GOOD}pool_mod = session\nlisten_port = many\n"));
    let output = howdah(&["check", file.name()]);
    assert_eq!(output.status.code(), Some(3));
    let text = stdout(&output);
    assert!(text.contains(&format!("{}:6: error: unknown setting \"pool_mod\"", file.name())), "{text}");
    assert!(text.contains("did you mean \"pool_mode\"?"), "{text}");
    assert!(text.contains(&format!("{}:7: error:", file.name())), "{text}");
    assert!(stderr(&output).contains("2 errors"), "{}", stderr(&output));
}

#[test]
fn a_missing_file_is_named() {
    for arguments in
        [&["check", "/nonexistent.ini"][..], &["serve", "/nonexistent.ini"], &["-q", "/nonexistent.ini"]]
    {
        let output = howdah(arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        let said = format!("{}{}", stdout(&output), stderr(&output));
        assert!(said.contains("/nonexistent.ini"), "{said}");
    }
}

#[test]
fn serve_refuses_a_bad_file_however_it_is_called() {
    let file = Ini::with(&format!("{GOOD}pool_mod = session\nlogfile = {{dir}}/log\n"));
    for arguments in [&["serve", file.name()][..], &["-q", file.name()], &["-v", "-v", file.name()]] {
        let output = howdah(arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        let text = stderr(&output);
        assert!(text.contains(":6: error: unknown setting") && text.contains("not started"), "{text}");
    }
    assert!(!file.dir().join("log").exists(), "a log was begun for nothing");
}

#[test]
fn a_bad_url_is_refused_without_its_password() {
    let output = howdah(&["serve", "postgres://app:hunter2@db:port/shop"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("port"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("hunter2"), "{}", stderr(&output));
}

#[test]
fn a_pid_file_of_a_live_process_is_respected() {
    let file = Ini::with(&format!(
        "{GOOD}pidfile = {{dir}}/pid\nlogfile = {{dir}}/log\nunix_socket_dir = {{dir}}\n"
    ));
    let me = std::process::id().to_string();
    std::fs::write(file.dir().join("pid"), &me).unwrap();
    let output = howdah(&["-q", file.name()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&me), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(file.dir().join("pid")).unwrap(), me);
    let log = std::fs::read_to_string(file.dir().join("log")).unwrap();
    assert!(log.contains("ERROR") && log.contains(&me), "{log}");
}

/// A configuration file; `{dir}` in it is its folder.
struct Ini {
    dir: TempDir,
    name: PathBuf,
}

impl Ini {
    fn with(text: &str) -> Ini {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("pgbouncer.ini");
        std::fs::write(&name, text.replace("{dir}", dir.path().to_str().unwrap())).unwrap();
        Ini { dir, name }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn name(&self) -> &str {
        self.name.to_str().unwrap()
    }
}

fn howdah(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_howdah")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
