//! Looking up words among names, most of which are not there.

use std::cmp::Ordering;

use crate::sql::identifier;
use crate::sql::lexer::{Piece, Token};

/// Names in order, and what lengths those with each first byte have.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    sorted: Vec<Box<[u8]>>,
    lengths: Vec<u64>,
}

impl Names {
    /// Those given; their indices are the ones in `sorted`, which has no duplicates.
    pub(super) fn new(sorted: Vec<Box<[u8]>>) -> Names {
        let mut lengths = vec![0; 256];
        for name in &sorted {
            if let Some(lengths) = name.first().and_then(|first| lengths.get_mut(usize::from(*first))) {
                *lengths |= bit(name.len());
            }
        }
        Names { sorted, lengths }
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
            (Token::Word(_), [first, ..]) => {
                let lengths = self.lengths.get(usize::from(first.to_ascii_lowercase()))?;
                if lengths & bit(piece.text.len()) == 0 { None } else { self.find_word(piece.text) }
            }
            (_, [b'"', ..]) => self.index(&identifier::name(piece)?),
            _ => None,
        }
    }

    pub(super) fn index(&self, name: &[u8]) -> Option<usize> {
        self.sorted.binary_search_by(|known| (**known).cmp(name)).ok()
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

/// The longest names share one: longer words are cut to it.
fn bit(len: usize) -> u64 {
    1 << len.min(60)
}
