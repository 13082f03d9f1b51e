//! What may change the session without a text that says so: FunctionCall, and, where prepared statements keep the
//! server's names (`max_prepared_statements` is 0), whatever a client has prepared at any time.

use howdah_wire::FrameHeader;
use howdah_wire::sql::{Sign, Signs};

use super::prepared::wait;
use super::relay_client::Step;
use super::{Expected, Kind, Patch, Session, Verdict};
use crate::server::Server;

impl Session {
    pub(super) fn function_call(&mut self, server: &mut Server, header: FrameHeader, input: &[u8]) -> Step {
        let oid = input.get(FrameHeader::SIZE..).and_then(|body| body.first_chunk::<4>());
        if oid.is_none() && input.len() < header.total() {
            return Step::Hold;
        }
        server.doubts.resume();
        if oid.is_none_or(|oid| !LARGE_OBJECTS.contains(&u32::from_be_bytes(*oid))) {
            self.raise(server, &Signs::unseen(), b"");
        }
        Session::pass(server, Expected::theirs(Kind::FunctionCall))
    }

    /// A Parse whose name is the server's.
    pub(super) fn parse_as_is(
        &mut self,
        server: &mut Server,
        header: FrameHeader,
        input: &[u8],
        patch: &mut Patch,
    ) -> Step {
        if self.rules.follows_state() {
            let whole = input.get(FrameHeader::SIZE..header.total());
            if whole.is_none() && header.total() <= Verdict::MAX_HELD {
                return Step::Hold;
            }
            let text = whole.and_then(|body| body.split(|&byte| byte == 0).nth(1));
            let signs = text.map_or_else(Signs::unseen, |text| Signs::of(text, &self.hints));
            let text = text.unwrap_or_default();
            if signs.has(Sign::Listen) && self.must_wait_for_channels(text) {
                return Step::Hold;
            }
            if !self.prepare_names_ahead(server, &signs, text, patch) {
                return wait(server);
            }
            if !signs.is_plain() {
                self.raise(server, &signs, text);
                self.prepared_signs.get_or_insert_default().merge(&signs);
            }
        }
        // Nothing is known of the text that a name stands for: any Execute may be a COMMIT.
        self.bound.commits = true;
        Session::pass_behind(server, Expected::theirs(Kind::Parse), input, patch)
    }

    /// A Bind to a name that is the server's: it may be that of anything the client has prepared.
    pub(super) fn bind_as_is(&mut self, server: &mut Server) -> Step {
        server.doubts.resume();
        if let Some(signs) = self.prepared_signs.take() {
            self.raise(server, &signs, b"");
            self.prepared_signs.get_or_insert_default().merge(&signs);
        } else if self.rules.follows_state() && self.rules.always_asks() {
            self.raise(server, &Signs::default(), b"");
        }
        Session::pass(server, Expected::theirs(Kind::Bind))
    }
}

/// The functions that drivers call so, which do nothing to a session: of large objects.
const LARGE_OBJECTS: [u32; 17] =
    [715, 764, 765, 767, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172, 3457];
