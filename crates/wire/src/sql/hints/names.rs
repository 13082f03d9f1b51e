//! Looking up words among names, most of which are not there.

use std::cmp::Ordering;

use crate::sql::identifier;
use crate::sql::lexer::{Piece, Token, is_word_part, is_word_start};

/// Names in order, and what lengths those with each first byte have, be it a small or a capital letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    sorted: Vec<Box<[u8]>>,
    lengths: Vec<u64>,
    /// One of them is no word, so that it is always in quotes.
    odd: bool,
}

impl Names {
    /// Those given; their indices are the ones in `sorted`, which has no duplicates.
    pub(super) fn new(sorted: Vec<Box<[u8]>>) -> Names {
        let mut lengths = vec![0; 256];
        let mut odd = false;
        for name in &sorted {
            odd |= !is_word(name);
            let first = name.first().map(u8::to_ascii_lowercase).unwrap_or_default();
            if let Some(lengths) = lengths.get_mut(usize::from(first)) {
                *lengths |= bit(name.len());
            }
        }
        Names { sorted, lengths, odd }
    }

    /// Whether one of them may be in a text, be it a comment: a look at words without taking the text apart.
    #[inline]
    pub(super) fn may_be_in(&self, text: &[u8]) -> bool {
        if self.sorted.is_empty() {
            return false;
        }
        let (mut first, mut len) = (0, 0);
        for byte in text {
            match len {
                0 if is_word_start(*byte) => (first, len) = (*byte, 1),
                0 if *byte == b'"' && self.odd => return true,
                0 => {}
                // What a dollar ends may be a string's tag.
                _ if *byte == b'$' => return true,
                _ if is_word_part(*byte) => len += 1,
                _ if self.has(first, len) || *byte == b'"' && self.odd => return true,
                _ => len = 0,
            }
        }
        len > 0 && self.has(first, len)
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    pub(super) fn into_sorted(self) -> Vec<Box<[u8]>> {
        self.sorted
    }

    /// The index of the name that a word or quoted name is.
    #[inline]
    pub(super) fn find(&self, piece: Piece<'_>) -> Option<usize> {
        match (piece.token, piece.text) {
            (Token::Word(_), word @ [first, ..]) if self.has(*first, word.len()) => self.find_word(word),
            (_, [b'"', ..]) => self.index(&identifier::name(piece)?),
            _ => None,
        }
    }

    pub(super) fn index(&self, name: &[u8]) -> Option<usize> {
        self.sorted.binary_search_by(|known| (**known).cmp(name)).ok()
    }

    #[inline]
    fn has(&self, first: u8, len: usize) -> bool {
        self.lengths
            .get(usize::from(first.to_ascii_lowercase()))
            .is_some_and(|lengths| lengths & bit(len) != 0)
    }

    fn find_word(&self, word: &[u8]) -> Option<usize> {
        let word = identifier::clip(word);
        self.sorted.binary_search_by(|known| compare(known, word)).ok()
    }
}

/// As if the word were in small letters.
fn compare(known: &[u8], word: &[u8]) -> Ordering {
    known.iter().copied().cmp(word.iter().map(u8::to_ascii_lowercase))
}

fn is_word(name: &[u8]) -> bool {
    name.first().is_some_and(|first| is_word_start(*first)) && name.iter().all(|byte| is_word_part(*byte))
}

/// The longest names share one: longer words are cut to it.
fn bit(len: usize) -> u64 {
    1 << len.min(60)
}
