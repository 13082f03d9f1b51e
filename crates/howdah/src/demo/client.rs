//! One client of a small shop: thinks, orders, browses, looks at its orders, thinks again.
//!
//! It uses an ordinary driver, prepares its statements once and keeps its connection, as applications do; it does
//! not know that server connections change beneath it.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_postgres::{Client, Config, Error, NoTls, Statement};

use super::tally::Tally;

/// Lives until `stop` says so or its connection is lost.
pub(crate) async fn live(config: Config, id: u32, tally: Rc<Tally>, mut stop: watch::Receiver<bool>) {
    match Shopper::connect(config, id).await {
        Ok(mut shopper) => {
            tally.came();
            shopper.shop(&tally, &mut stop).await;
            tally.left();
        }
        Err(error) => tally.failed(&error),
    }
}

/// What the shop looks like when it opens.
pub(crate) const SHOP: &str = "
    create table items (id int primary key, price int not null, stock int not null);
    insert into items select id, 100 + id % 900, 1000000 from generate_series(1, 10000) id;
    create table orders (id bigserial primary key, client int not null, item int not null, quantity int not null);
    create index on orders (client, id);
    vacuum analyze items;
";

struct Shopper {
    id: i32,
    client: Client,
    statements: Statements,
    chance: Chance,
}

impl Shopper {
    async fn connect(mut config: Config, id: u32) -> Result<Shopper, Error> {
        config.application_name(format!("demo client {id}"));
        let (client, connection) = config.connect(NoTls).await?;
        tokio::task::spawn_local(connection);
        let statements = Statements::prepare(&client).await?;
        Ok(Shopper { id: id.cast_signed(), client, statements, chance: Chance::new(id) })
    }

    async fn shop(&mut self, tally: &Tally, stop: &mut watch::Receiver<bool>) {
        while !self.client.is_closed() {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(self.chance.think_time()) => {}
            }
            let began = Instant::now();
            let done = match self.chance.below(10) {
                0..4 => self.order().await,
                4..8 => self.browse().await,
                _ => self.look_at_orders().await,
            };
            match done {
                Ok(()) => tally.done(began.elapsed()),
                Err(error) => tally.failed(&error),
            }
        }
    }

    async fn order(&mut self) -> Result<(), Error> {
        let (item, quantity) = (self.chance.item(), 1 + self.chance.below(3));
        let transaction = self.client.transaction().await?;
        transaction.query_one(&self.statements.item, &[&item]).await?;
        transaction.execute(&self.statements.order, &[&self.id, &item, &quantity]).await?;
        transaction.execute(&self.statements.take, &[&item, &quantity]).await?;
        transaction.commit().await
    }

    async fn browse(&mut self) -> Result<(), Error> {
        let items = [self.chance.item(), self.chance.item()];
        let transaction = self.client.transaction().await?;
        for item in items {
            transaction.query_one(&self.statements.item, &[&item]).await?;
        }
        transaction.commit().await
    }

    /// And forget all but the last ones, so that a long demo does not fill the disk.
    async fn look_at_orders(&mut self) -> Result<(), Error> {
        let transaction = self.client.transaction().await?;
        let rows = transaction.query(&self.statements.orders, &[&self.id]).await?;
        if let Some(oldest) = rows.last() {
            let oldest: i64 = oldest.try_get(0)?;
            transaction.execute(&self.statements.forget, &[&self.id, &oldest]).await?;
        }
        transaction.commit().await
    }
}

struct Statements {
    item: Statement,
    order: Statement,
    take: Statement,
    orders: Statement,
    forget: Statement,
}

impl Statements {
    async fn prepare(client: &Client) -> Result<Statements, Error> {
        Ok(Statements {
            item: client.prepare("select price, stock from items where id = $1").await?,
            order: client.prepare("insert into orders (client, item, quantity) values ($1, $2, $3)").await?,
            take: client.prepare("update items set stock = stock - $2 where id = $1").await?,
            orders: client
                .prepare("select id, item, quantity from orders where client = $1 order by id desc limit 10")
                .await?,
            forget: client.prepare("delete from orders where client = $1 and id < $2").await?,
        })
    }
}

/// Each client's own dice (SplitMix64): good enough for a shop.
struct Chance(u64);

impl Chance {
    fn new(seed: u32) -> Chance {
        Chance(u64::from(seed) << 32)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: i32) -> i32 {
        (self.next() % u64::from(n.unsigned_abs())) as i32
    }

    fn item(&mut self) -> i32 {
        1 + self.below(10_000)
    }

    /// Exponential: mostly short, sometimes long.
    fn think_time(&mut self) -> Duration {
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        MEAN_THINK_TIME.mul_f64(-(1.0 - share).ln())
    }
}

const MEAN_THINK_TIME: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn think_time_has_its_mean_and_clients_differ() {
        let mut chance = Chance::new(7);
        let sum: Duration = (0..10_000).map(|_| chance.think_time()).sum();
        let mean = sum / 10_000;
        assert!(mean > MEAN_THINK_TIME.mul_f64(0.9) && mean < MEAN_THINK_TIME.mul_f64(1.1), "{mean:?}");
        assert_ne!(Chance::new(1).item(), Chance::new(2).item());
    }
}
