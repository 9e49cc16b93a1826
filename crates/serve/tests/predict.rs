//! `GET /predict` and `POST /predict`: the answers of the library, whatever the form of the file.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use common::{Direct, FORM, Server, assert_close, form, sentences};

const BASE: &str = "비가 온다.";

#[test]
fn the_score_of_a_pair_is_five_times_its_cosine() {
    let (server, direct) = (Server::start(&[]), Direct::load());
    for other in ["비가 내린다.", "밥을 먹었다.", BASE, "a\u{0}b & c=d?"] {
        let expected = direct.cosine(BASE, other);
        let answer = server.predict(BASE, other);
        assert_close(&answer.json()["cosine"], expected);
        assert_close(&answer.json()["score"], 5.0 * expected);
    }
}

#[test]
fn a_missing_empty_or_unreadable_sentence_is_refused() {
    let server = Server::start(&[]);
    assert!(server.get("/predict?sentence1=a").error(400).contains("sentence2"));
    assert_eq!(server.predict(BASE, " \n").error(400), "`sentence2` is empty");
    for bytes in ["%FF%FE", "%ED%A0%80", "%EB%B9"] {
        let path = format!("/predict?sentence1=a&sentence2={bytes}");
        assert_eq!(server.get(&path).error(400), "the query is not UTF-8");
    }
}

#[test]
fn every_row_of_a_file_has_its_score_by_its_index() {
    let (server, direct) = (Server::start(&[]), Direct::load());
    let rows = ["비가 내린다.", "", "밥을 먹었다.", "비가 내린다.", "\"쉼표, 따옴표\n줄\""];
    let text = format!("id,sentence\n{}", rows.iter().map(|row| format!("7,{row}\n")).collect::<String>());
    let answer = server.rank(text.as_bytes(), &[("base_sentence", BASE)]);
    let scores = answer.json();
    assert_eq!(scores.as_object().unwrap().len(), 5);
    assert!(scores["1"].is_null());
    for (index, row) in [(0, rows[0]), (2, rows[2]), (3, rows[3]), (4, "쉼표, 따옴표\n줄")] {
        assert_close(&scores[index.to_string()], 5.0 * direct.cosine(BASE, row));
    }
    let detected =
        ["x-csv-encoding", "x-csv-delimiter", "x-csv-header", "x-csv-column"].map(|name| answer.header(name));
    assert_eq!(detected, ["UTF-8", "comma", "true", "sentence"]);
}

#[test]
fn the_best_rows_come_first_with_their_sentences() {
    let (server, direct) = (Server::start(&[]), Direct::load());
    let rows = sentences(40);
    let text = format!("문장\n{}\n\n", rows.join("\n"));
    let fields = [("base_sentence", BASE), ("top_k", "3"), ("column", "문장"), ("has_header", "true")];
    let answer = server.rank(text.as_bytes(), &fields);
    assert_eq!(answer.header("x-csv-column"), "%EB%AC%B8%EC%9E%A5");
    let best = answer.json()["results"].as_array().unwrap().clone();
    let mut expected: Vec<(usize, f64)> =
        rows.iter().enumerate().map(|(index, row)| (index, direct.cosine(BASE, row))).collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1));
    assert_eq!(best.len(), 3);
    for (result, (index, cosine)) in best.iter().zip(expected) {
        assert_eq!(result["index"], index);
        assert_eq!(result["sentence"], rows[index]);
        assert_close(&result["score"], 5.0 * cosine);
    }
    let all = server.rank(text.as_bytes(), &[("base_sentence", BASE), ("top_k", "10000000")]).json();
    let all = all["results"].as_array().unwrap();
    assert_eq!(all.len(), 41);
    assert!(all[40]["score"].is_null() && all[40]["sentence"] == "");
}

#[test]
fn korean_spreadsheets_give_the_scores_of_utf8() {
    let server = Server::start(&[]);
    let text = "번호\t문장\r\n1\t비가 내린다.\r\n2\t밥을 먹었다.\r\n";
    let utf8 = server.rank(text.as_bytes(), &[("base_sentence", BASE)]);
    let cp949 = server.rank(&encoding_rs::EUC_KR.encode(text).0, &[("base_sentence", BASE)]);
    assert_eq!(cp949.header("x-csv-encoding"), "CP949");
    assert_eq!(cp949.header("x-csv-delimiter"), "tab");
    assert_eq!(cp949.json(), utf8.json());
}

#[test]
fn the_order_of_the_fields_does_not_matter() {
    let server = Server::start(&[]);
    let first = form(b"text\nabc\n", &[("base_sentence", BASE)]);
    let text = String::from_utf8(first.clone()).unwrap();
    let (base, file) = text.trim_end_matches("--edge--\r\n").split_at(text[2..].find("--edge").unwrap() + 2);
    let last = format!("{file}{base}--edge--\r\n");
    let expected = server.post_bytes("/predict", FORM, &first).json();
    assert_eq!(server.post_bytes("/predict", FORM, last.as_bytes()).json(), expected);
}

#[test]
fn many_rows_are_one_request_and_equal_sentences_are_encoded_once() {
    let server = Server::start(&["--cache-mib", "0"]);
    let rows = sentences(1000);
    let text: String = (0..20_000).map(|index| format!("{}\n", rows[index % 1000])).collect();
    let scores = server.rank(text.as_bytes(), &[("base_sentence", BASE)]).json();
    assert_eq!(scores.as_object().unwrap().len(), 20_000);
    assert_eq!(scores["0"], scores["19000"]);
    assert_eq!(server.metric("te_batch_next_size_sum"), 1001.0);
}

