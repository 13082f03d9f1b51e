//! One Howdah, one PostgreSQL, the clients, and what is noted of them all.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use howdah_core::control::{AdminRole, ConfigRow, ConsoleDoor, ConsoleSession};
use howdah_core::pool::WorkerId;
use howdah_core::settings::{MaxPinned, Settings};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::check::{self, Facts};
use super::plan::Plan;
use super::postgres::{self, Cluster, SimulatedNet};
use super::{Chance, client, faults};
use crate::configuration::Configuration;
use crate::control::{self, Control};
use crate::duties;
use crate::shared::{Parts, Shared, WorkerDoor};
use crate::worker::Worker;

/// Everything there is while a seed is run.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) chance: RefCell<Chance>,
    pub(super) shared: Arc<Shared>,
    pub(super) control: Control,
    pub(super) workers: RefCell<Vec<Rc<Worker>>>,
    pub(super) cluster: Cluster,
    pub(super) facts: RefCell<Facts>,
    /// All clients have finished.
    pub(super) over: Cell<bool>,
    began: Instant,
    log: Option<RefCell<Vec<String>>>,
    failures: RefCell<Vec<String>>,
}

/// What came of a seed.
pub(super) struct Report {
    pub(super) failures: Vec<String>,
    pub(super) log: Vec<String>,
    /// Replies that clients have checked.
    pub(super) checked: usize,
}

/// Runs a seed from start to end. The log is only kept if wanted: it costs more than all the rest.
pub(super) fn run(seed: u64, logged: bool, circumstances: &dyn Fn(&mut Plan)) -> Report {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let world = World::begin(seed, logged, circumstances);
        let limit = tokio::time::timeout(LONGEST_RUN, live(&world)).await;
        if limit.is_err() {
            world.fail("the clients do not come to an end");
        }
        check::end(&world).await;
        let checked = world.facts.borrow().checked;
        Report {
            failures: world.failures.take(),
            log: world.log.as_ref().map_or_else(Vec::new, RefCell::take),
            checked,
        }
    })
}

async fn live(world: &Rc<World>) {
    world.spawn("troubles", faults::make(Rc::clone(world)));
    let clients: Vec<_> = (0..world.plan.clients)
        .map(|number| world.spawn(format!("client c{number}"), client::live(Rc::clone(world), number)))
        .collect();
    for client in clients {
        // A panic has been noted as a failure.
        let _ = client.await;
    }
    world.over.set(true);
}

impl World {
    fn begin(seed: u64, logged: bool, circumstances: &dyn Fn(&mut Plan)) -> Rc<World> {
        let mut chance = Chance::new(seed);
        let mut plan = Plan::new(&mut chance);
        circumstances(&mut plan);
        let (dials, calls) = mpsc::unbounded_channel();
        let random = Mutex::new(chance.fork());
        let shared = Arc::new(Shared::new(Parts {
            settings: Arc::new(ArcSwap::from_pointee(plan.settings())),
            net: Box::new(SimulatedNet::new(dials)),
            console: Arc::new(NoConsole),
            configuration: Arc::new(FewSettings),
            random: Box::new(move |bytes| {
                let mut random = random.lock().unwrap();
                bytes.fill_with(|| random.draw().to_le_bytes()[0]);
            }),
            workers: plan.workers,
            now: Instant::now().into_std(),
        }));
        let (jobs, job_list) = mpsc::unbounded_channel();
        let mut doors = Vec::new();
        let mut mailboxes = Vec::new();
        for _ in 0..plan.workers {
            let (mailbox, messages) = mpsc::unbounded_channel();
            doors.push(WorkerDoor::new(mailbox));
            mailboxes.push(messages);
        }
        let _ = shared.workers.set(doors);
        let _ = shared.control.set(jobs);
        let world = Rc::new(World {
            chance: RefCell::new(chance),
            control: Control::of(&shared),
            workers: RefCell::default(),
            cluster: Cluster::default(),
            facts: RefCell::default(),
            over: Cell::new(false),
            began: Instant::now(),
            log: logged.then(RefCell::default),
            failures: RefCell::default(),
            shared,
            plan,
        });
        if world.plan.is_short_of_connections() || world.plan.max_pinned != MaxPinned::Unlimited {
            world.facts.borrow_mut().excuse(&["53300"]);
        }
        world.log(|| format!("seed {seed}: {:?}", world.plan));
        for (number, messages) in mailboxes.into_iter().enumerate() {
            let worker =
                Worker::new(WorkerId(u16::try_from(number).unwrap()), Arc::clone(&world.shared), None);
            duties::begin_for(&worker);
            world.workers.borrow_mut().push(Rc::clone(&worker));
            world.spawn(format!("worker {number}"), worker.serve_mailbox(messages));
        }
        duties::begin_common(&world.shared);
        let ending = Rc::new(Notify::new());
        world.spawn("control", control::serve(Arc::clone(&world.shared), job_list, ending));
        world.spawn("postgres", postgres::accept(Rc::clone(&world), calls));
        world
    }

    /// Runs a task of the simulation's own; a panic in it fails the seed.
    pub(super) fn spawn<F>(self: &Rc<Self>, name: impl Into<String>, task: F) -> tokio::task::JoinHandle<()>
    where
        F: Future<Output = ()> + 'static,
    {
        let (world, name) = (Rc::clone(self), name.into());
        let task = spawn_local(task);
        spawn_local(async move {
            if let Err(error) = task.await {
                world.fail(format!("{name}: {error}"));
            }
        })
    }

    pub(super) fn log(&self, line: impl FnOnce() -> String) {
        if let Some(log) = &self.log {
            let line = format!("{:>6} ms  {}", self.began.elapsed().as_millis(), line());
            log.borrow_mut().push(line);
        }
    }

    /// Something is wrong.
    pub(super) fn fail(&self, what: impl Into<String>) {
        let what = what.into();
        self.log(|| format!("WRONG: {what}"));
        self.failures.borrow_mut().push(what);
    }

    pub(super) fn fork(&self) -> Chance {
        self.chance.borrow_mut().fork()
    }
}

/// Nobody asks for the console here.
struct NoConsole;

impl ConsoleDoor for NoConsole {
    fn open(&self, _: &str, _: AdminRole) -> Box<dyn ConsoleSession> {
        unreachable!("no client of the simulation asks for the console")
    }
}

/// A configuration in which the size of all pools and some limits can be changed.
struct FewSettings;

impl Configuration for FewSettings {
    fn load(&self) -> Result<Settings, String> {
        Err("there is no file".to_owned())
    }

    fn show(&self, _: &Settings) -> Vec<ConfigRow> {
        Vec::new()
    }

    fn set(&self, settings: &mut Settings, key: &str, value: &str) -> Result<(), String> {
        let value: u32 = value.parse().map_err(|error| format!("{error}"))?;
        let limit = Some(Duration::from_millis(value.into()));
        match key {
            "default_pool_size" => settings.pool.size = value,
            "query_timeout" => settings.timeouts.query = limit,
            "transaction_timeout" => settings.timeouts.transaction = limit,
            "idle_transaction_timeout" => settings.timeouts.idle_transaction = limit,
            _ => return Err(format!("no setting {key}")),
        }
        Ok(())
    }

    fn needs_restart(&self, _: &Settings, _: &Settings) -> Vec<&'static str> {
        Vec::new()
    }
}

/// Of virtual time.
const LONGEST_RUN: Duration = Duration::from_secs(300);
