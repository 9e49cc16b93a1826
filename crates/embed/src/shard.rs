//! Which of a job's parts a process makes.

use std::{fmt, str::FromStr};

/// One of several processes that share a job: it makes every `count`-th part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 0.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl Shard {
    /// The only one.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Whether part `part` of file `file` is this shard's. Both are counted from 0, so that files of one part each are
    /// shared out too.
    pub fn has(self, file: usize, part: usize) -> bool {
        (file + part) % self.count == self.index
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => Err("expected I/N, with I from 0 to N − 1, such as 0/8".to_owned()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_belongs_to_one_shard() {
        for count in 1..5 {
            let shards: Vec<Shard> = (0..count).map(|index| Shard { index, count }).collect();
            for (file, part) in (0..7).flat_map(|file| (0..7).map(move |part| (file, part))) {
                assert_eq!(shards.iter().filter(|shard| shard.has(file, part)).count(), 1);
            }
        }
    }

    #[test]
    fn a_shard_is_written_as_slurm_and_kubernetes_count() {
        assert_eq!("3/8".parse(), Ok(Shard { index: 3, count: 8 }));
        for wrong in ["8/8", "1", "-1/2", "0/0", "a/b", "1/2/3", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
