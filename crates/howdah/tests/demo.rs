//! `howdah demo` as a process: bounded, honest about failures, and gone without a trace.

use std::process::{Command, Stdio};

#[test]
fn shows_its_numbers_and_leaves_nothing_behind() {
    let dir = tempfile::Builder::new().prefix("demo-").tempdir_in("/tmp").unwrap();
    // PostgreSQL may run as somebody else, who needs to get in.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(dir.path(), open).unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_howdah"))
        .args(["demo", "--seconds", "2", "--clients", "12", "--servers", "3", "--workers", "2"])
        .env("TMPDIR", dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, error) = (String::from_utf8_lossy(&demo.stdout), String::from_utf8_lossy(&demo.stderr));
    assert_eq!(demo.status.code(), Some(0), "{out}{error}");
    assert!(out.contains("clients 12 ("), "{out}");
    let summary = out.lines().find(|line| line.starts_with("12 clients did ")).expect(&out);
    assert!(summary.ends_with("errors: 0.") && !summary.contains("did 0 "), "{summary}");
    let backends = out.lines().find(|line| line.starts_with("PostgreSQL never had more than ")).expect(&out);
    assert!(
        ["more than 1 ", "more than 2 ", "more than 3 "].iter().any(|n| backends.contains(n)),
        "{backends}"
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
