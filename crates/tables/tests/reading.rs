//! How files of every form are read.
#![allow(clippy::unwrap_used)] // A test may panic.

use arrow_array::Array;
use tables::{Delimiter, Error, Format, Layout, Options, Source, Table};

fn open(bytes: &[u8], options: &Options) -> Result<Table, Error> {
    Table::open(Source::memory(bytes.to_vec()), options)
}

/// The values of one column, white space around them gone; an empty text where there is none.
fn values(table: &Table, index: usize, rows: usize) -> Result<Vec<String>, Error> {
    let mut values = Vec::new();
    for batch in table.batches(&[index], rows, None)? {
        let batch = batch?;
        let texts = tables::texts(batch.rows.column(0))?;
        assert_eq!(texts.len(), batch.lines.len());
        values.extend(texts.iter().map(|text| text.unwrap_or_default().trim().to_owned()));
    }
    Ok(values)
}

fn sentences(bytes: &[u8], asked: Option<&str>, options: &Options) -> Result<(Table, String, Vec<String>), Error> {
    let table = open(bytes, options)?;
    let column = match asked {
        Some(asked) => table.column(asked)?,
        None => table.sentence_column()?,
    };
    let (index, label) = (column.index, column.label());
    let all = values(&table, index, 1000)?;
    // In batches of any size the rows are the same.
    for rows in [1, 2, 3] {
        assert_eq!(values(&table, index, rows)?, all);
    }
    Ok((table, label, all))
}

fn read(text: &str) -> (Layout, String, Vec<String>) {
    let (table, column, rows) =
        sentences(text.as_bytes(), None, &Options::default()).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    (*table.layout(), column, rows)
}

fn refusal(bytes: &[u8]) -> String {
    sentences(bytes, None, &Options::default())
        .map(|(_, column, rows)| format!("{column}: {rows:?}"))
        .unwrap_err()
        .to_string()
}

fn cp949(text: &str) -> Vec<u8> {
    encoding_rs::EUC_KR.encode(text).0.into_owned()
}

const A: &str = "비가 온다.";
const B: &str = "눈이 온다.";
const C: &str = "밥을 먹었다.";

#[test]
fn a_header_names_the_column_of_sentences() {
    for (text, delimiter, column) in [
        ("id,sentence\n1,비가 온다.\n2,눈이 온다.\n", Delimiter::Comma, "sentence"),
        ("번호\t문장\n1\t비가 온다.\n2\t눈이 온다.\n", Delimiter::Tab, "문장"),
        ("Text;score\n비가 온다.;1\n눈이 온다.;2\n", Delimiter::Semicolon, "Text"),
        ("번호|내용\n1|비가 온다.\n2|눈이 온다.\n", Delimiter::Pipe, "내용"),
        ("문장\n비가 온다.\n눈이 온다.\n", Delimiter::None, "문장"),
        ("리뷰\n비가 온다.\n눈이 온다.\n", Delimiter::None, "리뷰"),
        ("리뷰 내용\n비가 온다.\n눈이 온다.\n", Delimiter::None, "리뷰 내용"),
        ("sep=,\nid,문장\n1,비가 온다.\n2,눈이 온다.\n", Delimiter::Comma, "문장"),
        ("\"sep=;\"\nid;문장\n1;비가 온다.\n2;눈이 온다.\n", Delimiter::Semicolon, "문장"),
        ("sep=^\nid^문장\n1^비가 온다.\n2^눈이 온다.\n", Delimiter::Other(b'^'), "문장"),
        ("\n \n문장,id\n비가 온다.,1\n눈이 온다.,2\n", Delimiter::Comma, "문장"),
        ("11월의 목록\n\n번호,리뷰\n1,비가 온다.\n2,눈이 온다.\n", Delimiter::Comma, "리뷰"),
        ("11월의 목록;\n번호;리뷰\n1;비가 온다.\n2;눈이 온다.\n", Delimiter::Semicolon, "리뷰"),
    ] {
        let layout = Layout { format: Format::Delimited, encoding: "UTF-8", delimiter, has_header: true };
        assert_eq!(read(text), (layout, column.to_owned(), vec![A.to_owned(), B.to_owned()]), "{text}");
    }
}

