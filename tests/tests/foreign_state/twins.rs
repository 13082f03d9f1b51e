//! Does a session through Howdah do what a session on a direct connection does?
//!
//! What a session ought to be is not computed here: PostgreSQL knows it better. Every client has a twin on a direct
//! connection that is told the same, and whatever the two answer and see of themselves has to be the same.

use std::collections::BTreeMap;

use howdah_tests::{Message, PATIENCE, RawClient, message};

use crate::look::{self, Sight};

/// Something to be sent to both.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Query(String),
    Parse {
        name: &'static str,
        sql: String,
    },
    Run(&'static str),
    Close(&'static str),
    /// Each by Parse, Bind and Execute, and one Sync for all.
    Pipeline(Vec<String>),
}

impl Step {
    fn bytes(&self, own: &Own) -> Vec<u8> {
        let sync = message::sync();
        match self {
            Self::Query(sql) => message::query(&own.fill(sql)),
            Self::Parse { name, sql } => [message::parse(name, &own.fill(sql)), sync].concat(),
            Self::Run(name) => [message::bind("", name, &[]), message::execute("", 0), sync].concat(),
            Self::Close(name) => [message::close(b'S', name), sync].concat(),
            Self::Pipeline(statements) => {
                let one = |sql: &String| {
                    [message::parse("", &own.fill(sql)), message::bind("", "", &[]), message::execute("", 0)]
                };
                statements.iter().flat_map(one).chain([sync]).flatten().collect()
            }
        }
    }
}

/// How the two differ: where it shows, and the details.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) what: String,
    pub(crate) details: Vec<String>,
}

/// A client through Howdah and its twin.
pub(crate) struct Twins {
    howdah: Side,
    direct: Side,
    /// What they were told, the last ones.
    pub(crate) history: Vec<String>,
}

impl Twins {
    /// Logs both in with these parameters; `serial` is nobody else's.
    pub(crate) fn login(
        howdah: RawClient,
        direct: RawClient,
        serial: usize,
        parameters: &[(&str, &str)],
    ) -> Result<Self, Difference> {
        let howdah = Side::new(howdah, &format!("h{serial}"), serial * 2);
        let direct = Side::new(direct, &format!("d{serial}"), serial * 2 + 1);
        let mut twins = Self { howdah, direct, history: vec![format!("login {parameters:?}")] };
        let bytes = message::startup(parameters);
        twins.tell(|_| bytes.clone())?;
        Ok(twins)
    }

    /// Sends both a step and compares what they say.
    pub(crate) fn step(&mut self, step: &Step) -> Result<(), Difference> {
        if self.history.len() == HISTORY {
            self.history.remove(0);
        }
        self.history.push(format!("{step:?}"));
        self.tell(|own| step.bytes(own)).map(|_| ())
    }

    /// Lets both look at themselves and compares what they see.
    pub(crate) fn look(&mut self) -> Result<(), Difference> {
        let query = look::query();
        let (howdah, direct) = self.tell_both(|own| message::query(&own.fill(&query)))?;
        compare_sights(&look::sight(&howdah), &look::sight(&direct))?;
        self.compare_reports()
    }

    /// Sends something to the client alone, as if somebody else had.
    pub(crate) fn meddle(&mut self, sql: &str) {
        self.howdah.client.run(&self.howdah.own.fill(sql));
    }

    /// Ends both sessions in the orderly way; merely dropped, they just hang up.
    pub(crate) fn terminate(mut self) {
        for side in [&mut self.howdah, &mut self.direct] {
            side.client.send(&message::terminate());
        }
    }

    fn tell(&mut self, bytes: impl Fn(&Own) -> Vec<u8>) -> Result<(), Difference> {
        let (howdah, direct) = self.tell_both(bytes)?;
        let (ours, theirs) = (self.howdah.essence(&howdah), self.direct.essence(&direct));
        if ours != theirs {
            let details = vec![format!("through Howdah: {ours:?}"), format!("directly:       {theirs:?}")];
            return Err(Difference { what: "an answer".into(), details });
        }
        self.compare_reports()
    }

