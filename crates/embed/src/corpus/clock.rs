//! Dates and times of a column as text in ISO 8601, and back.

use arrow_schema::{DataType, TimeUnit};
use chrono::{
    DateTime, Days, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, SecondsFormat,
    TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;

const SECOND: i128 = 1_000_000_000; // nanoseconds
const DAY: i128 = 24 * 60 * 60 * SECOND;

/// How the numbers of a column stand for dates or times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clock {
    kind: Kind,
    tick: i128, // nanoseconds
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Date,
    Time,
    Local,
    Zoned(Zone),
}

/// A time zone, by its name or by its distance from UTC.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Zone {
    Named(Tz),
    Fixed(FixedOffset),
}

impl Zone {
    /// A zone that nobody knows is read as UTC, in which Arrow's numbers are.
    fn of(name: &str) -> Self {
        match (name.parse(), name.parse()) {
            (Ok(zone), _) => Self::Named(zone),
            (_, Ok(offset)) => Self::Fixed(offset),
            _ => Self::Named(Tz::UTC),
        }
    }

    fn offset_at(self, utc: &NaiveDateTime) -> FixedOffset {
        match self {
            Self::Named(zone) => zone.offset_from_utc_datetime(utc).fix(),
            Self::Fixed(offset) => offset,
        }
    }

    /// The moment of a local time: the first of two, and where clocks jump over it as if they had not.
    fn moment(self, local: NaiveDateTime) -> NaiveDateTime {
        match self {
            Self::Fixed(offset) => local - offset,
            Self::Named(zone) => match zone.offset_from_local_datetime(&local) {
                MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(offset, _) => local - offset.fix(),
                MappedLocalTime::None => local - zone.offset_from_utc_datetime(&local).fix(),
            },
        }
    }
}

impl Clock {
    /// Of a column's type, if that is one of dates or times.
    pub(super) fn of(kind: &DataType) -> Option<Self> {
        let unit = |unit: &TimeUnit| match unit {
            TimeUnit::Second => SECOND,
            TimeUnit::Millisecond => SECOND / 1000,
            TimeUnit::Microsecond => SECOND / 1_000_000,
            TimeUnit::Nanosecond => 1,
        };
        let (kind, tick) = match kind {
            DataType::Date32 => (Kind::Date, DAY),
            DataType::Date64 => (Kind::Date, SECOND / 1000),
            DataType::Time32(ticks) | DataType::Time64(ticks) => (Kind::Time, unit(ticks)),
            DataType::Timestamp(ticks, None) => (Kind::Local, unit(ticks)),
            DataType::Timestamp(ticks, Some(zone)) => (Kind::Zoned(Zone::of(zone)), unit(ticks)),
            _ => return None,
        };
        Some(Self { kind, tick })
    }

    /// What can be asked of such a column, for a message.
    pub(super) fn example(&self) -> &'static str {
        match self.kind {
            Kind::Date => "one such as \"2024-01-31\", a list of them, or bounds",
            Kind::Time => "one such as \"09:30:00\", a list of them, or bounds",
            Kind::Local => "one such as \"2024-01-31T09:30:00\" or \"2024-01-31\", a list of them, or bounds",
            Kind::Zoned(_) => "one such as \"2024-01-31T09:30:00+09:00\" or \"2024-01-31\", a list of them, or bounds",
        }
    }

    /// The text of a number; none where it is beyond the calendar.
    pub(super) fn text(&self, ticks: i64) -> Option<String> {
        let nanoseconds = i128::from(ticks) * self.tick;
        if self.kind == Kind::Time {
            let seconds = u32::try_from(nanoseconds.div_euclid(SECOND)).ok()?;
            let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanoseconds.rem_euclid(SECOND) as u32)?;
            return Some(time.format("%H:%M:%S%.f").to_string());
        }
        let seconds = i64::try_from(nanoseconds.div_euclid(SECOND)).ok()?;
        let moment = DateTime::from_timestamp(seconds, nanoseconds.rem_euclid(SECOND) as u32)?;
        let utc = moment.naive_utc();
        Some(match self.kind {
            Kind::Date | Kind::Time => utc.date().to_string(),
            Kind::Local => utc.format("%Y-%m-%dT%H:%M:%S%.f").to_string(),
            Kind::Zoned(zone) => {
                let local = moment.with_timezone(&zone.offset_at(&utc));
                local.to_rfc3339_opts(SecondsFormat::AutoSi, true)
            }
        })
    }

    /// The numbers that a text stands for, from the first to the last: a date alone stands for the whole day. Where none of
    /// the column's ticks is that moment, the first is the next after it and the last the one before.
    pub(super) fn ticks(&self, text: &str) -> Option<(i128, i128)> {
        let text = text.trim();
        let (first, last) = match self.kind {
            Kind::Time => {
                let time =
                    ["%H:%M:%S%.f", "%H:%M"].iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok())?;
                let moment = i128::from(time.num_seconds_from_midnight()) * SECOND + i128::from(time.nanosecond());
                (moment, moment)
            }
            Kind::Date => {
                let start = nanoseconds(date(text)?.and_time(NaiveTime::MIN));
                (start, start + DAY - 1)
            }
            Kind::Local => span(text, |local| local)?,
            Kind::Zoned(zone) => match DateTime::parse_from_rfc3339(text) {
                Ok(moment) => {
                    let moment = nanoseconds(moment.with_timezone(&Utc).naive_utc());
                    (moment, moment)
                }
                Err(_) => span(text, |local| zone.moment(local))?,
            },
        };
        Some((-(-first).div_euclid(self.tick), last.div_euclid(self.tick)))
    }
}