#[test]
fn a_name_that_ends_as_those_of_sentences_do_is_a_header_too() {
    for name in ["고객 리뷰", "상품리뷰", "사용 후기", "상담내용", "customer_review", "User Comment", "한줄평", "답변"]
    {
        let (layout, column, rows) = read(&format!("{name}\n{A}\n{B}\n"));
        assert_eq!((layout.has_header, column.as_str(), rows.len()), (true, name, 2));
        let (layout, column, rows) = read(&format!("매장,{name}\n강남점,{A}\n홍대점,{B}\n"));
        assert_eq!((layout.has_header, column.as_str(), rows.len()), (true, name, 2));
    }
    // A sentence that ends so is none.
    assert_eq!(read(&format!("배송이 아주 빠른 후기\n{A}\n")).2, ["배송이 아주 빠른 후기", A]);
}

#[test]
fn a_header_that_is_said_to_be_there_may_stand_below_its_title() {
    let options = Options { has_header: Some(true), ..Options::default() };
    let text = format!("11월의 목록,,\n\n번호,리뷰,별점\n1,{A},5\n2,{B},4\n");
    let (table, column, rows) = sentences(text.as_bytes(), None, &options).unwrap();
    assert_eq!((table.layout().has_header, column.as_str(), rows), (true, "리뷰", vec![A.to_owned(), B.to_owned()]));
}

#[test]
fn what_is_no_table_is_refused_and_not_scored_as_text() {
    for (text, expected) in [
        (
            "{\"data\": [{\"id\": 1, \"review\": \"좋아요\"}]}\n",
            "no column looks like sentences: name the column; the file has \"data\"",
        ),
        ("[\"배송이 빨라요\", \"별로\"]\n", "line 1: expected an object"),
        ("[[1, \"가\"], [2, \"나\"]]", "line 1: expected an object"),
        (
            "{\n  \"total\": 2\n}\n",
            "line 1: column 1: EOF while parsing an object (expected one object a line, or an array of objects)",
        ),
        ("<html><body><table><tr><td>좋아요</td></tr></table></body></html>", "the file is an HTML or XML page"),
        ("<!DOCTYPE html>\n<table>", "the file is an HTML or XML page"),
    ] {
        assert!(refusal(text.as_bytes()).starts_with(expected), "{text}: {}", refusal(text.as_bytes()));
    }
    let list = open("{\"id\": \"가\", \"tags\": [\"나\"]}\n".as_bytes(), &Options::default()).unwrap();
    assert_eq!(values(&list, 1, 10).unwrap_err().to_string(), "the column holds lists, expected text");
    let options = Options { sheet: Some("1월".to_owned()), ..Options::default() };
    let message = open("문장\n가\n".as_bytes(), &options).unwrap_err().to_string();
    assert_eq!(message, "sheet \"1월\" is asked for, and the file is no .xlsx workbook");
    assert_eq!(read("[\"인용\"으로 시작한다.\n비가 온다.\n").2, ["[\"인용\"으로 시작한다.", A]);
}

#[test]
fn without_a_header_no_row_is_lost() {
    let (layout, column, rows) = read("1,비가 온다.,가\n2,눈이 온다.,나\n");
    assert_eq!((layout.has_header, column.as_str()), (false, "1"));
    assert_eq!(rows, [A, B]);
    let (layout, column, rows) = read("비가 온다.\n눈이 온다.\n");
    assert_eq!((layout.has_header, column.as_str()), (false, "0"));
    assert_eq!(rows, [A, B]);
}

