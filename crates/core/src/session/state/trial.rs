//! Settings of a startup packet, tried on a server connection before the client is let in.
//!
//! One query gives them with `set_config`, for the length of its own transaction: PostgreSQL says how it spells
//! them, or what is wrong with them, and the server connection is left as it was, either way. What is known
//! beforehand is not asked: values that the server has anyway, and names of applications.

use howdah_wire::{ErrorResponse, Severity};

use super::Beginning;
use super::carried::{SessionState, Start, share};
use super::literal::{escaping, from_escaped, push_escaped, push_literal, to_escaped};
use super::look::field;
use crate::refusal;
use crate::session::{Parameters, Tracked};

/// Settings that are being tried.
#[derive(Debug)]
pub struct Trial {
    /// Name as the client spells it, and value in `escape` format.
    asked: Vec<(Box<str>, Box<str>)>,
    /// By name in lower case, values as PostgreSQL spells them.
    found: Vec<(Box<str>, Box<str>)>,
    /// Without effect.
    ignored: Vec<Box<str>>,
    /// Among those asked: fixed when a connection is opened. Only a superuser may give some of them.
    fixed: Vec<(Box<str>, bool)>,
    superuser: bool,
    superuser_at_start: bool,
    refusal: Option<ErrorResponse>,
}

/// What came of a trial.
#[derive(Debug)]
pub enum Tried {
    /// The session may begin.
    Well(Beginning),
    /// Some are without effect; the others have to be tried without them.
    Again(Trial),
    /// PostgreSQL's own word.
    Refused(ErrorResponse),
}

