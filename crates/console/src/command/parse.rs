//! Words become commands.

use howdah_core::control::{Request, Shutdown};

use super::lexer::{self, Statement, Token};
use super::nearest::nearest;
use super::{Command, CommandError, Unbuilt, driver};
use crate::show::Show;

/// All commands of one query; empty for nothing but blanks and comments. One mistake refuses them all, so
/// that `PAUSE; SHUTDWON` does not pause.
pub(crate) fn parse(text: &str) -> Result<Vec<Command>, CommandError> {
    lexer::statements(text)?.iter().map(command).collect()
}

fn command(statement: &Statement<'_>) -> Result<Command, CommandError> {
    if let Some(chatter) = driver::recognise(&statement.tokens) {
        return Ok(Command::Chatter(chatter));
    }
    let Some((Token::Word(keyword), arguments)) = statement.tokens.split_first() else {
        return Err(unknown(statement, None));
    };
    let keyword = keyword.to_ascii_uppercase();
    match keyword.as_str() {
        "SHOW" | "SELECT" => show(statement, arguments),
        "SET" => set(statement, arguments),
        _ => order(statement, &keyword, arguments),
    }
}

fn show(statement: &Statement<'_>, arguments: &[Token]) -> Result<Command, CommandError> {
    // `SELECT version()` asks for the same as SHOW VERSION.
    let arguments = match arguments {
        [name, Token::Sign('('), Token::Sign(')')] => std::slice::from_ref(name),
        arguments => arguments,
    };
    let [Token::Word(name) | Token::Quoted(name)] = arguments else {
        return Err(unknown(statement, None));
    };
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("PG_CATALOG.").unwrap_or(&name);
    if let Some(show) = Show::ALL.into_iter().find(|show| show.name() == name) {
        return Ok(Command::Show(show));
    }
    if let Some(unbuilt) = UNBUILT.into_iter().find(|unbuilt| unbuilt.name() == name) {
        return Ok(Command::ShowUnbuilt(unbuilt));
    }
    let meant = nearest(name, Show::ALL.into_iter().map(Show::name));
    Err(unknown(statement, meant.map(|meant| format!("SHOW {meant}"))))
}

fn set(statement: &Statement<'_>, arguments: &[Token]) -> Result<Command, CommandError> {
    let (name, value) = match arguments {
        [name, Token::Sign('='), value] => (name, value),
        [name, Token::Word(to), value] if to.eq_ignore_ascii_case("TO") => (name, value),
        _ => return Err(unknown(statement, None)),
    };
    let (Token::Word(key) | Token::Quoted(key)) = name else { return Err(unknown(statement, None)) };
    let (Token::Word(value) | Token::Quoted(value) | Token::Text(value)) = value else {
        return Err(unknown(statement, None));
    };
    Ok(Command::Order(Request::Set { key: key.to_ascii_lowercase(), value: value.clone() }))
}

fn order(statement: &Statement<'_>, keyword: &str, arguments: &[Token]) -> Result<Command, CommandError> {
    let argument = match arguments {
        [] => None,
        [Token::Word(argument) | Token::Quoted(argument)] => Some(argument.clone()),
        _ => return Err(unknown(statement, None)),
    };
    let request = match (keyword, argument) {
        ("RELOAD", None) => Request::Reload,
        ("SUSPEND", None) => return Ok(Command::Suspend),
        ("PAUSE", database) => Request::Pause(database),
        ("RESUME", database) => Request::Resume(database),
        ("RECONNECT", database) => Request::Reconnect(database),
        ("KILL", database) => Request::Kill(database),
        ("WAIT_CLOSE", database) => Request::WaitClose(database),
        ("DISABLE", Some(database)) => Request::Disable(database),
        ("ENABLE", Some(database)) => Request::Enable(database),
        ("DISABLE" | "ENABLE", None) => return Err(CommandError::DatabaseRequired),
        ("KILL_CLIENT", id) => Request::KillClient(client_id(id.unwrap_or_default())?),
        ("SHUTDOWN", None) => Request::Shutdown(Shutdown::Immediate),
        ("SHUTDOWN", Some(how)) => Request::Shutdown(shutdown(statement, &how)?),
        _ => {
            let meant = nearest(keyword, KEYWORDS.into_iter());
            return Err(unknown(statement, meant.map(str::to_owned)));
        }
    };
    Ok(Command::Order(request))
}

