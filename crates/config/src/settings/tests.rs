//! The table against PgBouncer's list and against `Settings::default()`.

use howdah_core::settings::Settings;

use super::*;

/// All settings of PgBouncer after 1.25 with their defaults.
const PGBOUNCER: &[(&str, &str)] = &[
    ("admin_users", ""),
    ("application_name_add_host", "0"),
    ("auth_dbname", ""),
    ("auth_file", ""),
    ("auth_hba_file", ""),
    ("auth_ident_file", ""),
    ("auth_ldap_options", ""),
    (
        "auth_query",
        "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid WHERE rolname=$1 AND rolcanlogin",
    ),
    ("auth_type", "md5"),
    ("auth_user", ""),
    ("autodb_idle_timeout", "3600"),
    ("cancel_wait_timeout", "10"),
    ("client_idle_timeout", "0"),
    ("client_login_timeout", "60"),
    ("client_tls13_ciphers", ""),
    ("client_tls_ca_file", ""),
    ("client_tls_cert_file", ""),
    ("client_tls_ciphers", "default"),
    ("client_tls_dheparams", "auto"),
    ("client_tls_ecdhcurve", "auto"),
    ("client_tls_key_file", ""),
    ("client_tls_protocols", "secure"),
    ("client_tls_sslmode", "disable"),
    ("conffile", ""),
    ("default_pool_size", "20"),
    ("disable_pqexec", "0"),
    ("dns_max_ttl", "15"),
    ("dns_nxdomain_ttl", "15"),
    ("dns_zone_check_period", "0"),
    ("idle_transaction_timeout", "0"),
    ("ignore_startup_parameters", ""),
    ("job_name", "pgbouncer"),
    ("listen_addr", ""),
    ("listen_backlog", "128"),
    ("listen_port", "6432"),
    ("log_connections", "1"),
    ("log_disconnections", "1"),
    ("log_pooler_errors", "1"),
    ("log_stats", "1"),
    ("logfile", ""),
    ("login_notify_message", ""),
    ("max_client_conn", "100"),
    ("max_db_client_connections", "0"),
    ("max_db_connections", "0"),
    ("max_packet_size", "2147483647"),
    ("max_prepared_statements", "200"),
    ("max_user_client_connections", "0"),
    ("max_user_connections", "0"),
    ("min_pool_size", "0"),
    ("peer_id", "0"),
    ("pidfile", ""),
    ("pkt_buf", "4096"),
    ("pool_idle_timeout", "0"),
    ("pool_mode", "session"),
    ("query_timeout", "0"),
    ("query_wait_notify", "5"),
    ("query_wait_timeout", "120"),
    ("reserve_pool_size", "0"),
    ("reserve_pool_timeout", "5"),
    ("resolv_conf", ""),
    ("sbuf_loopcnt", "5"),
    ("scram_iterations", "4096"),
    ("server_check_delay", "30"),
    ("server_check_query", "<empty>"),
    ("server_connect_timeout", "15"),
    ("server_fast_close", "0"),
    ("server_idle_timeout", "600"),
    ("server_lifetime", "3600"),
    ("server_login_retry", "15"),
    ("server_reset_query", "DISCARD ALL"),
    ("server_reset_query_always", "0"),
    ("server_round_robin", "0"),
    ("server_tls13_ciphers", ""),
    ("server_tls_ca_file", ""),
    ("server_tls_cert_file", ""),
    ("server_tls_ciphers", "default"),
    ("server_tls_key_file", ""),
    ("server_tls_protocols", "secure"),
    ("server_tls_sslmode", "prefer"),
    ("service_name", ""),
    ("so_reuseport", "0"),
    ("stats_period", "60"),
    ("stats_users", ""),
    ("suspend_timeout", "10"),
    ("syslog", "0"),
    ("syslog_facility", "daemon"),
    ("syslog_ident", "pgbouncer"),
    ("tcp_defer_accept", "1"),
    ("tcp_keepalive", "1"),
    ("tcp_keepcnt", "0"),
    ("tcp_keepidle", "0"),
    ("tcp_keepintvl", "0"),
    ("tcp_socket_buffer", "0"),
    ("tcp_user_timeout", "0"),
    ("track_extra_parameters", "IntervalStyle"),
    ("transaction_timeout", "0"),
    ("unix_socket_dir", "/tmp"),
    ("unix_socket_group", ""),
    ("unix_socket_mode", "0777"),
    ("user", ""),
    ("verbose", ""),
];

/// The settings that PgBouncer does not change while it runs.
const FIXED: &[&str] = &[
    "disable_pqexec",
    "job_name",
    "listen_addr",
    "listen_backlog",
    "listen_port",
    "pidfile",
    "pkt_buf",
    "resolv_conf",
    "service_name",
    "so_reuseport",
    "track_extra_parameters",
    "unix_socket_dir",
    "unix_socket_group",
    "unix_socket_mode",
    "user",
];

