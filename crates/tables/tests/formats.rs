//! Workbooks and Parquet, as other programs write them.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::{
    io::{Cursor, Write},
    sync::Arc,
};

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use parquet::arrow::ArrowWriter;
use tables::{Error, Format, Options, Source, Table};
use zip::{ZipWriter, write::SimpleFileOptions};

/// A cell of a sheet: its place, and what stands in it as XML.
type Cell<'a> = (&'a str, &'a str);

fn text(text: &str) -> String {
    format!("<is><t>{text}</t></is>")
}

/// A workbook of sheets with rows of cells; a cell that begins with `<is>` is a text, else a number, or a date where it is
/// marked by `d`.
fn workbook(sheets: &[(&str, &[&[Cell<'_>]])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut file = |name: &str, content: &str| {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    };
    const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let list: String = (1..)
        .zip(sheets)
        .map(|(id, (name, _))| format!("<sheet name=\"{name}\" sheetId=\"{id}\" r:id=\"rId{id}\"/>"))
        .collect();
    file(
        "_rels/.rels",
        &format!(
            "{HEAD}<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
             <Relationship Id=\"rId1\" Type=\"{RELATIONS}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
        ),
    );
    file(
        "xl/workbook.xml",
        &format!("{HEAD}<workbook xmlns=\"{MAIN}\" xmlns:r=\"{RELATIONS}\"><sheets>{list}</sheets></workbook>"),
    );
    let list: String = (1..=sheets.len())
        .map(|id| {
            format!("<Relationship Id=\"rId{id}\" Type=\"{RELATIONS}/worksheet\" Target=\"worksheets/sheet{id}.xml\"/>")
        })
        .collect();
    file(
        "xl/_rels/workbook.xml.rels",
        &format!(
            "{HEAD}<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">{list}</Relationships>"
        ),
    );
    file(
        "xl/styles.xml",
        &format!(
            "{HEAD}<styleSheet xmlns=\"{MAIN}\"><cellXfs count=\"2\"><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/></cellXfs></styleSheet>"
        ),
    );
    for (id, (_, rows)) in (1..).zip(sheets) {
        let rows: String = rows
            .iter()
            .map(|cells| {
                let row: String = cells[0].0.chars().filter(char::is_ascii_digit).collect();
                let cells: String = cells
                    .iter()
                    .map(|(place, content)| match content.strip_prefix('d') {
                        _ if content.starts_with("<is>") => format!("<c r=\"{place}\" t=\"inlineStr\">{content}</c>"),
                        Some(number) => format!("<c r=\"{place}\" s=\"1\"><v>{number}</v></c>"),
                        None => format!("<c r=\"{place}\"><v>{content}</v></c>"),
                    })
                    .collect();
                format!("<row r=\"{row}\">{cells}</row>")
            })
            .collect();
        file(
            &format!("xl/worksheets/sheet{id}.xml"),
            &format!("{HEAD}<worksheet xmlns=\"{MAIN}\"><sheetData>{rows}</sheetData></worksheet>"),
        );
    }
    zip.finish().unwrap().into_inner()
}

/// A workbook with one more part.
fn with_part(workbook: Vec<u8>, name: &str, content: &str) -> Vec<u8> {
    let mut zip = ZipWriter::new_append(Cursor::new(workbook)).unwrap();
    zip.start_file(name, SimpleFileOptions::default()).unwrap();
    zip.write_all(content.as_bytes()).unwrap();
    zip.finish().unwrap().into_inner()
}

fn open(bytes: Vec<u8>, options: &Options) -> Result<Table, Error> {
    Table::open(Source::memory(bytes), options)
}

/// All rows as text, with their numbers.
fn rows(table: &Table) -> Vec<(u64, Vec<String>)> {
    let all: Vec<usize> = (0..table.columns().len()).collect();
    let mut rows = Vec::new();
    for batch in table.batches(&all, 2, None).unwrap() {
        let batch = batch.unwrap();
        let columns: Vec<_> = batch.rows.columns().iter().map(|column| tables::texts(column).unwrap()).collect();
        for (row, line) in batch.lines.into_iter().enumerate() {
            let cell = |column: &arrow_array::LargeStringArray| {
                if column.is_null(row) { "-".to_owned() } else { column.value(row).to_owned() }
            };
            rows.push((line, columns.iter().map(cell).collect()));
        }
    }
    rows
}

fn reviews() -> Vec<u8> {
    let (header, good, bad) = (text("리뷰"), text("색이 곱고\n\"편해요\""), text("밑창이 떨어졌어요"));
    let date = text("작성일");
    let other = text("다른 장");
    workbook(&[
        (
            "목록",
            &[
                &[("A1", &date), ("B1", &text("별점")), ("C1", &header)],
                &[("A2", "d46354"), ("B2", "5"), ("C2", &good)],
                &[("A4", "d46355.5"), ("C4", &bad)],
                &[("A5", "d46356"), ("B5", "4.5")],
            ],
        ),
        ("둘째", &[&[("A1", &text("문장"))], &[("A2", &other)]]),
    ])
}

#[test]
fn a_sheet_of_a_workbook_is_a_table() {
    let table = open(reviews(), &Options::default()).unwrap();
    assert_eq!((table.layout().format, table.layout().has_header), (Format::Workbook, true));
    assert_eq!(table.sentence_column().unwrap().name.as_deref(), Some("리뷰"));
    let row = |line: u64, cells: [&str; 3]| (line, cells.map(str::to_owned).to_vec());
    let expected = [
        row(2, ["2026-11-28", "5", "색이 곱고\n\"편해요\""]),
        row(3, ["-", "-", "-"]),
        row(4, ["2026-11-29 12:00:00", "-", "밑창이 떨어졌어요"]),
        row(5, ["2026-11-30", "4.5", "-"]),
    ];
    assert_eq!(rows(&table), expected);
    assert_eq!(table.sheet(), Some("목록"));
    let other = open(reviews(), &Options { sheet: Some("둘째".to_owned()), ..Options::default() }).unwrap();
    assert_eq!(rows(&other), [(2, vec!["다른 장".to_owned()])]);
}

#[test]
fn a_time_of_day_has_no_date_and_a_hidden_sheet_is_not_the_first() {
    let (header, sentence) = (text("리뷰"), text("편해요"));
    let times: &[&[Cell<'_>]] =
        &[&[("A1", &text("때")), ("B1", &header)], &[("A2", "d0.395833333333"), ("B2", &sentence)]];
    let table = open(workbook(&[("숨은\" state=\"hidden", times), ("시간", times)]), &Options::default()).unwrap();
    assert_eq!(table.sheet(), Some("시간"));
    assert_eq!(rows(&table), [(2, vec!["09:30:00".to_owned(), "편해요".to_owned()])]);
}

#[test]
fn a_title_above_the_header_belongs_to_no_row() {
    let (title, id, header, first) = (text("11월의 목록"), text("번호"), text("리뷰"), text("편해요"));
    let sheet: &[&[Cell<'_>]] = &[&[("A1", &title)], &[("A3", &id), ("B3", &header)], &[("A4", "1"), ("B4", &first)]];
    let table = open(workbook(&[("장", sheet)]), &Options::default()).unwrap();
    assert_eq!(rows(&table), [(4, vec!["1".to_owned(), "편해요".to_owned()])]);
    assert_eq!(table.sentence_column().unwrap().name.as_deref(), Some("리뷰"));
}

#[test]
fn a_workbook_that_cannot_be_read_is_one_clear_line() {
    let refusal = |bytes: Vec<u8>, options: &Options| open(bytes, options).unwrap_err().to_string();
    let sheet = Options { sheet: Some("셋째".to_owned()), ..Options::default() };
    assert_eq!(refusal(reviews(), &sheet), r#"sheet "셋째" is not in the workbook; it has "목록", "둘째""#);
    let small = Options { max_unpacked_bytes: Some(1000), ..Options::default() };
    assert_eq!(refusal(reviews(), &small), "the workbook has more than 1000 bytes unpacked");
    assert_eq!(refusal(workbook(&[("빈", &[])]), &Options::default()), "sheet \"빈\" is empty");
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("a.txt", SimpleFileOptions::default()).unwrap();
    let archive = zip.finish().unwrap().into_inner();
    assert!(refusal(archive, &Options::default()).starts_with("the file is a ZIP archive and no .xlsx workbook"));
    let claims = with_part(reviews(), "xl/sharedStrings.XML", "<sst count=\"1\" uniqueCount=\"40000000000\"></sst>");
    let message = refusal(claims, &Options::default());
    assert_eq!(message, "not a readable .xlsx workbook: it claims more texts than it can hold");
    let long = format!("<sst>{}</sst>", " ".repeat(100_000));
    let bound = Options { max_unpacked_bytes: Some(50_000), ..Options::default() };
    let message = refusal(with_part(reviews(), "xl/SharedStrings.Xml", &long), &bound);
    assert_eq!(message, "the workbook has more than 50000 bytes unpacked");
    let whole = reviews();
    for end in (4..whole.len()).step_by(7) {
        let message = refusal(whole[..end].to_vec(), &Options::default());
        assert!(!message.contains('\n'), "{end}: {message}");
    }
    // One cell in a far corner is no rectangle of a billion.
    let far = workbook(&[("먼", &[&[("A1", &text("문장"))], &[("XFD1048576", &text("구석"))]])]);
    let table = open(far, &Options::default()).unwrap();
    let rows: usize = table.batches(&[0], 10_000, None).unwrap().map(|batch| batch.unwrap().lines.len()).sum();
    assert_eq!((table.columns().len(), rows), (16_384, 1_048_575));
}

fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn parquet_keeps_its_types_and_gives_columns_in_the_order_asked_for() {
    let id: ArrayRef = Arc::new(Int64Array::from(vec![7, 8, 9]));
    let text: ArrayRef = Arc::new(StringArray::from(vec![Some("비가 온다."), None, Some("눈이 온다.")]));
    let bytes = parquet(&RecordBatch::try_from_iter([("id", id), ("text", text)]).unwrap());
    let table = open(bytes.clone(), &Options::default()).unwrap();
    assert_eq!((table.layout().format, table.sentence_column().unwrap().index), (Format::Parquet, 1));
    assert_eq!(table.schema().field(0).data_type(), &DataType::Int64);
    let batch = table.batches(&[1, 0], 10, None).unwrap().next().unwrap().unwrap();
    assert_eq!(
        batch.rows.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
        ["text", "id"]
    );
    assert_eq!(batch.lines, [1, 2, 3]);
    // Cut or changed anywhere, it is an error and no panic.
    for at in 4..bytes.len() {
        let mut broken = bytes.clone();
        broken[at] ^= 0xFF;
        for bytes in [broken, bytes[..at].to_vec()] {
            let Ok(table) = open(bytes, &Options::default()) else { continue };
            let all: Vec<usize> = (0..table.columns().len()).collect();
            if let Ok(batches) = table.batches(&all, 2, None) {
                batches.take_while(Result::is_ok).for_each(drop);
            }
        }
    }
}
