//! What was a mistyped word meant to be?

/// The candidate that differs least from `word`, if it is close enough to be a slip.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_ascii_uppercase();
    let allowed = 1 + word.len() / 4;
    candidates
        .map(|candidate| (distance(word.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete, replace or swap with their neighbour.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, &x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        let mut left = i + 1;
        row.push(left);
        for (j, &y) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, j) + usize::from(x != y)).min(at(&last, j + 1) + 1).min(left + 1);
            let swapped = j.checked_sub(1).and_then(|k| b.get(k)) == Some(&x) && previous == Some(y);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
            left = best;
        }
        before = std::mem::replace(&mut last, row);
        previous = Some(x);
    }
    last.last().copied().unwrap_or_default()
}

/// No command is longer; a hostile word must not cost time.
const LONGEST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood_and_nonsense_is_not() {
        let candidates = || ["POOLS", "PEERS", "CLIENTS", "SERVERS", "STATS"].into_iter();
        assert_eq!(nearest("pols", candidates()), Some("POOLS"));
        assert_eq!(nearest("clinets", candidates()), Some("CLIENTS"));
        assert_eq!(nearest("SERVER", candidates()), Some("SERVERS"));
        assert_eq!(nearest("weather", candidates()), None);
        assert_eq!(nearest(&"x".repeat(10_000), candidates()), None);
    }

    #[test]
    fn neighbours_swapped_are_one_slip() {
        assert_eq!(distance(b"PUASE", b"PAUSE"), 1);
        assert_eq!(distance(b"", b"PAUSE"), 5);
        assert_eq!(distance(b"KILL", b"KILL"), 0);
    }
}
