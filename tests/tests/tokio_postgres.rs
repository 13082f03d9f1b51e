//! tokio-postgres through a transaction pool that is smaller than the number of clients.

use std::pin::pin;
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt, TryStreamExt, future};
use howdah_tests::{Database, Howdah};
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage};

#[tokio::test]
async fn simple_and_extended_queries() {
    let stage = Stage::new(2);
    let client = stage.client().await;
    let answer = client.simple_query("select 1 as n; select 'ä', null").await.unwrap();
    let rows: Vec<_> = answer
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap().to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(rows, ["1", "ä"]);
    let row =
        client.query_one("select $1::int8 + $2::int8, $3::text", &[&2_i64, &3_i64, &"x"]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (5, "x"));
    let bytes: Vec<u8> = (0..=255).collect();
    let row = client.query_one("select $1::bytea, $2::float8", &[&bytes, &1.5_f64]).await.unwrap();
    assert_eq!((row.get::<_, Vec<u8>>(0), row.get::<_, f64>(1)), (bytes, 1.5));
    let row = client.query_typed("select $1", &[(&7_i32, Type::INT4)]).await.unwrap();
    assert_eq!(row[0].get::<_, i32>(0), 7);
}

#[tokio::test]
async fn a_prepared_statement_serves_on_every_server_connection() {
    let stage = Stage::new(2);
    let clients = future::join_all((0..6).map(|_| stage.client())).await;
    let work = clients.iter().enumerate().map(|(me, client)| async move {
        // The names are equal in all clients, the texts are not.
        let statement = client.prepare(&format!("select $1::int4 * {me}, pg_backend_pid()")).await.unwrap();
        let mut backends = Vec::new();
        for n in 0..50 {
            let row = client.query_one(&statement, &[&n]).await.unwrap();
            assert_eq!(row.get::<_, i32>(0), n * i32::try_from(me).unwrap());
            backends.push(row.get::<_, i32>(1));
        }
        backends.sort_unstable();
        backends.dedup();
        backends.len()
    });
    let seen = future::join_all(work).await;
    assert!(seen.into_iter().max() == Some(2), "no client ever changed its server connection");
    assert!(stage.database.backends() <= 2);
}

#[tokio::test]
async fn pipelined_queries_are_answered_in_order() {
    let stage = Stage::new(2);
    let client = stage.client().await;
    let statement = client.prepare("select $1::int4").await.unwrap();
    let numbers: Vec<i32> = (0..200).collect();
    let answers = future::join_all(numbers.iter().map(|n| async {
        let n: i32 = *n;
        client.query_one(&statement, &[&n]).await.map(|row| row.get::<_, i32>(0))
    }))
    .await;
    let answers: Result<Vec<_>, _> = answers.into_iter().collect();
    assert_eq!(answers.unwrap(), numbers);
    // An error in the middle is that query's alone.
    let divide = client.prepare("select 12 / $1::int4").await.unwrap();
    let by = |n: i32| {
        let (client, divide) = (&client, &divide);
        async move { client.query_one(divide, &[&n]).await.map(|row| row.get::<_, i32>(0)) }
    };
    let (two, zero, three) = future::join3(by(2), by(0), by(3)).await;
    assert_eq!((two.unwrap(), three.unwrap()), (6, 4));
    assert_eq!(zero.unwrap_err().code(), Some(&SqlState::DIVISION_BY_ZERO));
}

#[tokio::test]
async fn transactions_roll_back_when_dropped() {
    let stage = Stage::new(1);
    let mut client = stage.client().await;
    client.batch_execute("create table t (n int)").await.unwrap();
    {
        let transaction = client.transaction().await.unwrap();
        transaction.execute("insert into t values (1)", &[]).await.unwrap();
    }
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("select generate_series(1, 10)", &[]).await.unwrap();
    let first = transaction.query_portal(&portal, 4).await.unwrap();
    let rest = transaction.query_portal(&portal, 0).await.unwrap();
    assert_eq!((first.len(), rest.len()), (4, 6));
    transaction.execute("insert into t values (2)", &[]).await.unwrap();
    transaction.commit().await.unwrap();
    // Another client on the same server connection.
    let rows = stage.client().await.query("select n from t", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [2]);
}