#[test]
fn words_over_what_are_none_are_a_header() {
    for text in [
        "글,조회\n비가 온다.,10\n눈이 온다.,20\n",
        "글,쓴날\n비가 온다.,2026-11-28\n눈이 온다.,2026-11-29\n",
        "글,보낸이\n비가 온다.,a@example.com\n눈이 온다.,b@example.com\n",
    ] {
        let (layout, column, rows) = read(text);
        assert_eq!((layout.has_header, column.as_str(), rows.len()), (true, "글", 2), "{text}");
    }
}

#[test]
fn the_column_of_reviews_is_found_among_those_of_a_shop() {
    let header = "작성일,주문번호,상품명,별점,리뷰";
    let rows = "2026-11-01,A-1,빨간 운동화,5,색이 곱고 발이 편해요\n2026-11-02,A-2,빨간 운동화,1,두 주 만에 밑창이 떨어졌어요\n";
    let expected = ["색이 곱고 발이 편해요", "두 주 만에 밑창이 떨어졌어요"];
    let text = format!("{header}\n{rows}");
    let decomposed = text.replace("리뷰", "\u{1105}\u{1175}\u{1107}\u{1172}"); // as macOS writes it
    for (text, column) in [(&text, "리뷰"), (&decomposed, "\u{1105}\u{1175}\u{1107}\u{1172}")] {
        let (_, found, sentences) = read(text);
        assert_eq!((found.as_str(), sentences), (column, expected.map(str::to_owned).to_vec()));
    }
    // By what the values look like, where no name tells.
    assert_eq!(read(&text.replace("리뷰", "고객님 말씀")).1, "고객님 말씀");
    assert_eq!(read(&text.replace("리뷰", "고객님 말씀").replace("상품명", "무엇")).1, "고객님 말씀");
    for (header, column) in [
        ("닉네임,상품명,리뷰내용,평점", "리뷰내용"),
        ("닉네임,상품명,고객 후기,평점", "고객 후기"),
        ("user_name,product,Review Text,rating", "Review Text"),
        ("작성자,제목,본문,점수", "본문"),
    ] {
        let text =
            format!("{header}\n구름,빨간 운동화,색이 곱고 발이 편해요,5\n바람,파란 운동화,밑창이 떨어졌어요,1\n");
        assert_eq!(read(&text).1, column);
    }
}

#[test]
fn dates_codes_and_addresses_are_no_sentences_however_long() {
    let row = |n: usize| {
        format!(
            "2026년 11월 {n}일 오전 10시 30분,https://example.com/reviews/{n}/of/a/product,KR-2026-{n:08},좋아요 {n}번\n"
        )
    };
    let text: String = (1..20).map(row).collect();
    assert_eq!(read(&text).1, "3");
}

#[test]
fn names_of_products_that_repeat_are_no_sentences() {
    let row = |n: usize| {
        format!(
            "봄맞이 특가 남성용 초경량 런닝화 블랙 280,{}\n",
            ["좋아요 정말", "색이 고와요", "편해요 아주", "발이 아파요"][n % 4].to_owned() + &"!".repeat(n)
        )
    };
    let text: String = (0..20).map(row).collect();
    assert_eq!(read(&format!("무엇,어땠나\n{text}")).1, "1", "both are words, so there is no header to know");
}

#[test]
fn of_two_columns_that_could_be_meant_none_is_chosen() {
    let pairs = "sentence1,sentence2,score\n비가 온다.,비가 내린다.,4.5\n밥을 먹었다.,눈이 온다.,0\n";
    let Err(Error::Unclear { problem, columns }) = sentences(pairs.as_bytes(), None, &Options::default()).map(drop)
    else {
        panic!()
    };
    assert_eq!(problem, "columns \"sentence1\" and \"sentence2\" both look like sentences");
    let told: Vec<_> = columns.iter().map(|column| (column.name.as_str(), column.first.as_str())).collect();
    assert_eq!(told, [("sentence1", A), ("sentence2", "비가 내린다."), ("score", "4.5")]);
    for text in ["날짜,값\n2026-11-28,1\n2026-11-29,2\n", "id,code\n1,A-1\n2,A-2\n"] {
        assert!(
            refusal(text.as_bytes()).starts_with("no column looks like sentences: name the column; the file has "),
            "{text}"
        );
    }
    // Three names are older than this rule: the first of them is meant.
    assert_eq!(read("text,sentence\n가나다,비가 온다.\n라마바,눈이 온다.\n").1, "sentence");
}

