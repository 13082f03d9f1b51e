//! The chapter `docs/metrics.md`, written from the table.

use std::fmt::Write;

use super::families::{Family, SUBJECTS, Subject};

/// The chapter as Markdown. The committed file is compared with it by a test.
#[must_use]
pub fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    for Subject { title, families } in &SUBJECTS {
        // Writing to a `String` cannot fail, here and below.
        let _ = write!(text, "\n## {title}\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n");
        for family in *families {
            describe(family, &mut text);
        }
    }
    text
}

fn describe(family: &Family, text: &mut String) {
    let labels: Vec<String> = family.source.labels().iter().map(|label| format!("`{label}`")).collect();
    let (name, kind, help) = (family.name, family.kind.as_str(), family.help);
    let _ = writeln!(text, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
}

const INTRODUCTION: &str = "\
<!-- Written by `howdah_console::metrics::reference`; change crates/console/src/metrics/families.rs instead,
     then run: UPDATE_DOCS=1 cargo test -p howdah-console reference -->

# Metrics

With `metrics_port` set, Howdah answers `GET /metrics` there in Prometheus's text format (version 0.0.4), with the numbers
of SHOW:

    metrics_port = 9127             ; in [pgbouncer]; metrics_addr = 127.0.0.1 is the default

    scrape_configs:                 # in prometheus.yml
      - job_name: howdah
        static_configs: [{ targets: ['127.0.0.1:9127'] }]

Nobody is asked who they are, and the page names databases and users: let it be reached by those alone who may know them.
It names no client and no statement; SHOW PINS does. Each connection is for one request, which has ten seconds; there are
at most 32 at once, and others wait in line. The page is made on a thread of its own, and serving clients does not wait for
it. When Howdah begins to stop it listens here no more, so that the next one can.

Counters begin with Howdah and are sums: `rate()` makes of them what SHOW STATS calls averages. Of a label's values
those appear that have occurred: a reason for the first time with its first pin. A limit that is none is `+Inf`. Pools,
users and databases are those of SHOW POOLS, USERS and DATABASES, the console's own (`pgbouncer`) among them, and `user` is
whom a pool's server connections are logged in as; with `howdah_client_prepared_statements` it is the client's.

What one may want to be told of:

    howdah_pool_oldest_wait_seconds > 5                                   # somebody waits for a server connection
    sum without (reason) (howdah_pinned_clients) / howdah_max_pinned > 0.8
    howdah_longest_pin_seconds > 3600                                     # who it is: SHOW PINS
    sum without (reason) (rate(howdah_pinned_seconds_total[5m]))          # server connections that pins cost, on average
    rate(howdah_wait_seconds_total[5m]) / rate(howdah_server_assignments_total[5m])
    howdah_clients / howdah_max_clients > 0.9
";

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_committed_reference_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
        let current = super::markdown();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &current).expect("docs/ is writable");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == current, "run: UPDATE_DOCS=1 cargo test -p howdah-console reference");
    }
}
