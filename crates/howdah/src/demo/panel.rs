//! A moment of the demo, drawn for people: lines of text with colours, at most 80 columns.

use std::time::Duration;

use super::report::{grouped, millis};
use super::view::View;

/// What does not change while the demo runs.
pub(crate) struct Explanation {
    /// Howdah's port.
    pub(crate) port: u16,
    /// Only Ctrl-C ends it.
    pub(crate) endless: bool,
}

/// The panel.
pub(crate) fn lines(view: &View, explanation: &Explanation) -> Vec<String> {
    let mut lines = vec![String::new(), title(view.elapsed), String::new()];
    lines.extend(clients(view));
    lines.extend(servers(view));
    lines.push(String::new());
    lines.extend(speed(view));
    lines.push(String::new());
    lines.extend(story(view));
    lines.push(String::new());
    let port = explanation.port;
    lines.push(format!("  {DIM}Be one more client:{RESET}  psql -h 127.0.0.1 -p {port} -U demo demo"));
    lines.push(format!("  {DIM}Ask or PAUSE it:   {RESET}  psql -h 127.0.0.1 -p {port} -U demo pgbouncer"));
    if explanation.endless {
        lines.push(format!("  {DIM}Ctrl-C ends it and leaves nothing behind.{RESET}"));
    }
    lines
}

fn title(elapsed: Duration) -> String {
    let (minutes, seconds) = (elapsed.as_secs() / 60, elapsed.as_secs() % 60);
    format!(
        "  {BOLD}HOWDAH{RESET} {DIM}many riders, one elephant{RESET}{:>44}",
        format!("{minutes}:{seconds:02}")
    )
}

fn clients(view: &View) -> Vec<String> {
    let all = u64::from(view.clients.connected);
    let busy = view.servers.in_use.min(all);
    let waiting = view.clients.waiting.min(all - busy);
    let thinking = all - busy - waiting;
    let total = u64::from(view.clients.wanted);
    let bar = bar(&[(busy, GREEN, '█'), (waiting, YELLOW, '▓'), (thinking, DIM, '░')], total);
    vec![
        format!("  {DIM}clients{RESET}     {BOLD}{all:>6}{RESET}  {bar}"),
        format!(
            "                      {GREEN}█{RESET} {busy} in a transaction   \
             {YELLOW}▓{RESET} {waiting} waiting   {DIM}░{RESET} {thinking} thinking"
        ),
    ]
}

fn servers(view: &View) -> Vec<String> {
    let servers = view.servers;
    let open = servers.in_use + servers.idle;
    let bar = bar(&[(servers.in_use, GREEN, '█'), (servers.idle, DIM, '░')], servers.allowed.into());
    let postgres = view.postgres;
    vec![
        format!("  {DIM}servers{RESET}     {BOLD}{open:>6}{RESET}  {bar}"),
        format!(
            "                      {GREEN}█{RESET} {} lent to a client   {DIM}░{RESET} {} idle   of {}",
            servers.in_use, servers.idle, servers.allowed
        ),
        format!(
            "  {DIM}PostgreSQL{RESET}  {BOLD}{:>6}{RESET}  backends, as pg_stat_activity counts them",
            postgres.backends
        ),
    ]
}

fn speed(view: &View) -> Vec<String> {
    let failed = match view.failed {
        0 => "no errors".to_owned(),
        n => format!("{RED}{} errors{RESET}", grouped(n)),
    };
    vec![
        format!(
            "  {DIM}throughput{RESET}  {BOLD}{:>6}{RESET}  transactions/s  {GREEN}{}{RESET}",
            grouped(view.rate.round() as u64),
            sparkline(&view.rates)
        ),
        format!(
            "  {DIM}latency{RESET}     {BOLD}{:>6}{RESET}  median, {BOLD}{}{RESET} for the slowest 1 %, waiting included",
            millis(view.latency.p50),
            millis(view.latency.p99)
        ),
        format!("  {DIM}so far{RESET}      {BOLD}{:>6}{RESET}  transactions, {failed}", grouped(view.done)),
    ]
}

fn story(view: &View) -> Vec<String> {
    let clients = view.clients.wanted;
    let (servers, room) = (view.servers.allowed, view.postgres.room);
    let mut story = vec![
        format!("  {clients} clients are connected, and each believes it has a PostgreSQL to itself."),
        format!("  There are {servers} server connections: Howdah lends one at BEGIN and takes it"),
        "  back at COMMIT; meanwhile the others think, or wait in line.".to_owned(),
    ];
    if clients > room {
        story.push(format!("  Without Howdah, this PostgreSQL would let {room} of them in."));
    }
    story
}

/// Shares of `total` in coloured characters; who has any share has at least one.
fn bar(parts: &[(u64, &str, char)], total: u64) -> String {
    let mut text = String::new();
    let mut drawn = 0;
    let mut sum = 0;
    for &(share, colour, character) in parts {
        sum += share;
        let end = (sum * BAR / total.max(1)).clamp(drawn + u64::from(share > 0), BAR.max(drawn + 1));
        let end = if share == 0 { drawn } else { end.min(BAR) };
        if end > drawn {
            text.push_str(colour);
            text.extend(std::iter::repeat_n(character, (end - drawn) as usize));
            text.push_str(RESET);
            drawn = end;
        }
    }
    text.extend(std::iter::repeat_n(' ', (BAR - drawn) as usize));
    text
}

fn sparkline(values: &[f64]) -> String {
    let most = values.iter().copied().fold(0.0, f64::max);
    let level = |value: &f64| (value / most * 7.0).round().clamp(0.0, 7.0) as usize;
    match most > 0.0 {
        true => values.iter().map(|value| LEVELS[level(value)]).collect(),
        false => String::new(),
    }
}

const BAR: u64 = 56;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        [BOLD, DIM, GREEN, YELLOW, RED, RESET]
            .iter()
            .fold(text.to_owned(), |text, code| text.replace(code, ""))
    }

    #[test]
    fn a_bar_is_as_long_as_its_shares() {
        let drawn = |parts: &[(u64, &str, char)], total| plain(&bar(parts, total));
        let half = drawn(&[(10, GREEN, '#'), (0, DIM, '.')], 20);
        assert_eq!(half.trim_end().len(), 28);
        for parts in [[300, 0, 0], [1, 1, 298], [0, 0, 300], [299, 1, 1], [200, 200, 200], [0, 0, 0]] {
            let [a, b, c] = parts;
            let text = drawn(&[(a, GREEN, 'a'), (b, YELLOW, 'b'), (c, DIM, 'c')], 300);
            assert_eq!(text.chars().count() as u64, BAR, "{parts:?}");
        }
        assert!(drawn(&[(1, GREEN, 'a'), (299, DIM, 'c')], 300).starts_with("ac"));
    }

    #[test]
    fn a_sparkline_has_a_mark_a_second() {
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[0.0, 0.0]), "");
        assert_eq!(sparkline(&[0.0, 50.0, 100.0]), "▁▅█");
    }

    #[test]
    fn fits_on_an_ordinary_terminal_whatever_happens() {
        let mut view = View::default();
        for n in [0, 7, 300, 20_000] {
            view.clients.wanted = n;
            view.clients.connected = n;
            view.clients.waiting = u64::from(n);
            view.servers.allowed = 500;
            view.servers.in_use = 500;
            view.done = 1_000_000_000;
            view.rates = vec![1.0; 40];
            view.rate = 99_999.0;
            let lines = lines(&view, &Explanation { port: 65535, endless: true });
            assert!(lines.len() < 24);
            for line in lines {
                assert!(plain(&line).chars().count() <= 80, "{line}");
            }
        }
    }
}