#[test]
fn commas_within_sentences_do_not_make_columns() {
    for rows in [["밥을 먹고, 잤다.", A, "가, 나, 다."], ["비가, 온다.", "눈이, 온다.", "밥을, 먹었다."]]
    {
        let (layout, _, found) = read(&(rows.join("\n") + "\n"));
        assert_eq!((layout.delimiter, layout.has_header), (Delimiter::None, false));
        assert_eq!(found, rows);
    }
}

#[test]
fn a_line_of_names_in_prose_makes_no_header_of_it() {
    for text in
        ["배송이 빨라요\n디자인, 가격\n", "배송이 빨라요\n디자인, 가격\n색상, 좋아요\n", "배송이 빨라요\n질문,내용\n"]
    {
        let (layout, _, rows) = read(text);
        assert_eq!((layout.delimiter, rows.join("\n") + "\n"), (Delimiter::None, text.to_owned()));
    }
    let (layout, column, rows) = read("id,리뷰\n1,좋아요\n2,\"배송; 시간\"\n");
    assert_eq!((layout.delimiter, column.as_str()), (Delimiter::Comma, "리뷰"));
    assert_eq!(rows, ["좋아요", "배송; 시간"]);
    // A header of two lines in one cell is one header.
    let (_, column, rows) = read("\"리뷰\n내용\",번호\n좋아요,1\n별로예요,2\n");
    assert_eq!((column.as_str(), rows), ("리뷰\n내용", vec!["좋아요".to_owned(), "별로예요".to_owned()]));
    // Whoever says that there is no header has no title either.
    let options = Options { has_header: Some(false), ..Options::default() };
    let (_, _, rows) = sentences("11월의 목록;\n번호;리뷰\n1;비가 온다.\n".as_bytes(), Some("1"), &options).unwrap();
    assert_eq!(rows, ["", "리뷰", A]);
}

#[test]
fn numbers_of_json_lose_no_digit() {
    let text = |numbers: [&str; 2]| numbers.map(|number| format!("{{\"n\": {number}, \"text\": \"x\"}}\n")).concat();
    for (numbers, expected) in [
        (["12345678901234567890", "1"], ["12345678901234567890", "1"]),
        (["9007199254740993", "1.5"], ["9007199254740993", "1.5"]),
        (["1", "2.5"], ["1.0", "2.5"]),
        (["true", "\"x\""], ["true", "x"]),
        (["null", "3"], ["", "3"]),
    ] {
        let table = open(text(numbers).as_bytes(), &Options::default()).unwrap();
        assert_eq!(values(&table, 0, 10).unwrap(), expected, "{numbers:?}");
    }
    for (numbers, expected) in [
        (["[1]", "2"], "line 2: field \"n\": a value here and a list before: that cannot be one column"),
        (["1", "{\"b\": 1}"], "line 2: field \"n\": an object here and a value before: that cannot be one column"),
    ] {
        assert_eq!(refusal(text(numbers).as_bytes()), expected);
    }
}

