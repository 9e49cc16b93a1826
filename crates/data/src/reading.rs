//! How a user's own files of pairs are read: which columns they have, and from where to where their scores go.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::scale::Scale;

/// What a user says of files that have no name here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The names of their columns.
    pub columns: PairColumns,
    /// From where to where their scores go.
    pub scale: Scale,
    /// The sheet of a workbook; the first by default.
    pub sheet: Option<String>,
}

/// The columns of a file of pairs; of those that are not named, the usual names hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairColumns {
    /// The first sentence; `sentence1` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentence1: Option<String>,
    /// The second; `sentence2` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentence2: Option<String>,
    /// The score; `score` or `label` by default, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<String>,
}

impl PairColumns {
    /// Whether no column is named.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl FromStr for PairColumns {
    type Err = String;

    /// `A,B` or `A,B,SCORE`, in this order; or `sentence1=A,sentence2=B,score=C`, of which some may be missing.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || format!("{text:?}: expected A,B or A,B,SCORE, or as in sentence1=A,score=C");
        let mut columns = Self::default();
        for (place, part) in text.split(',').map(str::trim).enumerate() {
            let (key, name) = part
                .split_once('=')
                .unwrap_or((["sentence1", "sentence2", "score"].get(place).copied().unwrap_or(""), part));
            let column = match key.trim() {
                "sentence1" => &mut columns.sentence1,
                "sentence2" => &mut columns.sentence2,
                "score" => &mut columns.score,
                _ => return Err(expected()),
            };
            if name.trim().is_empty() || column.replace(name.trim().to_owned()).is_some() {
                return Err(expected());
            }
        }
        let is_alone = !text.contains('=') && columns.sentence2.is_none();
        if is_alone { Err(expected()) } else { Ok(columns) }
    }
}

/// The flags of a program that reads a user's own files of pairs.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ReadingArguments {
    /// Columns of files that have no name here, as A,B or A,B,SCORE, or as in sentence1=A,score=C [default: sentence1,
    /// sentence2 and score or label].
    #[arg(long, value_name = "A,B,SCORE")]
    columns: Option<PairColumns>,
    /// Lowest and highest score of such files, which are brought to 0 to 5 [default: 0,5].
    #[arg(long, value_name = "LOW,HIGH", allow_hyphen_values = true)]
    scale: Option<Scale>,
    /// Sheet of a workbook [default: the first].
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
}

impl ReadingArguments {
    /// What they say.
    pub fn reading(&self) -> Reading {
        Reading {
            columns: self.columns.clone().unwrap_or_default(),
            scale: self.scale.unwrap_or_default(),
            sheet: self.sheet.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_given_in_their_order_or_by_key() {
        let columns = |a: Option<&str>, b: Option<&str>, score: Option<&str>| {
            let owned = |name: Option<&str>| name.map(str::to_owned);
            PairColumns { sentence1: owned(a), sentence2: owned(b), score: owned(score) }
        };
        assert_eq!("문장1, 문장2".parse(), Ok(columns(Some("문장1"), Some("문장2"), None)));
        assert_eq!("가,나,점수".parse(), Ok(columns(Some("가"), Some("나"), Some("점수"))));
        assert_eq!("score=점수".parse(), Ok(columns(None, None, Some("점수"))));
        for text in ["", "가", "가,", "가,나,다,라", "score=", "label=x", "score=a,score=b"] {
            assert!(text.parse::<PairColumns>().is_err(), "{text}");
        }
    }
}
