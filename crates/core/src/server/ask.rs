//! What Howdah says to a server connection on its own account, and what becomes of the answers: no client hears of
//! either.

use howdah_wire::ErrorResponse;
use howdah_wire::backend::tag;
use howdah_wire::frontend::{self, TargetKind};
use howdah_wire::sql::HintsBuilder;

use super::Server;
use crate::session::{Expected, Kind, Look, Subject, Survey, Trial, Tried};

impl Server {
    /// Appends a query of Howdah's own.
    pub fn ask(&mut self, query: &str, to_server: &mut Vec<u8>) {
        self.query(Subject::None, query.as_bytes(), to_server);
    }

    /// The same about something in particular.
    pub(crate) fn query(&mut self, subject: Subject, query: &[u8], to_server: &mut Vec<u8>) {
        frontend::write_query(to_server, query);
        self.outstanding.push(Expected { subject, ..Expected::ours(Kind::Query) });
        self.unnamed.forget();
    }

    /// Appends a statement without parameters, by the extended protocol: it leaves the unnamed statement alone, and
    /// fits into a batch that is open.
    pub(crate) fn run(&mut self, subject: Subject, text: &[u8], to_server: &mut Vec<u8>) {
        // What an earlier one has left that failed half way, its portal in a transaction that is still open.
        frontend::write_close(to_server, TargetKind::Portal, OWN);
        frontend::write_close(to_server, TargetKind::Statement, OWN);
        frontend::write_parse(to_server, OWN, text, &[]);
        frontend::write_bind_header(to_server, OWN, OWN, NO_PARAMETERS.len()).expect("the names are short");
        to_server.extend_from_slice(&NO_PARAMETERS);
        frontend::write_execute(to_server, OWN, 0);
        frontend::write_close(to_server, TargetKind::Portal, OWN);
        frontend::write_close(to_server, TargetKind::Statement, OWN);
        for kind in [Kind::Close, Kind::Close, Kind::Parse, Kind::Bind] {
            self.outstanding.push(Expected::ours(kind));
        }
        self.outstanding.push(Expected { subject, ..Expected::ours(Kind::Execute) });
        for kind in [Kind::Close, Kind::Close] {
            self.outstanding.push(Expected::ours(kind));
        }
    }

    /// Appends the question what the session looks like, as far as it is in doubt. `client`: custom parameters
    /// it has, beside those known here.
    pub(crate) fn look<'a>(&mut self, client: impl Iterator<Item = &'a str>, to_server: &mut Vec<u8>) {
        let about = self.doubts.take();
        let state = self.state.clone();
        let mut known: Vec<&str> = client.collect();
        known.extend(state.iter().flat_map(|state| state.settings.keys()).map(AsRef::as_ref));
        let (look, query) = Look::new(about, &known, self.rights);
        self.look = Some(Box::new(look));
        self.query(Subject::Look, &query, to_server);
    }

    /// Appends the question what is to be thought of these settings; it changes nothing here.
    pub fn try_settings(&mut self, trial: Trial, to_server: &mut Vec<u8>) {
        let query = trial.query();
        // Whoever tries them sets nothing here, and comes as a stranger the next time.
        self.visitor = None;
        self.trial = Some(Box::new(trial));
        self.query(Subject::Trial, &query, to_server);
    }

    /// What came of the settings that were tried, once nothing is owed any more.
    #[must_use]
    pub fn tried(&mut self) -> Option<Tried> {
        self.trial.take().map(|trial| trial.verdict(&self.tracked))
    }

    /// Appends the question what the functions of its database do, which may take so many milliseconds.
    pub fn survey(&mut self, millis: u64, to_server: &mut Vec<u8>) {
        self.survey = Some(Box::default());
        self.query(Subject::Survey, Survey::query(millis).as_bytes(), to_server);
    }

    /// The rows of the answer, once nothing is owed any more.
    ///
    /// # Errors
    /// PostgreSQL's own word why there are none.
    #[must_use]
    pub fn surveyed(&mut self) -> Option<Result<HintsBuilder, Box<ErrorResponse>>> {
        self.survey.take().map(|survey| survey.outcome())
    }

    /// The next reply with this tag is a row of an answer that Howdah asked for.
    #[must_use]
    pub(crate) fn is_answering(&self, reply: u8) -> bool {
        reply == tag::DATA_ROW
            && (self.look.is_some() || self.trial.is_some() || self.survey.is_some())
            && self
                .outstanding
                .head()
                .is_some_and(|head| matches!(head.subject, Subject::Look | Subject::Trial | Subject::Survey))
    }

    /// A row of such an answer; `None`: it makes no sense.
    #[cold]
    pub(crate) fn note_row(&mut self, subject: Subject, body: &[u8]) -> Option<()> {
        match subject {
            Subject::Look => self.look.as_mut()?.row(body),
            Subject::Trial => self.trial.as_mut()?.row(body),
            Subject::Survey => self.survey.as_mut()?.row(body),
            _ => Some(()),
        }
    }

    /// An error. True: it is the answer to one of these questions.
    pub(crate) fn note_refusal(&mut self, subject: Subject, error: &ErrorResponse) -> bool {
        match (subject, &mut self.look, &mut self.trial, &mut self.survey) {
            (Subject::Look, Some(look), ..) => look.failed = true,
            (Subject::Trial, _, Some(trial), _) => trial.refuse(error.clone()),
            (Subject::Survey, .., Some(survey)) => survey.refuse(error.clone()),
            _ => return false,
        }
        true
    }
}

/// Statement and portal of Howdah's own errands.
const OWN: &[u8] = b"HOWDAH_own";
/// No parameter formats, no parameters, no result formats.
const NO_PARAMETERS: [u8; 6] = [0; 6];