#[tokio::test]
async fn copy_in_both_directions_and_both_formats() {
    let stage = Stage::new(1);
    let client = stage.client().await;
    client.batch_execute("create table t (n int4, t text)").await.unwrap();
    {
        let mut sink = pin!(client.copy_in("copy t from stdin").await.unwrap());
        for n in 0..1000 {
            sink.send(std::io::Cursor::new(format!("{n}\trow {n}\n"))).await.unwrap();
        }
        assert_eq!(sink.finish().await.unwrap(), 1000);
    }
    let out: Vec<_> = client
        .copy_out("copy (select * from t order by n) to stdout")
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let text = String::from_utf8(out.concat()).unwrap();
    assert_eq!(text.lines().count(), 1000);
    assert!(text.starts_with("0\trow 0\n") && text.ends_with("999\trow 999\n"));

    let types = [Type::INT4, Type::TEXT];
    let sink = client.copy_in("copy t from stdin binary").await.unwrap();
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    for n in 1000..2000_i32 {
        writer.as_mut().write(&[&n, &"binary"]).await.unwrap();
    }
    assert_eq!(writer.finish().await.unwrap(), 1000);
    let out = client.copy_out("copy (select * from t where t = 'binary') to stdout binary").await.unwrap();
    let rows: Vec<_> = BinaryCopyOutStream::new(out, &types).try_collect().await.unwrap();
    assert_eq!(rows.iter().map(|row| i64::from(row.get::<i32>(0))).sum::<i64>(), (1000..2000).sum());

    // One that is given up leaves the connection usable and the table as it was.
    {
        let mut sink =
            pin!(client.copy_in::<_, std::io::Cursor<Vec<u8>>>("copy t from stdin").await.unwrap());
        sink.send(std::io::Cursor::new(b"1\tgone\n".to_vec())).await.unwrap();
    }
    assert_eq!(client.query_one("select count(*) from t", &[]).await.unwrap().get::<_, i64>(0), 2000);
}

#[tokio::test]
async fn a_cancel_token_ends_its_own_query_only() {
    let stage = Stage::new(2);
    let (victim, bystander, watcher) = (stage.client().await, stage.client().await, stage.direct().await);
    let token = victim.cancel_token();
    let work = async {
        let error = victim.query("select pg_sleep(60) /* victim */", &[]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
        victim.query_one("select 1", &[]).await.unwrap();
    };
    let other = bystander.query("select pg_sleep(0.3)", &[]);
    let cancel = async {
        let ask = "select count(*) from pg_stat_activity where query like '%victim */' and state = 'active' and wait_event = 'PgSleep'";
        while watcher.query_one(ask, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
        token.cancel_query(NoTls).await.unwrap();
    };
    let ((), other, ()) = future::join3(work, other, cancel).await;
    assert!(other.is_ok());
}

#[tokio::test]
async fn notices_and_reported_settings_arrive() {
    let stage = Stage::new(1);
    let (client, mut connection) = tokio_postgres::connect(&stage.conninfo(), NoTls).await.unwrap();
    let (sender, mut messages) = tokio::sync::mpsc::unbounded_channel();
    let mut stream = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
    tokio::spawn(async move {
        while let Some(Ok(message)) = stream.next().await {
            // The test may have seen enough.
            let _ = sender.send(message);
        }
    });
    client.batch_execute("do $$ begin raise notice 'listen %', 7; end $$").await.unwrap();
    let message = tokio::time::timeout(Duration::from_secs(10), messages.recv()).await.unwrap().unwrap();
    assert!(matches!(message, AsyncMessage::Notice(notice) if notice.message() == "listen 7"));
}

#[tokio::test]
async fn it_works_over_the_unix_socket() {
    let stage = Stage::new(1);
    let conninfo = stage.howdah.unix_conninfo(stage.database.name(), "postgres");
    let client = connect(&conninfo).await;
    assert_eq!(client.query_one("select 6 * 7", &[]).await.unwrap().get::<_, i32>(0), 42);
}

struct Stage {
    howdah: Howdah,
    database: Database,
}

impl Stage {
    fn new(size: u32) -> Stage {
        let database = Database::create();
        let size = size.to_string();
        let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", &size)]);
        Stage { howdah, database }
    }

    fn conninfo(&self) -> String {
        self.howdah.conninfo(self.database.name(), "postgres")
    }

    async fn client(&self) -> Client {
        connect(&self.conninfo()).await
    }

    async fn direct(&self) -> Client {
        connect(&self.database.conninfo()).await
    }
}

async fn connect(conninfo: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(conninfo, NoTls).await.unwrap();
    // It ends with its client, or with the test.
    tokio::spawn(connection.map(|_| ()));
    client
}
