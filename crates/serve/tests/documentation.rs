//! `/openapi.json`, `/docs` and the page: whole, true, and without any other host.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use common::Server;
use serde_json::{Value, json};

#[test]
fn the_description_has_every_route_and_resolves() {
    let server = Server::start(&[]);
    let api = server.get("/openapi.json").json();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths: Vec<&String> = api["paths"].as_object().unwrap().keys().collect();
    let expected = ["/", "/embed", "/health", "/info", "/metrics", "/predict", "/similarity", "/v1/embeddings"];
    assert_eq!(paths, expected);
    assert!(api["paths"]["/predict"]["get"].is_object() && api["paths"]["/predict"]["post"].is_object());
    let mut references = Vec::new();
    collect(&api, &mut references);
    assert!(references.len() > 20);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(api.pointer(pointer).is_some(), "{reference}");
    }
}

/// Headers for browsers, which every answer has.
const PROTECTION: [&str; 2] = ["x-content-type-options", "x-frame-options"];

#[test]
fn no_answer_may_be_framed_guessed_at_or_run_what_others_give() {
    let server = Server::start(&[]);
    for path in ["/", "/app.js", "/docs/", "/docs/swagger-ui.css", "/openapi.json", "/predict", "/nowhere", "/health"] {
        let answer = server.get(path);
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("http") && !policy.contains("script-src 'unsafe"), "{path}: {policy}");
        assert_eq!(
            (answer.header("x-content-type-options"), answer.header("x-frame-options")),
            ("nosniff", "DENY"),
            "{path}"
        );
    }
}

#[test]
fn every_status_that_was_seen_is_described() {
    let server = Server::start(&["--max-client-batch-size", "1"]);
    let api = server.get("/openapi.json").json();
    for (method, path, answer) in [
        ("get", "/predict", server.get("/predict")),
        ("get", "/predict", server.predict("가", "나")),
        ("post", "/embed", server.post("/embed", &json!({"inputs": "가"}))),
        ("post", "/embed", server.post("/embed", &json!({"inputs": ["가", "나"]}))),
        ("post", "/embed", server.post_bytes("/embed", "text/plain", b"")),
        ("post", "/embed", server.post("/embed", &json!({"inputs": 1}))),
        ("post", "/v1/embeddings", server.post("/v1/embeddings", &json!({"input": 1}))),
        ("post", "/predict", server.rank(b"", &[("base_sentence", "가")])),
        ("post", "/predict", server.rank("나\n".as_bytes(), &[("base_sentence", "가")])),
    ] {
        let described = &api["paths"][path][method]["responses"][answer.status.to_string()];
        assert!(described.is_object(), "{method} {path} {}", answer.status);
        for (name, _) in
            answer.headers.iter().filter(|(name, _)| name.starts_with("x-") && !PROTECTION.contains(&name.as_str()))
        {
            assert!(described["headers"][name].is_object(), "{method} {path} {}: {name}", answer.status);
        }
    }
}

#[test]
fn the_documentation_comes_from_the_binary_alone() {
    let server = Server::start(&[]);
    assert_eq!(server.get("/docs").status, 200); // by a redirect
    let page = server.get("/docs/");
    assert!(page.text.contains("swagger-ui"), "{}", page.text);
    assert!(!page.text.contains("//"), "{}", page.text);
    for file in ["swagger-ui-bundle.js", "swagger-ui.css", "swagger-ui-standalone-preset.js", "swagger-initializer.js"]
    {
        assert!(page.text.contains(file), "{file}");
        assert_eq!(server.get(&format!("/docs/{file}")).status, 200, "{file}");
    }
    let start = server.get("/docs/swagger-initializer.js").text;
    assert!(start.contains("/openapi.json") && start.contains("\"validatorUrl\": \"none\""), "{start}");
}

#[test]
fn the_page_lets_no_other_host_in() {
    let server = Server::start(&[]);
    let page = server.get("/");
    assert!(page.header("content-type").starts_with("text/html"));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'self'; ") && !policy.contains("unsafe"), "{policy}");
    assert!(server.get("/app.js").header("content-type").starts_with("text/javascript"));
}

fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            references.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| collect(value, references));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}
