//! How is a file of scripts read?
//!
//! Lines that begin with `--` are directives or comments, others are steps; an indented line continues the one
//! before. A table (`-- for each: a | b`, its rows as comments, up to `-- done`) repeats the scripts below it for each
//! row, with `{a}` and `{b}` replaced; `&` in a cell is the bar between two messages of a batch.

use super::batch::Batch;
use super::script::{Action, Script, Step};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct File {
    /// Lines of `[pgbouncer]` that its Howdah has besides.
    pub(super) settings: Vec<(String, String)>,
    pub(super) scripts: Vec<Script>,
}

/// Reads a file.
pub(super) fn read(text: &str) -> Result<File, String> {
    let mut file = File::default();
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let at = |why: String| format!("line {number}: {why}");
        if let Some(setting) = line.strip_prefix("-- with: ") {
            let (name, value) = setting.split_once(" = ").ok_or_else(|| at("no setting".to_owned()))?;
            file.settings.push((name.to_owned(), value.to_owned()));
        } else {
            lines.push((number, line.trim_end().to_owned()));
        }
    }
    for (number, line) in expand(&join(lines)) {
        take(&mut file.scripts, number, &line).map_err(|why| format!("line {number}: {why}"))?;
    }
    Ok(file)
}

/// Appends indented lines to the ones before them, outside comments.
fn join(lines: Vec<(usize, String)>) -> Vec<(usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    for (number, line) in lines {
        match joined.last_mut() {
            Some((_, before)) if line.starts_with(' ') => {
                before.push('\n');
                before.push_str(line.trim());
            }
            _ => joined.push((number, line)),
        }
    }
    joined
}

/// Writes the tables out.
fn expand(lines: &[(usize, String)]) -> Vec<(usize, String)> {
    let cells = |line: &str| -> Vec<String> {
        line.split(" | ").map(|cell| cell.trim().replace(" & ", " | ")).collect()
    };
    let mut expanded = Vec::new();
    let mut rest = lines;
    while let Some(((number, line), after)) = rest.split_first() {
        rest = after;
        let Some(head) = line.strip_prefix("-- for each: ") else {
            expanded.push((*number, line.clone()));
            continue;
        };
        let names = cells(head);
        let rows = rest.iter().take_while(|(_, line)| line.starts_with("--   ")).count();
        let end = rest.iter().position(|(_, line)| line == "-- done").unwrap_or(rest.len());
        for (_, row) in &rest[..rows] {
            let values = cells(row.trim_start_matches("--"));
            for (number, line) in &rest[rows..end] {
                let mut line = line.clone();
                for (name, value) in names.iter().zip(&values) {
                    line = line.replace(&format!("{{{name}}}"), value);
                }
                expanded.push((*number, line));
            }
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    expanded
}

/// Adds one line to the scripts read so far.
fn take(scripts: &mut Vec<Script>, number: usize, line: &str) -> Result<(), String> {
    if let Some(name) = line.strip_prefix("-- script: ") {
        let name = name.to_owned();
        if scripts.iter().any(|script| script.name == name) {
            return Err(format!("there is a {name:?} already"));
        }
        scripts.push(Script { name, line: number, exception: None, steps: Vec::new() });
        return Ok(());
    }
    if line.is_empty() {
        return Ok(());
    }
    let exception = line.strip_prefix("-- exception: ");
    if exception.is_none() && line.starts_with("--") {
        return Ok(());
    }
    let script = scripts.last_mut().ok_or("this belongs to no script")?;
    if let Some(exception) = exception {
        script.exception = Some(exception.to_owned());
    } else if let Some(reply) = line.strip_prefix("= ") {
        let step = script.steps.last_mut().ok_or("this answers nothing")?;
        step.instead.push(reply.to_owned());
    } else {
        let step = Step { line: number, text: line.to_owned(), action: action(line)?, instead: Vec::new() };
        script.steps.push(step);
    }
    Ok(())
}

fn action(line: &str) -> Result<Action, String> {
    if let Some(sql) = line.strip_prefix("setup> ") {
        return Ok(Action::Setup(sql.to_owned()));
    }
    if let Some(sql) = line.strip_prefix("elsewhere> ") {
        return Ok(Action::Elsewhere(sql.to_owned()));
    }
    if let Some(sql) = line.strip_prefix("until> ") {
        return Ok(Action::Until(sql.to_owned()));
    }
    let client = line.chars().next().filter(char::is_ascii_uppercase).ok_or("who does this?")?;
    let rest = &line[1..];
    if let Some(sql) = rest.strip_prefix('>') {
        Ok(Action::Send { client, batch: Batch::query(sql.strip_prefix(' ').unwrap_or(sql)) })
    } else if let Some(batch) = rest.strip_prefix(": ") {
        Ok(Action::Send { client, batch: Batch::parse(batch)? })
    } else if let Some(parameters) = rest.strip_prefix('!') {
        Ok(Action::Connect { client, parameters: Some(words(parameters)?) })
    } else if rest == " reconnects" {
        Ok(Action::Connect { client, parameters: None })
    } else if rest == " leaves" {
        Ok(Action::Leave { client })
    } else if let Some(count) = rest.strip_prefix(" hears ") {
        let notifications = count.parse().map_err(|_| format!("no number: {count}"))?;
        Ok(Action::Hear { client, notifications })
    } else {
        Err(format!("what does {client} do? {line:?}"))
    }
}

/// `name=value` pairs; a value with spaces is in single quotes.
fn words(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(|| format!("no value: {rest}"))?;
        let (value, after) = match after.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').ok_or_else(|| format!("an open quote: {rest}"))?,
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        pairs.push((name.to_owned(), value.to_owned()));
        rest = after.trim_start();
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_repeats_what_is_below_it() {
        let text = "-- for each: name | do\n--   one | SET a = 1\n--   two | RESET a\n-- script: {name}, alone\n\
                    A> {do}\n-- done\n-- script: last\nB> SELECT\n   2";
        let file = read(text).unwrap();
        let names: Vec<_> = file.scripts.iter().map(|script| script.name.as_str()).collect();
        assert_eq!(names, ["one, alone", "two, alone", "last"]);
        assert_eq!(file.scripts[1].steps[0].text, "A> RESET a");
        assert_eq!(file.scripts[2].steps[0].text, "B> SELECT\n2");
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        for (text, why) in [
            ("A> SELECT 1", "line 1: this belongs to no script"),
            ("-- script: x\na> SELECT 1", "line 2: who does this?"),
            ("-- script: x\nA: prase s", "line 2: what is \"prase\"?"),
            ("-- script: x\n-- script: x", "line 2: there is a \"x\" already"),
        ] {
            assert_eq!(read(text).unwrap_err(), why);
        }
    }

    #[test]
    fn parameters_may_have_spaces() {
        let pairs = words(" user=bob options='-c a=b -c c=d'").unwrap();
        assert_eq!(pairs[1], ("options".to_owned(), "-c a=b -c c=d".to_owned()));
    }
}
