//! How files of every form are read.

use std::io::Cursor;

use super::*;

fn open(bytes: &[u8], options: &Options) -> Result<(Layout, Vec<String>), Error> {
    let rows = Rows::open(Cursor::new(bytes.to_vec()), options)?;
    let layout = rows.layout().clone();
    Ok((layout, rows.collect::<Result<_, _>>()?))
}

fn read(bytes: &[u8]) -> (Layout, Vec<String>) {
    open(bytes, &Options::default()).unwrap()
}

fn cp949(text: &str) -> Vec<u8> {
    encoding_rs::EUC_KR.encode(text).0.into_owned()
}

fn named(index: usize, name: &str) -> Column {
    Column { index, name: Some(name.to_owned()) }
}

#[test]
fn a_header_names_the_column_of_sentences() {
    for (text, delimiter, column) in [
        ("id,sentence\n1,비가 온다.\n2,눈이 온다.\n", Delimiter::Comma, named(1, "sentence")),
        ("번호\t문장\n1\t비가 온다.\n2\t눈이 온다.\n", Delimiter::Tab, named(1, "문장")),
        ("Text;score\n비가 온다.;1\n눈이 온다.;2\n", Delimiter::Semicolon, named(0, "Text")),
        ("문장\n비가 온다.\n눈이 온다.\n", Delimiter::None, named(0, "문장")),
    ] {
        let (layout, rows) = read(text.as_bytes());
        assert_eq!(layout, Layout { encoding: "UTF-8", delimiter, has_header: true, column }, "{text}");
        assert_eq!(rows, ["비가 온다.", "눈이 온다."], "{text}");
    }
}

#[test]
fn without_a_header_the_first_column_of_text_is_read_and_no_row_is_lost() {
    let (layout, rows) = read("1,비가 온다.,가\n2,눈이 온다.,나\n".as_bytes());
    assert_eq!((layout.has_header, layout.column), (false, Column { index: 1, name: None }));
    assert_eq!(rows, ["비가 온다.", "눈이 온다."]);
}

#[test]
fn a_word_over_numbers_is_a_header() {
    let (layout, rows) = read("글,조회\n비가 온다.,10\n눈이 온다.,20\n".as_bytes());
    assert_eq!((layout.has_header, layout.column), (true, named(0, "글")));
    assert_eq!(rows.len(), 2);
}

#[test]
fn commas_within_sentences_do_not_make_columns() {
    let (layout, rows) = read("밥을 먹고, 잤다.\n비가 온다.\n가, 나, 다.\n".as_bytes());
    assert_eq!((layout.delimiter, layout.has_header), (Delimiter::None, false));
    assert_eq!(rows, ["밥을 먹고, 잤다.", "비가 온다.", "가, 나, 다."]);
}

#[test]
fn quotes_hold_delimiters_newlines_and_quotes() {
    let (_, rows) = read("sentence,id\n\"첫 줄\r\n둘째, 줄\",1\n\"그가 \"\"왜?\"\"라고 했다.\",2\n".as_bytes());
    assert_eq!(rows, ["첫 줄\n둘째, 줄", "그가 \"왜?\"라고 했다."]);
}

#[test]
fn korean_spreadsheets_are_read_in_the_encodings_that_they_save() {
    let text = "id,문장\r\n1,뷁을 쓴다.\r\n2,눈이 온다.\r\n"; // 뷁: in CP949, not in EUC-KR proper
    let utf16: Vec<u8> = std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for (encoding, bytes) in [
        ("UTF-8", text.as_bytes().to_vec()),
        ("UTF-8", [b"\xEF\xBB\xBF", text.as_bytes()].concat()),
        ("CP949", cp949(text)),
        ("UTF-16LE", utf16),
    ] {
        let (layout, rows) = read(&bytes);
        assert_eq!((layout.encoding, layout.column), (encoding, named(1, "문장")));
        assert_eq!(rows, ["뷁을 쓴다.", "눈이 온다."], "{encoding}");
    }
}

#[test]
fn korean_that_comes_late_in_the_file_is_decoded_too() {
    let text = format!("text\n{}비가 온다.\n", "plain words\n".repeat(20_000));
    let (layout, rows) = read(&cp949(&text));
    assert_eq!(layout.encoding, "CP949");
    assert_eq!((rows.len(), rows[20_000].as_str()), (20_001, "비가 온다."));
}