#[test]
fn an_odd_row_is_named_and_never_makes_sentences_of_lines() {
    assert_eq!(
        refusal("id,리뷰\n1,좋아요\n2,배송이 빨라서, 좋아요\n3,별로\n".as_bytes()),
        "line 3: 3 fields, expected 2 as in the first row"
    );
    for bad in [3, 150, 201, 5000] {
        for (header, delimiter) in [("번호,누가 뭐라나", ','), ("a\tb", '\t'), ("번호;리뷰", ';')] {
            let row = |n: usize| {
                format!("{n}{delimiter}{}\n", if n == bad { format!("가{delimiter}나") } else { "좋아요".into() })
            };
            let text = format!("{header}\n") + &(1..6000).map(row).collect::<String>();
            assert_eq!(refusal(text.as_bytes()), format!("line {}: 3 fields, expected 2 as in the first row", bad + 1));
        }
    }
    assert_eq!(refusal("문장,id\n가,1\n\n나\n".as_bytes()), "line 4: 1 fields, expected 2 as in the first row");
}

#[test]
fn quotes_enclose_fields_where_all_of_the_file_says_so() {
    let (_, _, rows) = read("sentence,id\n\"첫 줄\r\n둘째, 줄\",1\n\"그가 \"\"왜?\"\"라고 했다.\",2\n");
    assert_eq!(rows, ["첫 줄\r\n둘째, 줄", "그가 \"왜?\"라고 했다."], "what stands in a field stays as it is");
    let (_, _, rows) = read("id\t문장\n1\t\"두 줄\n짜리 문장\"\n2\t\"\"\"좋다\"\"고 했다.\"\n3\t비가 온다.\n");
    assert_eq!(rows, ["두 줄\n짜리 문장", "\"좋다\"고 했다.", A]);
    let (_, _, rows) = read("\"text\"\n\"비가 온다.\"\n\"밥을 먹고, 잤다.\"\n");
    assert_eq!(rows, [A, "밥을 먹고, 잤다."]);
}

#[test]
fn quotes_are_text_in_tsv_and_lines_that_no_spreadsheet_wrote() {
    let (layout, _, rows) = read("\"안녕\"이라고 그가 말했다.\n\"그는 떠났다.\n비가 온다.\n");
    assert_eq!(layout.delimiter, Delimiter::None);
    assert_eq!(rows, ["\"안녕\"이라고 그가 말했다.", "\"그는 떠났다.", A]);
    let (_, _, rows) = read("id\t문장\n1\t\"안녕\"이라고 그가 말했다.\n2\t\"그는 떠났다.\n3\t비가 온다.\n");
    assert_eq!(rows, ["\"안녕\"이라고 그가 말했다.", "\"그는 떠났다.", A]);
    // Two lone quotes, one in each of two rows, do not make one of them.
    let (_, _, rows) = read("id\t문장\n1\t\"그는\n2\t떠났다\"\n3\t비가 온다.\n");
    assert_eq!(rows, ["\"그는", "떠났다\"", A]);
    let (_, _, rows) = read("\"그는\n떠났다\"\n비가 온다.\n");
    assert_eq!(rows, ["\"그는", "떠났다\"", A]);
    let (_, _, rows) = read("리뷰\n\"두 줄\n짜리\"\n비가 온다.\n"); // a spreadsheet's only column
    assert_eq!(rows, ["두 줄\n짜리", A]);
    // A quote within a line of a file that encloses another: a spreadsheet would have enclosed both.
    let (_, _, rows) = read("그는 \"네\"라고 했다.\n\"비가 온다.\"\n");
    assert_eq!(rows, ["그는 \"네\"라고 했다.", "\"비가 온다.\""]);
}

#[test]
fn a_quote_that_comes_late_decides_for_the_whole_file() {
    let text = format!("문장\n\"비가 온다.\"\n{}\"안녕\"이라고 그가 말했다.\n", "눈이 온다.\n".repeat(100_000));
    let (_, _, rows) = read(&text);
    assert_eq!((rows.len(), rows[0].as_str()), (100_002, "\"비가 온다.\""));
}