#[test]
fn limits_are_named() {
    let server = Server::start(&["--max-csv-bytes", "100", "--max-csv-rows", "3"]);
    let rank = |file: &str| server.rank(file.as_bytes(), &[("base_sentence", BASE)]);
    assert_eq!(rank("a\nb\nc\n").status, 200);
    assert_eq!(rank("a\nb\nc\nd\n").error(413), "the file has more than 3 rows, the server's max_csv_rows");
    let long = "a".repeat(101);
    assert_eq!(rank(&long).error(413), "the file has more than 100 bytes, the server's max_csv_bytes");
}

#[test]
fn what_is_wrong_with_a_form_is_said() {
    let server = Server::start(&[]);
    let rank = |file: &[u8], fields: &[(&str, &str)]| server.rank(file, fields);
    let base = ("base_sentence", BASE);
    for (answer, status, expected) in [
        (
            rank(b"a", &[]),
            422,
            "field `base_sentence` is missing, expected base_sentence, file, column, top_k, rerank, has_header and sheet",
        ),
        (rank(b"a", &[("base_sentence", " ")]), 400, "`base_sentence` is empty"),
        (rank(b"a", &[base, base]), 422, "field `base_sentence` is there twice"),
        (rank(b"a", &[base, ("top_k", "0")]), 422, "`top_k` is 0, expected a number from 1"),
        (rank(b"a", &[base, ("top_k", "-1")]), 422, "`top_k` is \"-1\", expected a number from 1"),
        (
            rank(b"a", &[base, ("topk", "1")]),
            422,
            "unknown field \"topk\", expected base_sentence, file, column, top_k, rerank, has_header and sheet",
        ),
        (
            rank(b"a,b\n1,c\n", &[base, ("column", "문장")]),
            422,
            "file: column \"문장\" is not in the file; it has \"a\", \"b\"",
        ),
        (
            rank(b"PK\x03\x04", &[base]),
            422,
            "file: not a readable .xlsx workbook: invalid Zip archive: Could not find EOCD",
        ),
        (rank(b"", &[base]), 422, "file: the file is empty"),
        (
            rank("문장,id\n가,1\n나\n".as_bytes(), &[base]),
            422,
            "file: line 3: 1 fields, expected 2 as in the first row",
        ),
        (server.post_bytes("/predict", "application/json", b"{}"), 415, "expected a body of type multipart/form-data"),
    ] {
        assert_eq!(answer.error(status), expected);
    }
    let cut = form(b"text\nabc\n", &[base]);
    let answer = server.post_bytes("/predict", FORM, &cut[..cut.len() - 20]);
    assert!(answer.error(400).starts_with("the multipart body: "), "{answer:?}");
}

#[test]
fn a_shops_reviews_are_ranked_and_not_their_dates() {
    let (server, direct) = (Server::start(&[]), Direct::load());
    let text = "작성일,주문번호,상품명,별점,리뷰\r\n2026-11-01,A-1,빨간 우산,5,비가 내려도 안 젖어요\r\n\
                2026-11-02,A-2,빨간 우산,1,손잡이가 부러졌어요\r\n";
    let lone = "리뷰\n비가 내려도 안 젖어요\n손잡이가 부러졌어요\n";
    let lines =
        "{\"별점\": 5, \"리뷰\": \"비가 내려도 안 젖어요\"}\n{\"별점\": 1, \"리뷰\": \"손잡이가 부러졌어요\"}\n";
    let semicolons = encoding_rs::EUC_KR.encode(&text.replace(',', ";")).0.into_owned();
    let decomposed = text.replace("리뷰", "\u{1105}\u{1175}\u{1107}\u{1172}"); // as macOS writes it
    for file in [text.as_bytes(), lone.as_bytes(), lines.as_bytes(), &semicolons, decomposed.as_bytes()] {
        let scores = server.rank(file, &[("base_sentence", BASE)]).json();
        assert_eq!(scores.as_object().unwrap().len(), 2);
        assert_close(&scores["0"], 5.0 * direct.cosine(BASE, "비가 내려도 안 젖어요"));
        assert_close(&scores["1"], 5.0 * direct.cosine(BASE, "손잡이가 부러졌어요"));
    }
}

#[test]
fn where_two_columns_could_be_meant_the_answer_lists_them() {
    let (server, direct) = (Server::start(&[]), Direct::load());
    let text = "sentence1,sentence2,score\n비가 온다.,비가 내린다.,4.5\n밥을 먹었다.,눈이 온다.,0\n".as_bytes();
    let answer = server.rank(text, &[("base_sentence", BASE)]);
    let expected = "file: columns \"sentence1\" and \"sentence2\" both look like sentences: name the column of the sentences \
                    by `column`";
    assert_eq!(answer.error(422), expected);
    let columns = serde_json::json!([
        {"name": "sentence1", "first": "비가 온다."}, {"name": "sentence2", "first": "비가 내린다."}, {"name": "score", "first": "4.5"},
    ]);
    let body: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(body["columns"], columns);
    for (column, first) in [("sentence2", "비가 내린다."), ("1", "비가 내린다."), ("Sentence1", "비가 온다.")]
    {
        let scores = server.rank(text, &[("base_sentence", BASE), ("column", column)]).json();
        assert_close(&scores["0"], 5.0 * direct.cosine(BASE, first));
    }
    // Another error has none.
    assert!(!server.rank("문장,id\n가,1\n나\n".as_bytes(), &[("base_sentence", BASE)]).text.contains("columns"));
}
