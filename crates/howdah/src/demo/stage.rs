//! What the demo plays on: a throw-away PostgreSQL, and a Howdah before it in this process.

use std::sync::Arc;

use anyhow::Context;
use howdah_console::Door;
use howdah_core::control::{ConfigRow, Request, Shutdown};
use howdah_core::settings::{AuthMethod, Database, PoolMode, Settings};
use howdah_embedded::{Cluster, free_port};
use howdah_engine::{Configuration, Control, Howdah};
use howdah_wire::secret::Secret;
use tokio_postgres::{Client, Config, NoTls};

use super::client::SHOP;
use crate::cli::DemoOptions;

/// Both servers, running.
pub(crate) struct Stage {
    howdah: Howdah,
    cluster: Cluster,
    port: u16,
}

impl Stage {
    /// Starts both and opens the shop.
    pub(crate) async fn set(options: &DemoOptions) -> anyhow::Result<Stage> {
        let cluster = Cluster::builder()
            .setting("max_connections", max_connections(options))
            .tcp(false)
            .one_off()
            .start()
            .context("cannot start a PostgreSQL")?;
        open_shop(&cluster).await.context("cannot prepare the database")?;
        let port = free_port()?;
        let settings = settings(options, &cluster, port);
        let howdah = Howdah::start(settings.clone(), Arc::new(Fixed(settings)), Arc::new(Door))
            .context("cannot start Howdah")?;
        Ok(Stage { howdah, cluster, port })
    }

    /// Howdah's port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn control(&self) -> Control {
        self.howdah.control()
    }

    /// How a client connects: to Howdah.
    pub(crate) fn for_clients(&self) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user(NAME).dbname(NAME);
        config
    }

    /// A connection to PostgreSQL itself, past Howdah.
    pub(crate) async fn behind(&self) -> anyhow::Result<Client> {
        connect(&self.cluster, "postgres", "postgres").await
    }

    /// Stops both; nothing is left.
    pub(crate) fn clear(self) {
        // Whatever it answers, it has stopped once its threads have ended.
        let _ = self.howdah.control().run_blocking(Request::Shutdown(Shutdown::Immediate));
        self.howdah.join();
    }
}

/// How many ordinary connections PostgreSQL has room for: deliberately less than there are clients.
pub(crate) fn room(options: &DemoOptions) -> u32 {
    max_connections(options) - RESERVED
}

fn max_connections(options: &DemoOptions) -> u32 {
    (options.servers + 10).max(60)
}

fn settings(options: &DemoOptions, cluster: &Cluster, port: u16) -> Settings {
    let mut settings = Settings::default();
    settings.listen.addresses = vec!["127.0.0.1".to_owned()];
    settings.listen.port = port;
    settings.listen.unix_socket_dir = None;
    settings.listen.backlog = options.clients;
    settings.listen.workers = options.workers.map(Into::into);
    settings.auth.method = AuthMethod::Trust;
    settings.auth.admin_users = vec![NAME.to_owned()];
    settings.secrets.insert(NAME.to_owned(), Secret::Plain(String::new().into()));
    settings.pool.mode = PoolMode::Transaction;
    settings.pool.size = options.servers;
    settings.clients.max_client_conn = options.clients + ROOM_FOR_VISITORS;
    let database = Database {
        hosts: vec![cluster.socket_dir().display().to_string()],
        port: Some(cluster.port()),
        ..Database::default()
    };
    settings.databases.insert(NAME.to_owned(), database);
    settings
}

async fn open_shop(cluster: &Cluster) -> anyhow::Result<()> {
    let postgres = connect(cluster, "postgres", "postgres").await?;
    for statement in [format!("create role {NAME} login"), format!("create database {NAME} owner {NAME}")] {
        postgres.batch_execute(&statement).await?;
    }
    let shop = connect(cluster, NAME, NAME).await?;
    for statement in SHOP.split_inclusive(';').filter(|statement| !statement.trim().is_empty()) {
        shop.batch_execute(statement).await?;
    }
    Ok(())
}

async fn connect(cluster: &Cluster, database: &str, user: &str) -> anyhow::Result<Client> {
    let mut config = Config::new();
    config.host_path(cluster.socket_dir()).port(cluster.port()).user(user).dbname(database);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The demo's settings are nowhere written; a reload finds them as they were.
struct Fixed(Settings);

impl Configuration for Fixed {
    fn load(&self) -> Result<Settings, String> {
        Ok(self.0.clone())
    }

    fn show(&self, settings: &Settings) -> Vec<ConfigRow> {
        howdah_config::show(settings)
    }

    fn set(&self, settings: &mut Settings, key: &str, value: &str) -> Result<(), String> {
        howdah_config::set(settings, key, value).map_err(|problem| crate::configuration::sentence(&problem))
    }

    fn needs_restart(&self, old: &Settings, new: &Settings) -> Vec<&'static str> {
        howdah_config::needs_restart(old, new)
    }
}

/// The role, and the database.
const NAME: &str = "demo";
/// `superuser_reserved_connections`, at its default.
const RESERVED: u32 = 3;
/// For whoever connects with psql meanwhile.
const ROOM_FOR_VISITORS: u32 = 100;