#[test]
fn every_line_end_is_one() {
    for end in ["\n", "\r\n", "\r"] {
        let (_, rows) = read(["문장", "가", "", "나"].join(end).as_bytes());
        assert_eq!(rows, ["가", "", "나"], "{end:?}");
    }
}

#[test]
fn rows_that_are_empty_keep_their_place() {
    let (_, rows) = read("id,sentence\n1,가\n2,\n,\n\n5,마\n".as_bytes());
    assert_eq!(rows, ["가", "", "", "", "마"]);
}

#[test]
fn a_number_counts_columns_though_a_cell_holds_it() {
    for (text, column) in [("1,비가 온다.\n2,눈이 온다.\n", "1"), ("비가 온다.,0\n눈이 온다.,1\n", "0")]
    {
        let options = Options { column: Some(column.to_owned()), has_header: None };
        let (layout, rows) = open(text.as_bytes(), &options).unwrap();
        assert!(!layout.has_header, "{text}");
        assert_eq!(rows, ["비가 온다.", "눈이 온다."]);
    }
}

#[test]
fn a_column_is_found_by_name_or_number() {
    let text = "id,question,answer\n1,가,나\n".as_bytes();
    let by = |column: &str| open(text, &Options { column: Some(column.to_owned()), has_header: None });
    assert_eq!(by("answer").unwrap().1, ["나"]);
    assert_eq!(by("1").unwrap().1, ["가"]);
    let message = by("문장").unwrap_err().to_string();
    assert_eq!(message, r#"column "문장" is not in the file; it has "id", "question", "answer""#);
    let message = by("3").unwrap_err().to_string();
    assert!(message.starts_with("column \"3\" is not in the file"), "{message}");
}

#[test]
fn the_client_knows_better_whether_there_is_a_header() {
    let read = |has_header| open("text\n가\n".as_bytes(), &Options { column: None, has_header }).unwrap().1;
    assert_eq!(read(None), ["가"]);
    assert_eq!(read(Some(false)), ["text", "가"]);
    assert_eq!(read(Some(true)), ["가"]);
}

#[test]
fn a_file_with_only_a_header_has_no_rows() {
    assert_eq!(read("id,문장\n".as_bytes()).1, Vec::<String>::new());
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let long = format!("문장\n\"{}\"\n", "가".repeat(400_000));
    let many_fields = [b"id,text\n".as_slice(), &b"1,abc\n".repeat(20_000), &[b','; 20_000]].concat();
    for (bytes, expected) in [
        (b"".to_vec(), "the file is empty"),
        (b"PK\x03\x04....".to_vec(), "the file is a workbook or a ZIP archive: save it as CSV"),
        (b"a,b\0\n".to_vec(), "the file is not text: it holds zero bytes; expected UTF-8 or CP949"),
        (b"text\nabc\n\xFF\xFE\xFF\n".to_vec(), "line 3: not UTF-8, and not CP949 either"),
        (b"\xEF\xBB\xBFtext\nabc\n\xB0\xA1\n".to_vec(), "line 3: not UTF-8"),
        ("문장,id\n가,1\n\n나\n".as_bytes().to_vec(), "line 4: 1 fields, expected 2 as in the first row"),
        (
            "sentence1,sentence2\n비가, 온다,눈\n가,나\n".as_bytes().to_vec(),
            "line 2: 3 fields, expected 2 as in the first row",
        ),
        (
            "문장,id\n\"가\n나\",1\n\"다,2\n라,3\n".as_bytes().to_vec(),
            "line 4: a quote opens a field and no quote closes it",
        ),
        (long.into_bytes(), "line 2: a row of more than 1048576 bytes"),
        (many_fields, "line 20002: a row of more than 16384 fields"),
    ] {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        assert_eq!(open(&bytes, &Options::default()).unwrap_err().to_string(), expected, "{shown:?}");
    }
}

#[test]
fn a_bomb_of_quotes_ends_in_an_error() {
    for count in [1, 2, 3, 999_999, 1_000_000, 3_000_001] {
        let read = open(&vec![b'"'; count], &Options::default());
        assert!(read.is_err() || read.unwrap().1.len() <= 1, "{count}");
    }
}