const OWN: &[&str] = &[
    "io_engine",
    "log_format",
    "max_pinned",
    "metrics_addr",
    "metrics_port",
    "pin_idle_timeout",
    "session_state",
    "session_state_check",
    "workers",
];

#[test]
fn every_setting_of_pgbouncer_is_known_with_its_default() {
    assert_eq!(PGBOUNCER.len(), 101);
    for (name, default) in PGBOUNCER {
        let setting = find(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(setting.default.unwrap_or_default(), *default, "{name}");
        assert!(setting.since.starts_with("PgBouncer"), "{name}");
        assert_eq!(setting.reloadable, !FIXED.contains(name), "{name}");
    }
    let more: Vec<_> =
        all().map(|s| s.name).filter(|name| !PGBOUNCER.iter().any(|(p, _)| p == name)).collect();
    assert_eq!(more, OWN);
    assert!(find("pool_mod").is_none());
}

#[test]
fn the_table_is_sorted_unique_and_documented() {
    let names: Vec<_> = all().map(|setting| setting.name).collect();
    let mut sorted = names.clone();
    sorted.dedup();
    sorted.sort_unstable();
    assert_eq!(names, sorted);
    for setting in all() {
        assert!(!setting.short.is_empty() && !setting.short.ends_with('.'), "{}", setting.name);
        assert!(setting.long.is_empty() || setting.long.ends_with('.'), "{}", setting.name);
        let unread = matches!(setting.value, Value::Unread(_));
        assert_eq!(unread, setting.status != Status::Built, "{}", setting.name);
    }
}

#[test]
fn the_texts_of_the_defaults_are_the_default_settings() {
    for setting in all() {
        let mut settings = Settings::default();
        if let Some(default) = setting.default {
            assert_eq!(setting.value.set(&mut settings, default), Ok(()), "{}", setting.name);
            assert_eq!(setting.show(&settings), default, "{}", setting.name);
        }
        assert_eq!(settings, Settings::default(), "{}", setting.name);
    }
}

#[test]
fn each_setting_has_its_own_field_and_shows_what_was_set() {
    for setting in all() {
        let text = match &setting.value {
            Value::Flag(_) if setting.default == Some("1") => "0",
            Value::Flag(_) => "1",
            Value::Seconds(_) | Value::Timeout(_) | Value::Age(_) => "7.25",
            Value::Permissions(_) => "0600",
            Value::Text(_) | Value::Query(_) | Value::Path(_) | Value::List(_) => "some,thing",
            Value::PoolMode(_) => "statement",
            Value::AuthMethod(_) => "trust",
            Value::IoEngine(_) => "plain",
            Value::LogFormat(_) => "json",
            Value::StatePolicy(_) => "pin,temp:refuse",
            Value::StateCheck(_) => "always",
            Value::Unread(_) => continue,
            _ => "77",
        };
        let mut settings = Settings::default();
        assert_eq!(setting.value.set(&mut settings, text), Ok(()), "{}", setting.name);
        let changed: Vec<_> =
            all().filter(|s| s.show(&settings) != s.show(&Settings::default())).map(|s| s.name).collect();
        assert_eq!(changed, [setting.name]);
        assert_eq!(setting.show(&settings), text, "{}", setting.name);
    }
}

#[test]
fn zero_means_what_it_means_to_pgbouncer() {
    let mut settings = Settings::default();
    for name in
        ["default_pool_size", "server_lifetime", "server_idle_timeout", "max_db_connections", "workers"]
    {
        let setting = find(name).unwrap();
        assert_eq!(setting.value.set(&mut settings, "0"), Ok(()), "{name}");
        assert_eq!(setting.show(&settings), "0", "{name}");
    }
    assert_eq!(settings.pool.size, u32::MAX);
    assert_eq!(settings.timeouts.server_lifetime, Some(std::time::Duration::ZERO));
    assert_eq!(settings.timeouts.server_idle, None);
    assert_eq!(settings.pool.max_db_connections, None);
    assert_eq!(settings.listen.workers, None);
}

#[test]
fn the_check_query_is_a_query_an_empty_one_or_none() {
    let setting = find("server_check_query").unwrap();
    for (text, query) in [("<empty>", Some("")), ("", None), ("select 1", Some("select 1"))] {
        let mut settings = Settings::default();
        assert_eq!(setting.value.set(&mut settings, text), Ok(()));
        assert_eq!(settings.pool.check_query.as_deref(), query);
        assert_eq!(setting.show(&settings), text);
    }
}

#[test]
fn permissions_of_four_digits_are_shown_in_octal_too() {
    let setting = find("unix_socket_mode").unwrap();
    let mut settings = Settings::default();
    assert_eq!(setting.value.set(&mut settings, "01770"), Ok(()));
    assert_eq!(setting.show(&settings), "01770");
}
