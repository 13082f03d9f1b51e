//! Chance from a seed, so that a run can be repeated. Not for secrets.

/// A generator (SplitMix64): few, cheap, well mixed numbers.
#[derive(Clone, Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    /// Evenly from `low` up to `high`.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.fraction()
    }

    /// From 0 up to, not including, 1.
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_they_stay_between_the_bounds() {
        let (mut one, mut other) = (Jitter::new(7), Jitter::new(7));
        let numbers: Vec<f64> = (0..1000).map(|_| one.between(0.95, 1.05)).collect();
        assert!(numbers.iter().all(|&n| (0.95..1.05).contains(&n) && n == other.between(0.95, 1.05)));
        assert!(numbers.iter().any(|&n| n < 0.96) && numbers.iter().any(|&n| n > 1.04));
    }
}
