//! A panic while serving one client ends that client with an error and costs nobody else anything.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use howdah_core::control::{AdminRole, ConfigRow, ConsoleDoor, ConsoleSession, Outcome, Request, Shutdown};
use howdah_core::settings::Settings;
use howdah_engine::{Configuration, Howdah};
use howdah_wire::ProtocolVersion;
use howdah_wire::startup::write_startup;

struct Unchanging;

impl Configuration for Unchanging {
    fn load(&self) -> Result<Settings, String> {
        Err("nothing to read".to_owned())
    }

    fn show(&self, _: &Settings) -> Vec<ConfigRow> {
        Vec::new()
    }

    fn set(&self, _: &mut Settings, _: &str, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn needs_restart(&self, _: &Settings, _: &Settings) -> Vec<&'static str> {
        Vec::new()
    }
}

/// Whoever opens it finds a bug.
struct Trapdoor;

impl ConsoleDoor for Trapdoor {
    fn open(&self, _: &str, _: AdminRole) -> Box<dyn ConsoleSession> {
        panic!("a bug that this test has put here")
    }
}

#[test]
fn a_panic_ends_its_client_with_an_error_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.listen.unix_socket_dir = Some(folder.path().display().to_string());
    settings.listen.workers = Some(1);
    let howdah = Howdah::start(settings, Arc::new(Unchanging), Arc::new(Trapdoor)).unwrap();
    // The same thread serves all three: the second and third find it alive.
    for _ in 0..3 {
        let mut client = UnixStream::connect(folder.path().join(".s.PGSQL.6432")).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut startup = Vec::new();
        let who = [("user", "pgbouncer"), ("database", "pgbouncer")];
        write_startup(&mut startup, ProtocolVersion::V3_0, who);
        client.write_all(&startup).unwrap();
        let mut said = Vec::new();
        client.read_to_end(&mut said).unwrap();
        let said = String::from_utf8_lossy(&said);
        assert!(
            said.contains("FATAL") && said.contains("XX000") && said.contains("internal error"),
            "{said:?}"
        );
    }
    let Outcome::Snapshot(snapshot) = howdah.control().run_blocking(Request::Snapshot) else {
        panic!("no snapshot");
    };
    assert_eq!(snapshot.lists.panics, 3);
    assert!(matches!(howdah.control().run_blocking(Request::Shutdown(Shutdown::Immediate)), Outcome::Done));
    howdah.join();
}