/// The first and last nanosecond of a local date or time.
fn span(text: &str, moment: impl Fn(NaiveDateTime) -> NaiveDateTime) -> Option<(i128, i128)> {
    if let Some(day) = date(text) {
        let start = |day: NaiveDate| nanoseconds(moment(day.and_time(NaiveTime::MIN)));
        return Some((start(day), start(day.checked_add_days(Days::new(1))?) - 1));
    }
    let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let local = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    // Room for any zone.
    local.checked_add_signed(TimeDelta::days(2)).and(local.checked_sub_signed(TimeDelta::days(2)))?;
    let moment = nanoseconds(moment(local));
    Some((moment, moment))
}

fn date(text: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (date > NaiveDate::MIN + Days::new(2) && date < NaiveDate::MAX - Days::new(2)).then_some(date)
}

fn nanoseconds(moment: NaiveDateTime) -> i128 {
    let moment = moment.and_utc();
    i128::from(moment.timestamp()) * SECOND + i128::from(moment.timestamp_subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back_as_the_same_number() {
        let zoned = |zone: &str| DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()));
        for (kind, ticks, text) in [
            (DataType::Date32, 19_753, "2024-01-31"),
            (DataType::Date32, -719_529, "-0001-12-31"),
            (DataType::Date64, 19_753 * 86_400_000, "2024-01-31"),
            (DataType::Time32(TimeUnit::Second), 34_200, "09:30:00"),
            (DataType::Time64(TimeUnit::Nanosecond), 1, "00:00:00.000000001"),
            (DataType::Timestamp(TimeUnit::Second, None), 1_706_693_400, "2024-01-31T09:30:00"),
            (DataType::Timestamp(TimeUnit::Millisecond, None), -1, "1969-12-31T23:59:59.999"),
            (zoned("UTC"), 1_706_693_400_000_000, "2024-01-31T09:30:00Z"),
            (zoned("+00:00"), 1_706_693_400_000_000, "2024-01-31T09:30:00Z"),
            (zoned("Asia/Seoul"), 1_706_693_400_500_000, "2024-01-31T18:30:00.500+09:00"),
            (zoned("-03:30"), 0, "1969-12-31T20:30:00-03:30"),
        ] {
            let clock = Clock::of(&kind).unwrap();
            assert_eq!(clock.text(ticks).as_deref(), Some(text), "{kind}");
            let (first, last) = clock.ticks(text).unwrap();
            assert!((first..=last).contains(&i128::from(ticks)), "{kind} {text}: {first}..={last}");
        }
        assert_eq!(Clock::of(&zoned("UTC")).unwrap().text(i64::MAX), None, "beyond the calendar");
    }

    #[test]
    fn a_date_alone_stands_for_its_day_in_the_columns_zone() {
        let seoul = Clock::of(&DataType::Timestamp(TimeUnit::Second, Some("Asia/Seoul".into()))).unwrap();
        let (first, last) = seoul.ticks("2024-01-31").unwrap();
        assert_eq!((seoul.text(first as i64).unwrap(), last - first), ("2024-01-31T00:00:00+09:00".into(), 86_399));
        assert_eq!(seoul.ticks("2024-01-31 09:30"), seoul.ticks("2024-01-31T00:30:00Z"));
        let local = Clock::of(&DataType::Timestamp(TimeUnit::Second, None)).unwrap();
        for wrong in ["2024-01-31T09:30:00Z", "2024-1", "내일", "", "2024-02-30", "+262142-12-31"] {
            assert_eq!(local.ticks(wrong), None, "{wrong}");
        }
        // Between two ticks: nothing is equal, and bounds hold on either side.
        assert_eq!(local.ticks("1970-01-01T00:00:01.5"), Some((2, 1)));
    }

    #[test]
    fn a_day_whose_clocks_change_has_its_own_length() {
        let new_york = Clock::of(&DataType::Timestamp(TimeUnit::Second, Some("America/New_York".into()))).unwrap();
        let (first, last) = new_york.ticks("2024-03-10").unwrap();
        assert_eq!(last - first + 1, 23 * 60 * 60);
        assert!(new_york.ticks("2024-03-10T02:30:00").is_some(), "clocks jump over it");
    }
}
