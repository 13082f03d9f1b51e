//! What differs, and how is it shown?

use std::fmt::Write;

use super::reply::{placeless, same};
use super::script::{Script, Step};

/// What is wrong with a script, if anything: replies that differ without leave, or no longer differ with leave.
pub(super) fn verdict(script: &Script, direct: &[Vec<String>], howdah: &[Vec<String>]) -> Option<String> {
    let wrong: Vec<_> = script
        .steps
        .iter()
        .zip(direct.iter().zip(howdah))
        .filter_map(|(step, (direct, howdah))| judge(step, direct, howdah))
        .collect();
    if wrong.is_empty() {
        return None;
    }
    let shown = wrong.iter().take(SHOWN).map(String::as_str).collect::<String>();
    let others = wrong.len().saturating_sub(SHOWN);
    Some(if others > 0 { format!("{shown}  … and {others} more steps\n") } else { shown })
}

fn judge(step: &Step, direct: &[String], howdah: &[String]) -> Option<String> {
    let equal = direct.len() == howdah.len() && direct.iter().zip(howdah).all(|(a, b)| same(a, b));
    let as_documented =
        || step.instead.iter().map(String::as_str).eq(howdah.iter().map(|line| placeless(line)));
    let what = match (step.instead.is_empty(), equal) {
        (true, true) => return None,
        (true, false) => "",
        (false, true) => "  (an exception to parity was expected here, and is none any more)\n",
        (false, false) if as_documented() => return None,
        (false, false) => "  (the exception to parity is another than expected)\n",
    };
    Some(format!("  line {}: {}\n{what}{}", step.line, step.text, side_by_side(direct, howdah)))
}

fn side_by_side(direct: &[String], howdah: &[String]) -> String {
    let left = direct.iter().map(|line| line.chars().count()).max().unwrap_or(0).clamp(6, WIDEST);
    let mut text = format!("      {:left$}   howdah\n", "direct");
    for number in 0..direct.len().max(howdah.len()) {
        let (a, b) = (direct.get(number), howdah.get(number));
        let equal = a.zip(b).is_some_and(|(a, b)| same(a, b));
        let (a, b) = (a.map_or("-", String::as_str), b.map_or("-", String::as_str));
        if a.chars().count() > WIDEST {
            let mark = if equal { ' ' } else { '≠' };
            writeln!(text, "      {a}\n    {mark} {:left$}   {b}", "").expect("a String takes all");
        } else {
            let mark = if equal { ' ' } else { '≠' };
            writeln!(text, "    {mark} {a:left$}   {b}").expect("a String takes all");
        }
    }
    text
}

/// How many steps of a script are shown.
const SHOWN: usize = 2;
const WIDEST: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parity::text::read;

    fn lines(lines: &[&str]) -> Vec<Vec<String>> {
        vec![lines.iter().map(|&line| line.to_owned()).collect()]
    }

    #[test]
    fn a_difference_is_shown_side_by_side() {
        let script = &read("-- script: x\nA> SHOW a").unwrap().scripts[0];
        assert_eq!(verdict(script, &lines(&["DataRow 1"]), &lines(&["DataRow 1"])), None);
        let shown = verdict(script, &lines(&["DataRow 1"]), &lines(&["DataRow 2"])).unwrap();
        assert!(shown.contains("line 2: A> SHOW a") && shown.contains("≠ DataRow 1   DataRow 2"), "{shown}");
        assert!(verdict(script, &lines(&["DataRow 1"]), &lines(&[])).is_some());
    }

    #[test]
    fn an_exception_is_exactly_the_one_that_is_documented() {
        let script = &read("-- script: x\nA> SHOW a\n= DataRow 2").unwrap().scripts[0];
        assert_eq!(verdict(script, &lines(&["DataRow 1"]), &lines(&["DataRow 2"])), None);
        assert!(verdict(script, &lines(&["DataRow 1"]), &lines(&["DataRow 1"])).is_some());
        assert!(verdict(script, &lines(&["DataRow 1"]), &lines(&["DataRow 3"])).is_some());
    }
}
