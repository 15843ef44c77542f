//! The gateway's answers beside the truth.

pub mod attendance;
pub mod contacts;

use serde::Serialize;

/// How well something was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// How often it was said.
    pub said: u64,
    /// How often it was true.
    pub truth: u64,
    /// How often it was said and true.
    pub right: u64,
}

/// A [`Score`] as shares; absent where there is nothing to share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Shares {
    /// How much of what was said is true.
    pub precision: Option<f64>,
    /// How much of what is true was said.
    pub recall: Option<f64>,
    /// How often it was said.
    pub said: u64,
    /// How often it was true.
    pub truth: u64,
}

impl Score {
    /// Counts one case.
    pub fn add(&mut self, said: bool, truth: bool) {
        self.said += u64::from(said);
        self.truth += u64::from(truth);
        self.right += u64::from(said && truth);
    }

    /// The same as shares.
    pub fn shares(self) -> Shares {
        let share = |of: u64| (of > 0).then(|| (self.right as f64 * 1e4 / of as f64).floor() / 1e4);
        let Self { said, truth, .. } = self;
        Shares { precision: share(said), recall: share(truth), said, truth }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_absent_where_there_is_nothing_and_never_rounded_up_to_all() {
        assert_eq!(Score::default().shares(), Shares::default());
        let mut score = Score { said: 30_000, truth: 20_000, right: 20_000 };
        score.add(true, false);
        score.add(false, true);
        let shares = score.shares();
        assert_eq!((shares.precision, shares.recall), (Some(0.6666), Some(0.9999)));
    }
}