fn client_id(text: String) -> Result<u64, CommandError> {
    text.parse().map_err(|_| CommandError::InvalidClientId(shorten(&text)))
}

fn shutdown(statement: &Statement<'_>, how: &str) -> Result<Shutdown, CommandError> {
    match how.to_ascii_uppercase().as_str() {
        "WAIT_FOR_SERVERS" => Ok(Shutdown::WaitForServers),
        "WAIT_FOR_CLIENTS" => Ok(Shutdown::WaitForClients),
        how => {
            let meant = nearest(how, ["WAIT_FOR_SERVERS", "WAIT_FOR_CLIENTS"].into_iter());
            Err(unknown(statement, meant.map(|meant| format!("SHUTDOWN {meant}"))))
        }
    }
}

fn unknown(statement: &Statement<'_>, nearest: Option<String>) -> CommandError {
    CommandError::Unknown { text: shorten(statement.text), nearest }
}

/// An error message quotes what was sent, but not all 64 KiB of it.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

const LONGEST_QUOTE: usize = 200;

const UNBUILT: [Unbuilt; 6] = [
    Unbuilt::ActiveSockets,
    Unbuilt::DnsHosts,
    Unbuilt::DnsZones,
    Unbuilt::Fds,
    Unbuilt::Mem,
    Unbuilt::Sockets,
];

const KEYWORDS: [&str; 13] = [
    "SHOW",
    "SET",
    "RELOAD",
    "PAUSE",
    "RESUME",
    "DISABLE",
    "ENABLE",
    "RECONNECT",
    "KILL",
    "KILL_CLIENT",
    "SUSPEND",
    "SHUTDOWN",
    "WAIT_CLOSE",
];

#[cfg(test)]
mod tests {
    use super::super::driver::{Chatter, Constant, Transaction};
    use super::*;

    fn one(text: &str) -> Command {
        let mut commands = parse(text).unwrap();
        assert_eq!(commands.len(), 1, "{text}");
        commands.remove(0)
    }

    #[test]
    fn show_in_any_case_and_select_means_the_same() {
        for text in ["SHOW POOLS", "show pools;", "select pools", " Show \"pools\" ; ", "/* x */ show pools"]
        {
            assert_eq!(one(text), Command::Show(Show::Pools), "{text}");
        }
        assert_eq!(one("select pg_catalog.version()"), Command::Show(Show::Version));
        assert_eq!(one("SHOW fds"), Command::ShowUnbuilt(Unbuilt::Fds));
    }

    #[test]
    fn every_order_is_understood() {
        let some = |name: &str| Some(name.to_owned());
        for (text, request) in [
            ("reload", Request::Reload),
            ("PAUSE", Request::Pause(None)),
            ("PAUSE \"My DB\";", Request::Pause(some("My DB"))),
            ("resume App", Request::Resume(some("App"))),
            ("disable a", Request::Disable("a".into())),
            ("enable a", Request::Enable("a".into())),
            ("reconnect", Request::Reconnect(None)),
            ("kill a", Request::Kill(some("a"))),
            ("kill", Request::Kill(None)),
            ("kill_client 17", Request::KillClient(17)),
            ("wait_close", Request::WaitClose(None)),
            ("shutdown", Request::Shutdown(Shutdown::Immediate)),
            ("shutdown wait_for_servers", Request::Shutdown(Shutdown::WaitForServers)),
            ("SHUTDOWN WAIT_FOR_CLIENTS", Request::Shutdown(Shutdown::WaitForClients)),
        ] {
            assert_eq!(one(text), Command::Order(request), "{text}");
        }
        assert_eq!(one("suspend"), Command::Suspend);
    }