impl Trial {
    /// Settings as a client asks for them; `plain`: what servers of its pool report without being asked.
    #[must_use]
    pub fn new(wish: &[(String, String)], tracked: &Tracked, plain: &Parameters) -> Trial {
        let mut trial = Trial {
            asked: Vec::new(),
            found: Vec::new(),
            ignored: Vec::new(),
            fixed: Vec::new(),
            superuser: false,
            superuser_at_start: false,
            refusal: None,
        };
        for (name, value) in wish {
            let lower = name.to_ascii_lowercase();
            let usual = tracked.index(name).and_then(|index| plain.get(index));
            if lower == "seed" {
                trial.ignored.push(lower.into());
            } else if ENDS_WITH_LOGIN.contains(&&*lower) {
                // Nor has it any effect on a connection of the client's own.
            } else if usual
                .is_some_and(|usual| **usual == **value || is_utf8(&lower, value) && is_utf8(&lower, usual))
            {
                let usual = usual.map_or(value.as_str(), |usual| usual);
                trial.found.push((lower.into(), to_escaped(usual.as_bytes()).into()));
            } else if lower == "application_name" && value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                trial.found.push((lower.into(), to_escaped(value.as_bytes()).into()));
            } else {
                trial.asked.push((name.as_str().into(), to_escaped(value.as_bytes()).into()));
            }
        }
        // They change who sets the others, and SET SESSION AUTHORIZATION the role.
        trial.asked.sort_by_key(|(name, _)| {
            WHO.iter().position(|who| who.eq_ignore_ascii_case(name)).map(|at| at + 1)
        });
        trial
    }

    /// Nothing has to be asked.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.asked.is_empty()
    }

    /// Custom parameters are among them, whose names stay known where they are tried.
    #[must_use]
    pub fn leaves_names(&self) -> bool {
        self.asked.iter().any(|(name, _)| name.contains('.'))
    }

    /// The question; each row of the answer has three columns.
    pub(crate) fn query(&self) -> Vec<u8> {
        let mut query = b"SELECT 'u', 'is_superuser', pg_catalog.current_setting('is_superuser'); \
            SELECT 'f', s.name, s.context FROM pg_catalog.pg_show_all_settings() AS s \
            WHERE s.context OPERATOR(pg_catalog.~~) '%backend' \
            AND pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) ANY (ARRAY["
            .to_vec();
        for (index, (name, _)) in self.asked.iter().enumerate() {
            query.extend_from_slice(if index > 0 { b", " } else { b"" });
            push_escaped(&mut query, &to_escaped(name.to_ascii_lowercase().as_bytes()));
        }
        query.extend_from_slice(b"]::pg_catalog.text[]); ");
        for (name, value) in &self.asked {
            let mut call = b"pg_catalog.set_config(".to_vec();
            push_escaped(&mut call, &to_escaped(name.as_bytes()));
            call.extend_from_slice(b", ");
            push_escaped(&mut call, value);
            call.extend_from_slice(b", true)");
            query.extend_from_slice(b"SELECT 's', ");
            push_literal(&mut query, &to_escaped(name.to_ascii_lowercase().as_bytes()));
            query.extend_from_slice(b", ");
            query.extend_from_slice(escaping(&String::from_utf8_lossy(&call)).as_bytes());
            query.extend_from_slice(b"; ");
        }
        query.extend_from_slice(b"SELECT 'i', 'is_superuser', pg_catalog.current_setting('is_superuser')");
        query
    }

    /// A DataRow's body. `None`: it is not of this answer.
    pub(crate) fn row(&mut self, body: &[u8]) -> Option<()> {
        let mut rest = body.get(2..)?;
        let kind = field(&mut rest)??;
        let name = String::from_utf8_lossy(field(&mut rest)??).to_ascii_lowercase();
        let value = String::from_utf8_lossy(field(&mut rest)??).into_owned();
        match kind {
            b"u" => self.superuser_at_start = value == "on",
            b"i" => self.superuser = value == "on",
            b"f" => self.fixed.push((name.into(), value.starts_with("superuser"))),
            b"s" => {
                let name = String::from_utf8_lossy(&from_escaped(&name)).into_owned();
                self.found.push((name.into(), value.into()));
            }
            _ => return None,
        }
        Some(())
    }

    /// PostgreSQL wants none of them.
    pub(crate) fn refuse(&mut self, error: ErrorResponse) {
        self.refusal = Some(error);
    }

    /// What came of it, once it is answered.
    #[must_use]
    pub fn verdict(mut self, tracked: &Tracked) -> Tried {
        if !self.fixed.is_empty() {
            let denied = |(_, superusers): &&(Box<str>, bool)| *superusers && !self.superuser_at_start;
            if let Some((name, _)) = self.fixed.iter().find(denied) {
                return Tried::Refused(refusal::start_setting_denied(name));
            }
            let fixed = std::mem::take(&mut self.fixed);
            self.asked.retain(|(asked, _)| !fixed.iter().any(|(name, _)| name.eq_ignore_ascii_case(asked)));
            self.ignored.extend(fixed.into_iter().map(|(name, _)| name));
            let settled = self.asked.iter().map(|(name, _)| name.to_ascii_lowercase()).collect::<Vec<_>>();
            self.found.retain(|(name, _)| !settled.contains(&name.to_string()));
            self.refusal = None;
            return Tried::Again(self);
        }
        match self.refusal {
            // The client has no session yet that could go on.
            Some(error) => Tried::Refused(ErrorResponse { severity: Severity::Fatal, ..error }),
            None => Tried::Well(self.beginning(tracked)),
        }
    }

    fn beginning(self, tracked: &Tracked) -> Beginning {
        let mut state = SessionState::default();
        let mut parameters = Parameters::new(tracked);
        let mut start = Vec::new();
        for (name, value) in self.found {
            match &*name {
                "role" => state.role = Some(value).filter(|role| &**role != "none"),
                // PostgreSQL checks it at login, and has the client go on as who it logged in as.
                "session_authorization" => {}
                _ => {
                    match tracked.index(&name) {
                        Some(index) => {
                            parameters.set(index, &String::from_utf8_lossy(&from_escaped(&value)));
                        }
                        None => {
                            state.settings.insert(name.clone(), value.clone());
                        }
                    }
                    start.push((name, value));
                }
            }
        }
        state.superuser = self.superuser && state.role.is_some();
        start.sort();
        let start = (!start.is_empty() || state.role.is_some()).then(|| Start { settings: start }.into());
        Beginning {
            start,
            state: share(state),
            parameters,
            ignored: self.ignored.into(),
            ..Beginning::default()
        }
    }
}

/// A spelling of the encoding that most clients ask for and most servers have.
fn is_utf8(setting: &str, value: &str) -> bool {
    let letters: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
    setting == "client_encoding" && letters.eq_ignore_ascii_case("utf8")
}

/// Settings of a transaction: those of a startup packet end with the login.
const ENDS_WITH_LOGIN: [&str; 3] =
    ["transaction_isolation", "transaction_read_only", "transaction_deferrable"];
/// Settings that say who the client is.
const WHO: [&str; 2] = ["session_authorization", "role"];
