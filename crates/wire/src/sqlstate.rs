//! SQLSTATE: the five characters by which programs tell errors apart.
//!
//! Constants for the codes a pooler says itself or looks at; any other code is carried as it came.

use std::fmt;

/// Five digits or upper-case letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// A code from elsewhere; `None` if it is not five digits or upper-case letters.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<SqlState> {
        let code: [u8; 5] = bytes.try_into().ok()?;
        code.iter().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase()).then_some(SqlState(code))
    }

    /// As it goes over the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 5] {
        &self.0
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("every way to make one admits ASCII only")
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! codes {
    ($($name:ident = $code:literal, $doc:literal;)*) => {
        impl SqlState {
            $(#[doc = $doc] pub const $name: SqlState = SqlState(*$code);)*
        }

        #[cfg(test)]
        const ALL: &[SqlState] = &[$(SqlState::$name),*];
    };
}

codes! {
    SUCCESSFUL_COMPLETION = b"00000", "00000";
    WARNING = b"01000", "01000";
    CONNECTION_EXCEPTION = b"08000", "08000";
    CANNOT_CONNECT = b"08001", "08001, `sqlclient_unable_to_establish_sqlconnection`: the server could not be reached";
    CONNECTION_DOES_NOT_EXIST = b"08003", "08003";
    CONNECTION_REJECTED = b"08004", "08004, `sqlserver_rejected_establishment_of_sqlconnection`: the server does not want us";
    CONNECTION_FAILURE = b"08006", "08006: the connection broke";
    PROTOCOL_VIOLATION = b"08P01", "08P01";
    FEATURE_NOT_SUPPORTED = b"0A000", "0A000";
    ACTIVE_SQL_TRANSACTION = b"25001", "25001: not allowed inside a transaction";
    IN_FAILED_SQL_TRANSACTION = b"25P02", "25P02";
    IDLE_IN_TRANSACTION_SESSION_TIMEOUT = b"25P03", "25P03";
    TRANSACTION_TIMEOUT = b"25P04", "25P04";
    INVALID_SQL_STATEMENT_NAME = b"26000", "26000: no such prepared statement";
    INVALID_AUTHORIZATION = b"28000", "28000, `invalid_authorization_specification`: may not log in";
    INVALID_PASSWORD = b"28P01", "28P01";
    INVALID_CATALOG_NAME = b"3D000", "3D000: no such database";
    SYNTAX_ERROR = b"42601", "42601";
    INSUFFICIENT_PRIVILEGE = b"42501", "42501";
    DUPLICATE_PREPARED_STATEMENT = b"42P05", "42P05";
    TOO_MANY_CONNECTIONS = b"53300", "53300";
    CONFIGURATION_LIMIT_EXCEEDED = b"53400", "53400";
    QUERY_CANCELED = b"57014", "57014";
    ADMIN_SHUTDOWN = b"57P01", "57P01";
    CRASH_SHUTDOWN = b"57P02", "57P02";
    CANNOT_CONNECT_NOW = b"57P03", "57P03: starting up, shutting down or recovering";
    IDLE_SESSION_TIMEOUT = b"57P05", "57P05";
    SYSTEM_ERROR = b"58000", "58000";
    IO_ERROR = b"58030", "58030";
    INTERNAL_ERROR = b"XX000", "XX000; also stands for a code that is missing or unreadable";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_valid_and_distinct() {
        let mut seen = std::collections::HashSet::new();
        for code in ALL {
            assert_eq!(SqlState::from_bytes(code.as_bytes()), Some(*code));
            assert!(seen.insert(*code), "{code} twice");
        }
    }

    #[test]
    fn only_five_digits_or_capitals() {
        assert_eq!(SqlState::from_bytes(b"57P01"), Some(SqlState::ADMIN_SHUTDOWN));
        for wrong in [&b""[..], b"57P0", b"57P010", b"57p01", b"57 01", b"57P0\xff"] {
            assert_eq!(SqlState::from_bytes(wrong), None);
        }
        assert_eq!(SqlState::QUERY_CANCELED.to_string(), "57014");
    }
}
