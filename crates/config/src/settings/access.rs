//! Settings: who may enter, and what they may bring along.

use super::value::{Shape, Value, at};
use super::{Category, Setting, Status};

pub(super) static SETTINGS: [Setting; 17] = [
    new("auth_type", "md5", Value::AuthMethod(at!(auth.method))).says(
        "how clients prove who they are",
        "`any` asks for nothing and needs a `user` in each database entry; `trust` asks for a known name; `md5` accepts \
         SCRAM secrets as well. `cert`, `hba`, `ldap` and `pam` are not built yet and stop the start.",
    ),
    new("auth_file", "", Value::Path(at!(auth.file)))
        .unset()
        .says("the list of users and secrets", "Lines of `\"user\" \"secret\"`; a secret is a password, an md5 hash or a SCRAM secret. Read again by RELOAD."),
    new("auth_hba_file", "", Value::Unread(Shape::Text))
        .status(Status::Refused(&[]))
        .since("PgBouncer 1.7")
        .says("rules by address, database and user", "Rules that are not enforced would let in whom they keep out: a file named here stops the start."),
    new("auth_ident_file", "", Value::Unread(Shape::Text))
        .unset()
        .status(Status::NotBuilt)
        .since("PgBouncer 1.23")
        .says("map of user names", "It counts with `auth_type = hba` only, which stops the start."),
    new("auth_ldap_options", "", Value::Unread(Shape::Text))
        .unset()
        .status(Status::NotBuilt)
        .since("PgBouncer 1.25")
        .says("how to ask LDAP", "It counts with `auth_type = ldap` only, which stops the start."),
    new("auth_user", "", Value::Unread(Shape::Text))
        .unset()
        .status(Status::NotBuilt)
        .since("PgBouncer 1.6")
        .says("user that runs auth_query", "Users that only the server knows are refused until it is built."),
    new("auth_query", AUTH_QUERY, Value::Unread(Shape::Text))
        .status(Status::NotBuilt)
        .since("PgBouncer 1.6")
        .says("query for a user's secret", "Users that only the server knows are refused until it is built."),
    new("auth_dbname", "", Value::Unread(Shape::Text))
        .unset()
        .status(Status::NotBuilt)
        .since("PgBouncer 1.19")
        .says("database of auth_query", "Users that only the server knows are refused until it is built."),
    new("scram_iterations", "4096", Value::Number(at!(auth.scram_iterations), 1))
        .since("PgBouncer 1.25")
        .says("iterations when a plain password is hashed", "Stored SCRAM secrets bring their own number."),
    new("admin_users", "", Value::List(at!(auth.admin_users))).says(
        "users with the whole console",
        "The user `pgbouncer` on the Unix socket is one by itself if its Unix user is Howdah's.",
    ),
    new("stats_users", "", Value::List(at!(auth.stats_users)))
        .says("users who may look at the console", "SHOW only, and not SHOW FDS."),
    new("ignore_startup_parameters", "", Value::List(at!(auth.ignore_startup_parameters)))
        .since("PgBouncer 1.2")
        .says("startup parameters that are dropped", "Any other follows the client. What is named here is not in force."),
    new("track_extra_parameters", "IntervalStyle", Value::List(at!(auth.track_extra_parameters)))
        .fixed()
        .since("PgBouncer 1.20")
        .says("more parameters that follow the client", "Beside client_encoding, DateStyle, TimeZone, standard_conforming_strings and application_name. PostgreSQL must report them."),
    new("application_name_add_host", "0", Value::Flag(at!(auth.application_name_add_host)))
        .since("PgBouncer 1.6")
        .says("the client's address in application_name", "Added at login; what the client sets later is left alone."),
    new("login_notify_message", "", Value::Text(at!(auth.login_notify_message)))
        .since("PgBouncer after 1.25")
        .says("a NOTICE after login", "Empty: none."),
    new("max_packet_size", "2147483647", Value::Number(at!(auth.max_packet_size), 1))
        .since("PgBouncer 1.5.3")
        .says("largest message let through, in bytes", "Messages are streamed, so a large one costs no memory."),
    new("disable_pqexec", "0", Value::Flag(at!(auth.disable_pqexec)))
        .fixed()
        .since("PgBouncer 1.4")
        .says("refuse simple queries", "A simple query may hold several statements; refusing them makes some SQL injections harmless."),
];

const fn new(name: &'static str, default: &'static str, value: Value) -> Setting {
    Setting::new(Category::Access, name, default, value)
}

const AUTH_QUERY: &str = "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END \
                          FROM pg_authid WHERE rolname=$1 AND rolcanlogin";