    #[test]
    fn set_takes_words_and_quotes_after_equals_or_to() {
        let set = |value: &str| {
            Command::Order(Request::Set { key: "default_pool_size".into(), value: value.into() })
        };
        assert_eq!(one("SET default_pool_size = 5"), set("5"));
        assert_eq!(one("set \"default_pool_size\"=5;"), set("5"));
        assert_eq!(one("set DEFAULT_POOL_SIZE to '5'"), set("5"));
        assert_eq!(one("set default_pool_size='it''s; 5'"), set("it's; 5"));
        assert!(parse("set default_pool_size").is_err());
        assert!(parse("set default_pool_size = 5, 6").is_err());
    }

    #[test]
    fn what_drivers_say_is_recognised() {
        let set = |notice| Command::Chatter(Chatter::Set { notice, tag: "SET" });
        assert_eq!(one("SET client_encoding = 'UTF8'"), set(true));
        assert_eq!(one("set session timezone to 'UTC'"), set(true));
        assert_eq!(one("SET application_name = 'x'"), set(false));
        assert_eq!(one("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"), set(false));
        assert_eq!(one("SET search_path = a, b"), set(false));
        assert_eq!(one("RESET ALL"), Command::Chatter(Chatter::Set { notice: false, tag: "RESET" }));
        assert_eq!(
            one("BEGIN ISOLATION LEVEL SERIALIZABLE"),
            Command::Chatter(Chatter::Transaction(Transaction::Begin))
        );
        assert_eq!(one("end"), Command::Chatter(Chatter::Transaction(Transaction::Commit)));
        assert_eq!(one("SELECT 1"), Command::Chatter(Chatter::Select(Constant::Number(1))));
        assert_eq!(
            one("select current_schema()"),
            Command::Chatter(Chatter::Select(Constant::CurrentSchema))
        );
        let Command::Chatter(Chatter::Show(parameter)) = one("SHOW transaction isolation level") else {
            panic!("not a parameter");
        };
        assert_eq!(parameter.value, "read committed");
    }

    #[test]
    fn asyncpg_resets_with_four_statements() {
        let commands = parse("SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;");
        assert_eq!(commands.unwrap().len(), 4);
    }

    #[test]
    fn a_slip_gets_a_hint() {
        let hint = |text| match parse(text) {
            Err(CommandError::Unknown { nearest, .. }) => nearest,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(hint("SHOW POLS").as_deref(), Some("SHOW POOLS"));
        assert_eq!(hint("relaod").as_deref(), Some("RELOAD"));
        assert_eq!(hint("shutdown wait_for_client").as_deref(), Some("SHUTDOWN WAIT_FOR_CLIENTS"));
        assert_eq!(hint("SHOW weather"), None);
        assert_eq!(hint("INSERT INTO t VALUES (1)"), None);
        assert_eq!(hint("reload now"), Some("RELOAD".into()));
    }

    #[test]
    fn errors_say_what_is_missing_and_quote_in_moderation() {
        let text = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(text(" foo bar ; "), "invalid command 'foo bar', use SHOW HELP;");
        assert_eq!(text("disable"), "a database is required");
        assert_eq!(text("kill_client"), "invalid client id ''");
        assert_eq!(text("kill_client 0x1"), "invalid client id '0x1'");
        assert_eq!(text("kill_client -1"), "invalid client id '-1'");
        assert!(text(&"ä ".repeat(20_000)).len() < 600);
    }

    #[test]
    fn one_mistake_refuses_the_whole_query() {
        assert!(parse("PAUSE; SHUTDWON").is_err());
        assert_eq!(parse("PAUSE; RESUME").unwrap().len(), 2);
        assert_eq!(parse(" ;; -- nothing"), Ok(Vec::new()));
    }
}
