//! Names of columns: how two are compared, and which are known.

use unicode_normalization::UnicodeNormalization;

/// Names of a column of sentences, the most telling first, in the form of [`plain`].
const SENTENCES: &[&str] = &[
    "sentence",
    "text",
    "문장",
    "content",
    "contents",
    "document",
    "review",
    "comment",
    "텍스트",
    "본문",
    "내용",
    "리뷰",
    "리뷰내용",
    "후기",
    "댓글",
    "의견",
    "질문",
    "sentences",
    "texts",
    "documents",
    "reviews",
    "comments",
    "body",
    "message",
    "messages",
    "question",
    "questions",
    "query",
    "passage",
    "paragraph",
    "utterance",
    "reviewtext",
    "reviewcontent",
    "commenttext",
    "리뷰본문",
    "후기내용",
    "댓글내용",
    "상품평",
    "구매평",
    "이용후기",
    "구매후기",
    "고객의견",
    "질의",
    "문의",
    "문의내용",
    "메시지",
    "발화",
    "원문",
    "기사",
    "feedback",
    "답변",
    "한줄평",
    "총평",
    "감상",
    "감상평",
    "소감",
    "장점",
    "단점",
    "번역문",
    "answer",
    "answers",
    "설명",
    "상품설명",
    "description",
];

/// Names that mean the same and were known first: of several, the first is meant.
const FIRST_OF_ALL: &[&str] = &["sentence", "text", "문장"];

/// Ends of names of a column of sentences: 고객리뷰, 상품 후기, review_text.
const SENTENCE_ENDS: &[&str] = &[
    "문장",
    "텍스트",
    "본문",
    "내용",
    "리뷰",
    "후기",
    "댓글",
    "의견",
    "상품평",
    "text",
    "comment",
    "content",
    "review",
    "sentence",
    "message",
];

/// Other names by which a header is known.
const OTHERS: &[&str] = &[
    "sentence1",
    "sentence2",
    "title",
    "id",
    "idx",
    "index",
    "no",
    "no.",
    "label",
    "score",
    "rating",
    "date",
    "time",
    "datetime",
    "timestamp",
    "createdat",
    "name",
    "author",
    "user",
    "userid",
    "username",
    "nickname",
    "category",
    "genre",
    "source",
    "url",
    "link",
    "email",
    "product",
    "productname",
    "price",
    "count",
    "제목",
    "번호",
    "순번",
    "연번",
    "점수",
    "별점",
    "평점",
    "날짜",
    "일자",
    "일시",
    "시간",
    "작성일",
    "작성일시",
    "작성자",
    "등록일",
    "이름",
    "성명",
    "닉네임",
    "아이디",
    "상품",
    "상품명",
    "제품명",
    "품명",
    "주문번호",
    "상품번호",
    "분류",
    "카테고리",
    "옵션",
    "가격",
    "이메일",
    "전화번호",
    "주소",
];

/// Ends of names of a column that holds no sentences, whatever its values look like.
const OTHER_ENDS: &[&str] = &[
    "상품명",
    "제품명",
    "품명",
    "고객명",
    "회원명",
    "업체명",
    "회사명",
    "매장명",
    "지점명",
    "모델명",
    "파일명",
    "브랜드명",
    "성명",
    "이름",
    "번호",
    "코드",
    "일자",
    "일시",
    "날짜",
    "시간",
    "시각",
    "작성일",
    "등록일",
    "주소",
    "아이디",
    "닉네임",
    "작성자",
    "카테고리",
    "분류",
    "옵션",
    "링크",
    "id",
    "url",
    "link",
    "name",
    "author",
    "user",
    "date",
    "time",
    "category",
    "brand",
    "option",
    "code",
    "genre",
    "filename",
    "source",
];

/// A name without case, white space and marks between words, in NFC (macOS writes Hangul decomposed).
pub(crate) fn plain(name: &str) -> String {
    let letters = name.nfc().filter(|letter| !letter.is_whitespace() && !matches!(letter, '_' | '-' | '\u{FEFF}'));
    letters.flat_map(char::to_lowercase).collect()
}

/// The place of a column by its name: written so, else in NFC, else without case and white space.
pub fn find<'a>(names: impl Iterator<Item = &'a str> + Clone, asked: &str) -> Option<usize> {
    let asked = asked.trim();
    let position = |is_same: &dyn Fn(&str) -> bool| names.clone().position(is_same);
    let nfc: String = asked.nfc().collect();
    let spaceless = plain(asked);
    position(&|name| name == asked)
        .or_else(|| position(&|name| name.nfc().eq(nfc.chars())))
        .or_else(|| position(&|name| !spaceless.is_empty() && plain(name) == spaceless))
}

/// How surely a name is that of a column of sentences: the smaller, the more surely.
pub(crate) fn sentence_rank(name: &str) -> Option<SentenceRank> {
    let name = plain(name);
    if let Some(place) = FIRST_OF_ALL.iter().position(|known| *known == name) {
        return Some(SentenceRank::First(place));
    }
    if SENTENCES.contains(&name.as_str()) {
        return Some(SentenceRank::Known);
    }
    let is_other = OTHER_ENDS.iter().any(|end| name.ends_with(end));
    let ends_so = !is_other && SENTENCE_ENDS.iter().any(|end| name.ends_with(end));
    ends_so.then_some(SentenceRank::Like)
}

/// See [`sentence_rank`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SentenceRank {
    /// One of those of which the first is meant.
    First(usize),
    /// Another known name.
    Known,
    /// A name that ends as those do.
    Like,
}

/// Whether a name is that of a column that holds something else.
pub(crate) fn is_other(name: &str) -> bool {
    let name = plain(name);
    OTHERS.contains(&name.as_str()) || OTHER_ENDS.iter().any(|end| name.ends_with(end))
}

/// Whether a cell is a known name of a column, or is like one: a word or two, which end as names of sentences do.
pub(crate) fn is_known(cell: &str) -> bool {
    const LONGEST: usize = 16;
    let name = plain(cell);
    let is_short = cell.split_whitespace().count() <= 2 && name.chars().count() <= LONGEST;
    SENTENCES.contains(&name.as_str())
        || OTHERS.contains(&name.as_str())
        || is_short && sentence_rank(cell) == Some(SentenceRank::Like)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_decomposed_in_other_case_and_with_spaces() {
        let decomposed: String = "리뷰 내용".nfd().collect();
        let names = ["id", decomposed.as_str(), "Review_Text", "review text"];
        let found = |asked: &str| find(names.iter().copied(), asked);
        assert_eq!(found("리뷰 내용"), Some(1));
        assert_eq!(found("리뷰내용"), Some(1));
        assert_eq!(found("review text"), Some(3), "one that is written so comes first");
        assert_eq!(found("REVIEW-TEXT"), Some(2));
        assert_eq!((found("내용"), found(" ")), (None, None));
    }

    #[test]
    fn every_known_name_is_in_plain_form() {
        for name in [SENTENCES, OTHERS, SENTENCE_ENDS, OTHER_ENDS].concat() {
            assert_eq!(plain(name), name, "{name}");
        }
    }

    #[test]
    fn names_of_sentences_are_told_from_others() {
        for name in ["고객 리뷰", "Review Text", "상품후기", "리뷰내용", "comment_text"] {
            assert!(sentence_rank(name).is_some(), "{name}");
        }
        for name in ["리뷰번호", "리뷰작성일", "상품명", "작성일", "user_name", "리뷰수"] {
            assert_eq!(sentence_rank(name), None, "{name}");
        }
        assert!(is_other("상품명") && is_other("주문 번호") && !is_other("감상"));
    }
}