    fn tell_both(
        &mut self,
        bytes: impl Fn(&Own) -> Vec<u8>,
    ) -> Result<(Vec<Message>, Vec<Message>), Difference> {
        for side in [&mut self.howdah, &mut self.direct] {
            // Whoever has been sent away says so when he is asked for the answer.
            let _ = side.client.try_send(&bytes(&side.own));
        }
        Ok((self.howdah.answer()?, self.direct.answer()?))
    }

    fn compare_reports(&self) -> Result<(), Difference> {
        let (ours, theirs) = (&self.howdah.reported, &self.direct.reported);
        let names = ours.keys().chain(theirs.keys()).filter(|name| ours.get(*name) != theirs.get(*name));
        let details: Vec<_> = names
            .map(|name| format!("{name}: told {:?} instead of {:?}", ours.get(name), theirs.get(name)))
            .collect();
        if details.is_empty() { Ok(()) } else { Err(Difference { what: "ParameterStatus".into(), details }) }
    }
}

/// One of the two.
struct Side {
    client: RawClient,
    own: Own,
    reported: BTreeMap<String, String>,
}

impl Side {
    fn new(client: RawClient, name: &str, lock: usize) -> Self {
        client.set_timeout(2 * PATIENCE);
        let own = Own { channel: format!("watch_{name}_"), lock };
        Self { client, own, reported: BTreeMap::new() }
    }

    /// Everything up to ReadyForQuery.
    fn answer(&mut self) -> Result<Vec<Message>, Difference> {
        let mut messages: Vec<Message> = Vec::new();
        while messages.last().is_none_or(|m| m.tag != b'Z') {
            let message = match self.client.try_read() {
                Ok(Some(message)) => message,
                end => {
                    let details = vec![format!("{end:?} after {:?}", self.essence(&messages))];
                    return Err(Difference { what: "no answer".into(), details });
                }
            };
            if message.tag == b'S' {
                let mut texts = message.body.split(|&byte| byte == 0).map(String::from_utf8_lossy);
                let mut text = || texts.next().unwrap_or_default().into_owned();
                self.reported.insert(text(), text());
            } else {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    /// What has to be the same for both: neither keys nor process ids, and of names that are one side's own only what
    /// they have in common.
    fn essence(&self, messages: &[Message]) -> Vec<String> {
        let essence = |message: &Message| {
            let tag = char::from(message.tag);
            match message.tag {
                b'K' | b'R' => None,
                b'D' => Some(format!("D {:?}", message.columns())),
                b'E' | b'N' => Some(format!("{tag} {} {}", message.sqlstate(), message.text())),
                b'A' => Some(format!("A {}", self.notification(message))),
                b'Z' => Some(format!("Z {:?}", message.body.first().copied().map(char::from))),
                _ => Some(format!("{tag} {}", String::from_utf8_lossy(&message.body))),
            }
        };
        messages.iter().filter_map(essence).map(|text| text.replace(&self.own.channel, "own ")).collect()
    }

    /// Channel and payload, without the sender's process id.
    fn notification(&self, message: &Message) -> String {
        let text = message.body.get(size_of::<u32>()..).unwrap_or_default();
        String::from_utf8_lossy(text).replace('\0', " ")
    }
}

/// What belongs to one side, so that the twins are not in each other's way.
struct Own {
    /// How its channels begin; `@me` in a statement.
    channel: String,
    /// The first key of its advisory locks; `@lock` in a statement.
    lock: usize,
}

impl Own {
    fn fill(&self, sql: &str) -> String {
        sql.replace("@me", &self.channel).replace("@lock", &self.lock.to_string())
    }
}

fn compare_sights(ours: &Sight, theirs: &Sight) -> Result<(), Difference> {
    let foreign = ours.difference(theirs).map(|row| ("foreign", row));
    // Where a client's channels are listened to is Howdah's business; the notifications tell whether they are.
    let lost = theirs.difference(ours).filter(|[kind, ..]| kind != "channel").map(|row| ("lost", row));
    let rows: Vec<_> = foreign.chain(lost).collect();
    let Some((_, [kind, name, _])) = rows.first() else { return Ok(()) };
    let what = if kind.ends_with("setting") { format!("{kind} {name}") } else { kind.clone() };
    Err(Difference { what, details: rows.iter().map(|(how, row)| format!("{how}: {row:?}")).collect() })
}

/// How many steps a report tells.
const HISTORY: usize = 20;
