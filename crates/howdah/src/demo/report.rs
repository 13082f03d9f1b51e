//! The demo in plain lines: one a second where there is no terminal, and the summary at the end.

use std::time::Duration;

use super::view::View;

/// One line for this moment.
pub(crate) fn line(view: &View) -> String {
    format!(
        "{:>4} s  clients {} ({} in a transaction, {} waiting)  servers {}/{}  backends {}  {} transactions/s  \
         p50 {}  p99 {}  errors {}",
        view.elapsed.as_secs(),
        view.clients.connected,
        view.servers.in_use,
        view.clients.waiting,
        view.servers.in_use + view.servers.idle,
        view.servers.allowed,
        view.postgres.backends,
        view.rate.round(),
        millis(view.latency.p50),
        millis(view.latency.p99),
        view.failed
    )
}

/// What it comes to; `view` holds sums of the whole time.
pub(crate) fn summary(view: &View) -> Vec<String> {
    let most = view.postgres.most;
    vec![
        String::new(),
        format!(
            "{} clients did {} transactions in {:.0} s, {} a second; errors: {}.",
            view.clients.wanted,
            grouped(view.done),
            view.elapsed.as_secs_f64(),
            grouped(view.rate.round() as u64),
            view.failed
        ),
        format!(
            "Latency: {} median, {} for the slowest 1 %, {} at most.",
            millis(view.latency.p50),
            millis(view.latency.p99),
            millis(view.latency.longest)
        ),
        format!(
            "PostgreSQL never had more than {most} backends for them; without Howdah it would have let {} in.",
            view.postgres.room.min(view.clients.wanted)
        ),
    ]
}

/// `12,345`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `3.2 ms`, `41 ms`, `1.3 s`.
pub(crate) fn millis(duration: Option<Duration>) -> String {
    let Some(duration) = duration else { return "–".to_owned() };
    match duration.as_secs_f64() * 1e3 {
        millis if millis < 9.95 => format!("{millis:.1} ms"),
        millis if millis < 999.5 => format!("{millis:.0} ms"),
        millis => format!("{:.1} s", millis / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(n), text);
        }
        for (micros, text) in
            [(80, "0.1 ms"), (9_940, "9.9 ms"), (9_960, "10 ms"), (999_400, "999 ms"), (1_250_000, "1.2 s")]
        {
            assert_eq!(millis(Some(Duration::from_micros(micros))), text);
        }
        assert_eq!(millis(None), "–");
    }
}
