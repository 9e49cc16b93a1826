//! What a cell holds: a sentence's words, or a number, a date, a code, an address.

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing but white space.
    Blank,
    /// Words.
    Words,
    /// Numbers, with signs and units; stars; telephone numbers.
    Number,
    /// A date, a time, or how long ago.
    Date,
    /// An identifier: one word with digits, or a path.
    Code,
    /// An e-mail or web address.
    Address,
}

/// Words that stand beside the digits of a date.
const OF_DATES: &[&str] = &[
    "년",
    "월",
    "일",
    "시",
    "분",
    "초",
    "오전",
    "오후",
    "전",
    "화",
    "수",
    "목",
    "금",
    "토",
    "월요일",
    "화요일",
    "수요일",
    "목요일",
    "금요일",
    "토요일",
    "일요일",
    "am",
    "pm",
    "t",
    "z",
    "utc",
    "kst",
    "gmt",
    "st",
    "nd",
    "rd",
    "th",
    "mon",
    "tue",
    "tues",
    "wed",
    "thu",
    "thur",
    "thurs",
    "fri",
    "sat",
    "sun",
    "어제",
    "주",
    "개월",
    "시간",
    "ago",
];

/// The same, written out or to their first three letters.
const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Words that stand beside the digits of a number.
const UNITS: &[&str] = &[
    "원", "개", "점", "명", "회", "건", "위", "차", "호", "층", "세", "살", "권", "장", "병", "대", "번", "만", "만원",
    "천원", "억", "점수", "kg", "g", "mg", "cm", "mm", "m", "km", "ml", "l", "krw", "usd", "x",
];

/// What a cell holds, by its letters.
pub(crate) fn kind(cell: &str) -> Kind {
    let cell = cell.trim();
    if cell.is_empty() {
        return Kind::Blank;
    }
    if is_address(cell) {
        return Kind::Address;
    }
    if !cell.chars().any(char::is_alphabetic) {
        let is_clock = cell.chars().filter(char::is_ascii_digit).count() >= 3
            && cell.chars().any(|letter| matches!(letter, ':' | '-' | '/' | '.'))
            && cell.parse::<f64>().is_err();
        return if is_clock { Kind::Date } else { Kind::Number };
    }
    let has_digit = cell.chars().any(|letter| letter.is_ascii_digit());
    if has_digit && words(cell).all(|word| is_of_date(&word)) {
        return Kind::Date;
    }
    if has_digit && words(cell).all(|word| UNITS.contains(&word.as_str())) || cell.parse::<f64>().is_ok() {
        return Kind::Number; // NaN and inf among them
    }
    if is_code(cell, has_digit) { Kind::Code } else { Kind::Words }
}

/// The runs of letters of a cell, in lower case.
fn words(cell: &str) -> impl Iterator<Item = String> {
    cell.split(|letter: char| !letter.is_alphabetic()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

fn is_of_date(word: &str) -> bool {
    let is_month = |month: &&str| word.len() >= 3 && month.starts_with(word);
    OF_DATES.contains(&word) || MONTHS.iter().any(is_month) || word == "sept"
}

fn is_address(cell: &str) -> bool {
    if cell.contains(char::is_whitespace) {
        return false;
    }
    let is_web = ["http://", "https://", "ftp://", "www."].iter().any(|start| cell.starts_with(start));
    is_web || cell.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.') && cell.is_ascii())
}

/// One word that no sentence is: ASCII with a digit or with marks of paths and names, or digits for the most part.
fn is_code(cell: &str, has_digit: bool) -> bool {
    if cell.contains(char::is_whitespace) {
        return false;
    }
    if cell.is_ascii() {
        let has_mark =
            cell.contains(['_', '/', '\\', '=', '#', '@']) || cell.trim_end_matches(['.', '!', '?']).contains('.');
        return has_digit || has_mark;
    }
    let digits = cell.chars().filter(char::is_ascii_digit).count();
    2 * digits >= cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_of_the_kind_that_people_see() {
        for (expected, cells) in [
            (Kind::Blank, &["", "  ", "\u{3000}"][..]),
            (
                Kind::Words,
                &[
                    "좋아요",
                    "배송이 3일 걸렸어요",
                    "good",
                    "Very good!",
                    "ㅋㅋ",
                    "S사이즈 딱 맞아요",
                    "okay.",
                    "정말 좋아요 5점",
                ],
            ),
            (
                Kind::Number,
                &["1", "-2.5", "1e3", "12,000", "₩12,000", "12,000원", "45%", "4.5점", "★★★★☆", "👍", "3/5", "80kg"],
            ),
            (
                Kind::Date,
                &[
                    "2026-11-28",
                    "2026.11.28",
                    "2026. 11. 28.",
                    "26/11/28",
                    "2026년 11월 28일",
                    "오전 10:30",
                    "12:30:05",
                    "3일 전",
                    "2026-11-28T10:30:00Z",
                    "2026-11-28 (토)",
                    "Nov 28, 2026",
                    "28 November 2026",
                    "Sat, 28 Nov 2026 10:00:00 GMT",
                    "2개월 전",
                    "010-1234-5678",
                ],
            ),
            (Kind::Code, &["A-1023", "KR2026X", "img_001.jpg", "/a/b.png", "3f2a9c7e", "가1023", "v1.2"]),
            (Kind::Address, &["a.b@example.com", "https://example.com/가", "www.example.com"]),
        ] {
            for cell in cells {
                assert_eq!(kind(cell), expected, "{cell:?}");
            }
        }
    }
}