#[test]
fn doubtful_quotes_of_a_comma_separated_file_are_named() {
    for (text, expected) in [
        ("문장,id\n\"가\n나\",1\n\"다,2\n라,3\n", "line 4: a quote opens a field and no quote closes it"),
        ("문장,id\n가,1\n\"나\" 다,2\n", "line 3: text after the quote that closes a field"),
        ("문장;id\n가;1\n\"나\" 다;2\n", "line 3: text after the quote that closes a field"),
    ] {
        assert!(refusal(text.as_bytes()).starts_with(expected), "{text}: {}", refusal(text.as_bytes()));
    }
    let (_, _, rows) = read("문장,id\n6\" 피자,1\n그는 \"네\"라고 했다.,2\n");
    assert_eq!(rows, ["6\" 피자", "그는 \"네\"라고 했다."]);
}

#[test]
fn files_are_read_in_the_encodings_that_korean_spreadsheets_save() {
    let text = "id,문장\r\n1,뷁을 쓴다.\r\n2,눈이 온다.\r\n"; // 뷁: in CP949, not in EUC-KR proper
    let utf16 = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(bytes).collect()
    };
    for (encoding, bytes) in [
        ("UTF-8", text.as_bytes().to_vec()),
        ("UTF-8", [b"\xEF\xBB\xBF", text.as_bytes()].concat()),
        ("CP949", cp949(text)),
        ("UTF-16LE", utf16(u16::to_le_bytes)),
        ("UTF-16BE", utf16(u16::to_be_bytes)),
    ] {
        let (table, column, rows) = sentences(&bytes, None, &Options::default()).unwrap();
        assert_eq!((table.layout().encoding, column.as_str()), (encoding, "문장"));
        assert_eq!(rows, ["뷁을 쓴다.", B], "{encoding}");
    }
    let late = cp949(&format!("text\n{}비가 온다.\n", "plain words\n".repeat(20_000)));
    let (table, _, rows) = sentences(&late, None, &Options::default()).unwrap();
    assert_eq!((table.layout().encoding, rows.len(), rows[20_000].as_str()), ("CP949", 20_001, A));
}

#[test]
fn utf8_with_a_broken_byte_is_not_read_as_another_text() {
    let good = "비가 많이 온다. 그래서 집에 있다.\n".repeat(50);
    for (at, line) in [(good.len() - 1, 50), (5 * 47 + 1, 6)] {
        let mut bytes = good.clone().into_bytes();
        bytes.insert(at, 0xEB);
        let message = refusal(&bytes);
        assert!(message == format!("line {line}: not UTF-8"), "{message}");
    }
}

#[test]
fn every_line_end_is_one_and_blank_rows_keep_their_place() {
    for end in ["\n", "\r\n", "\r"] {
        assert_eq!(read(&["문장", "가", "", "나"].join(end)).2, ["가", "", "나"], "{end:?}");
    }
    for end in ["\n", "\r\n", "\r"] {
        let text = "sep=,\nid,sentence\n1,\"가\n\n나\"\n2,\n,\n\n  \n5,마\n\n".replace('\n', end);
        let inner = format!("가{end}{end}나");
        assert_eq!(read(&text).2, [inner.as_str(), "", "", "", "", "마", ""], "{end:?}");
        let bad = format!("{text}1,2,3{end}");
        assert_eq!(refusal(bad.as_bytes()), "line 12: 3 fields, expected 2 as in the first row", "{end:?}");
    }
    assert_eq!(read(&format!("text\n{A}\n\n{B}\n")).2, [A, "", B]);
}

#[test]
fn a_column_is_found_by_name_or_number() {
    let text = "id,question,answer\n1,가,나\n";
    let by = |asked: &str| sentences(text.as_bytes(), Some(asked), &Options::default()).map(|(_, _, rows)| rows);
    assert_eq!(
        (by("answer").unwrap(), by("1").unwrap(), by("Question ").unwrap()),
        (vec!["나".into()], vec!["가".into()], vec!["가".into()])
    );
    assert_eq!(
        by("문장").unwrap_err().to_string(),
        r#"column "문장" is not in the file; it has "id", "question", "answer""#
    );
    assert_eq!(by("3").unwrap_err().to_string(), r#"column "3" is not in the file; it has "id", "question", "answer""#);
    // A number counts columns, though a cell of a file without a header holds it.
    for (text, asked) in [("1,비가 온다.\n2,눈이 온다.\n", "1"), ("비가 온다.,0\n눈이 온다.,1\n", "0")]
    {
        let options = Options { names: vec![asked.to_owned()], ..Options::default() };
        let (table, _, rows) = sentences(text.as_bytes(), Some(asked), &options).unwrap();
        assert_eq!((table.layout().has_header, rows), (false, vec![A.to_owned(), B.to_owned()]), "{text}");
    }
    // A name that is asked for makes a header of the row that holds it.
    let options = Options { names: vec!["아무말".to_owned()], ..Options::default() };
    let (table, _, rows) = sentences("번째,아무말\n하나,비가 온다.\n".as_bytes(), Some("아무말"), &options).unwrap();
    assert_eq!((table.layout().has_header, rows), (true, vec![A.to_owned()]));
}

#[test]
fn the_caller_knows_better_whether_there_is_a_header() {
    let read =
        |has_header| sentences("text\n가\n".as_bytes(), None, &Options { has_header, ..Options::default() }).unwrap().2;
    assert_eq!(read(None), ["가"]);
    assert_eq!(read(Some(false)), ["text", "가"]);
    assert_eq!(read(Some(true)), ["가"]);
    assert_eq!(sentences("id,문장\n".as_bytes(), None, &Options::default()).unwrap().2, Vec::<String>::new());
}

#[test]
fn json_is_read_by_lines_and_as_an_array() {
    for text in [
        format!("\u{FEFF}{{\"id\": 1, \"text\": \"{A}\"}}\n{{\"id\": 2, \"text\": \"{B}\"}}\n"),
        format!("{{\"id\": 1, \"text\": \"{A}\"}}\r{{\"id\": 2, \"text\": \"{B}\"}}\r"),
        format!("\n{{\"id\": 1, \"text\": \"{A}\"}}\r\n\r\n{{\"id\": 2.5, \"text\": \"{B}\", \"more\": []}}"),
        format!("[\n  {{\"id\": 1,\n   \"text\": \"{A}\"}},\n  {{\"id\": \"\\\"}}\", \"text\": \"{B}\"}}\n]\n"),
    ] {
        let (layout, column, rows) = read(&text);
        assert_eq!(
            (layout.format, column.as_str(), rows),
            (Format::JsonLines, "text", vec![A.to_owned(), B.to_owned()]),
            "{text}"
        );
    }
    let table = open(
        format!("{{\"z\": null, \"text\": \"{A}\", \"b\": 1}}\n{{\"text\": null, \"a\": true}}\n").as_bytes(),
        &Options::default(),
    )
    .unwrap();
    let names: Vec<&str> = table.columns().iter().map(|column| column.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["z", "text", "b", "a"], "in the order in which they appear");
    assert_eq!(values(&table, 0, 10).unwrap(), ["", ""], "null throughout");
    assert_eq!(values(&table, 1, 10).unwrap(), [A, ""]);
    assert_eq!(sentences(&cp949(&format!("{{\"text\": \"{A}\"}}\n")), None, &Options::default()).unwrap().2, [A]);
    // A sentence may begin with a bracket.
    assert_eq!(read("[속보] 비가 온다.\n{가} 눈이 온다.\n").2, ["[속보] 비가 온다.", "{가} 눈이 온다."]);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let long = format!("문장\n\"{}\"\n", "가".repeat(400_000));
    let many = [b"id,text\n".as_slice(), &b"1,abc\n".repeat(20_000), &[b','; 20_000]].concat();
    for (bytes, expected) in [
        (b"".to_vec(), "the file is empty"),
        (b"\xEF\xBB\xBF".to_vec(), "the file is empty"),
        (b"\n \n\r\n".to_vec(), "the file is empty"),
        (b"PK\x03\x04....".to_vec(), "not a readable .xlsx workbook: invalid Zip archive: Could not find EOCD"),
        (b"\xD0\xCF\x11\xE0....".to_vec(), "the file is a workbook of an old form (.xls): save it as .xlsx or CSV"),
        (b"\x1F\x8B\x08....".to_vec(), "the file is compressed: unpack it first"),
        (
            b"a,b\0\n".to_vec(),
            "the file is not text: it holds zero bytes; expected UTF-8, CP949, or UTF-16 with a byte order mark",
        ),
        (
            "\u{FEFF}a\n\0b\n".encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "the file is not text: it holds the character U+0000",
        ),
        (b"text\nabc\n\xFF\xFE\xFF\n".to_vec(), "line 3: not UTF-8, and not CP949 either"),
        (b"\xEF\xBB\xBFtext\nabc\n\xB0\xA1\n".to_vec(), "line 3: not UTF-8"),
        (
            "sentence1,sentence2\n비가, 온다,눈\n가,나\n".as_bytes().to_vec(),
            "line 2: 3 fields, expected 2 as in the first row",
        ),
        (long.into_bytes(), "line 2: a row of more than 1048576 bytes"),
        (many, "line 20002: 20001 fields, expected 2 as in the first row"),
        (
            b"{\"text\": \"a\"}\n{\"text\": \n".to_vec(),
            "line 2: column 9: EOF while parsing a value (expected one object a line, or an array of objects)",
        ),
        (b"{\"text\": \"a\"}\n\n[1]\n".to_vec(), "line 3: expected an object"),
        (b"[{\"text\": \"a\"},\n{\"text\": \"b\"}\n".to_vec(), "line 3: the array is cut off, expected `]`"),
        (b"[{\"text\": \"a\"},\n{\"text\": \"b\"\n".to_vec(), "line 2: the object is cut off, expected `}`"),
        (b"[{\"text\": \"a\"}] b".to_vec(), "line 1: text after the array's `]`"),
        (b"[]".to_vec(), "the file is empty"),
        (b"PAR1".to_vec(), "not a whole Parquet file: "),
    ] {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        let message = refusal(&bytes);
        assert!(
            message == expected || expected.ends_with(": ") && message.starts_with(expected),
            "{shown:?}: {message}"
        );
    }
}

#[test]
fn a_bomb_of_quotes_ends_in_rows_or_an_error() {
    for count in [1, 2, 3, 999_999, 1_000_000, 3_000_001] {
        let read = sentences(&vec![b'"'; count], None, &Options::default());
        assert!(read.is_err() || read.unwrap().2.len() <= 1, "{count}");
    }
}

#[test]
fn sentences_that_are_lines_are_all_there() {
    // A column of a set that is full of quotes, as one file of lines and as each form of table.
    let lines: Vec<String> = (0..3000)
        .map(|n| match n % 5 {
            0 => format!("\"{n}번 문장\"이라고 그가 말했다."),
            1 => format!("그는 \"{n}\"라고 적었다."),
            2 => format!("\"{n}번 문장이 열리고"),
            3 => format!("{n}번 문장이 닫힌다\""),
            _ => format!("{n}번, 그리고 {C}"),
        })
        .collect();
    assert_eq!(read(&(lines.join("\n") + "\n")).2, lines);
    let tsv: String = lines.iter().enumerate().map(|(n, line)| format!("{n}\t{line}\n")).collect();
    assert_eq!(read(&format!("번호\t문장\n{tsv}")).2, lines);
    let quoted = |line: &String| format!("\"{}\"", line.replace('"', "\"\""));
    let csv: String = lines.iter().enumerate().map(|(n, line)| format!("{n},{}\n", quoted(line))).collect();
    assert_eq!(read(&format!("번호,문장\n{csv}")).2, lines);
}
