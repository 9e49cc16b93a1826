//! Who may ask: API keys, pages of other origins, TLS.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::fs;

use common::{Answer, Server, agent, command, model};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

fn with_key(server: &Server, path: &str, authorization: &str) -> Answer {
    Answer::new(agent().get(server.url(path)).header("Authorization", authorization).call().unwrap())
}

#[test]
fn with_keys_only_those_who_have_one_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    fs::write(&file, "# of the team\nkey-from-the-file\n\n").unwrap();
    let mut command = command(&["--port", "0", "--precision", "f32", "--api-key-file", file.to_str().unwrap()]);
    let server = Server::spawn(command.env("KO_STS_API_KEYS", "key-one, key-two").arg("--model").arg(model()));
    let pair = "/predict?sentence1=a&sentence2=b";
    for key in ["key-from-the-file", "key-one", "key-two"] {
        assert_eq!(with_key(&server, pair, &format!("Bearer {key}")).status, 200, "{key}");
        assert_eq!(with_key(&server, pair, &format!("bearer  {key}")).status, 200, "{key}");
    }
    for wrong in ["Bearer key-on", "Bearer key-one2", "Bearer ", "Bearer", "Basic key-one", "key-one", "# of the team"]
    {
        let answer = with_key(&server, pair, wrong);
        answer.error(401);
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{wrong}");
    }
    for path in [pair, "/info", "/metrics", "/nowhere"] {
        server.get(path).error(401);
    }
    assert_eq!(server.post_bytes("/embed", "application/json", b"{").status, 401);
    for path in ["/health", "/", "/app.js", "/docs/", "/openapi.json"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert!(!server.log().iter().any(|line| line.contains("key-one")), "a key is in the log");
}

/// What a server that does not start says, which is one line.
fn refusal(command: &mut std::process::Command) -> String {
    let output = command.args(["--model"]).arg(model()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn keys_that_came_out_empty_let_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("keys");
    fs::write(&empty, "# none yet\n\n").unwrap();
    for keys in ["", ",", " , ,"] {
        let text = refusal(command(&["--port", "0"]).env("KO_STS_API_KEYS", keys));
        assert!(text.contains("KO_STS_API_KEYS is set and holds no API key"), "{text}");
        // Whatever else has a key.
        let good = folder.path().join("good");
        fs::write(&good, "a-key").unwrap();
        let file = good.to_str().unwrap();
        let text = refusal(command(&["--port", "0", "--api-key-file", file]).env("KO_STS_API_KEYS", keys));
        assert!(text.contains("KO_STS_API_KEYS is set and holds no API key"), "{text}");
    }
    let text = refusal(&mut command(&["--port", "0", "--api-key-file", empty.to_str().unwrap()]));
    assert!(text.contains("no API key in it"), "{text}");
}

#[test]
fn an_address_that_others_reach_needs_keys_or_the_word_that_it_needs_none() {
    for address in ["0.0.0.0", "::", "192.0.2.1", "::ffff:10.0.0.1"] {
        let text = refusal(&mut command(&["--port", "0", "--address", address]));
        assert!(text.contains("--allow-anonymous") && text.contains("--api-key-file"), "{text}");
        let text = refusal(&mut command(&["--port", "0", "--address", address, "--allow-anonymous=false"]));
        assert!(text.contains("--allow-anonymous"), "{text}");
    }
    let warned = |server: &Server| server.log().iter().any(|line| line.contains("no API key is needed"));
    let open = Server::start(&["--address", "0.0.0.0", "--allow-anonymous"]);
    assert_eq!(open.get("/info").status, 200);
    common::wait_until("the log says so", || warned(&open));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("serve.toml");
    fs::write(&file, "[http]\naddress = \"0.0.0.0\"\n[access]\nallow_anonymous = true\n").unwrap();
    assert_eq!(Server::start(&["--config", file.to_str().unwrap()]).get("/info").status, 200);
    let mut keyed = command(&["--port", "0", "--precision", "f32", "--address", "0.0.0.0"]);
    let keyed = Server::spawn(keyed.env("KO_STS_API_KEYS", "a-key").arg("--model").arg(model()));
    keyed.get("/info").error(401);
    assert!(!warned(&keyed) && !warned(&Server::start(&[])));
}

#[test]
fn the_time_of_an_answer_does_not_tell_what_the_holder_of_another_key_asked() {
    let mut command = command(&["--port", "0", "--precision", "f32"]);
    let server = Server::spawn(command.env("KO_STS_API_KEYS", "one,two").arg("--model").arg(model()));
    let inference = |key: &str| {
        let answer = with_key(&server, "/predict?sentence1=a&sentence2=b", &format!("Bearer {key}"));
        answer.header("x-inference-time").parse::<f64>().unwrap()
    };
    assert!(inference("one") > 0.0);
    assert_eq!(inference("one"), 0.0, "its holder's own are kept");
    assert!(inference("two") > 0.0);
}

#[test]
fn pages_of_allowed_origins_may_call_and_others_not() {
    let server = Server::start(&["--cors-origin", "https://a.example", "--cors-origin", "http://b.example:3000"]);
    let preflight = |origin: &str| {
        server.raw(
            format!(
                "OPTIONS /v1/embeddings HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\
                 Access-Control-Request-Headers: authorization,content-type,x-stainless-lang,x-stainless-retry-count,openai-beta\r\nConnection: close\r\n\r\n"
            )
            .as_bytes(),
        )
        .to_lowercase()
    };
    for origin in ["https://a.example", "http://b.example:3000"] {
        let answer = preflight(origin);
        assert!(answer.starts_with("http/1.1 200"), "{answer}");
        assert!(answer.contains(&format!("access-control-allow-origin: {origin}\r\n")), "{answer}");
        for header in ["authorization", "x-stainless-retry-count", "openai-beta"] {
            assert!(answer.contains(header), "{header}: {answer}");
        }
    }
    let answer = preflight("https://evil.example");
    assert!(!answer.contains("access-control-allow-origin"), "{answer}");
    let call = agent().get(server.url("/info")).header("Origin", "https://a.example").call().unwrap();
    let call = Answer::new(call);
    assert_eq!(call.header("access-control-allow-origin"), "https://a.example");
    assert!(call.header("access-control-expose-headers").contains("x-truncated"), "{call:?}");
}

#[test]
fn the_servers_own_page_needs_no_allow_list() {
    let server = Server::start(&[]);
    let own = format!("http://127.0.0.1:{}", server.port);
    let request = agent().post(server.url("/embed")).header("Origin", own).header("Content-Type", "application/json");
    assert_eq!(request.send(r#"{"inputs": "a"}"#).unwrap().status(), 200);
}

#[test]
fn an_error_can_be_read_by_an_allowed_page_too() {
    let server = Server::start(&["--cors-origin", "https://a.example"]);
    for path in ["/predict", "/v1/embeddings", "/nowhere"] {
        let call = agent().get(server.url(path)).header("Origin", "https://a.example").call().unwrap();
        let answer = Answer::new(call);
        assert!(answer.status >= 400);
        assert_eq!(answer.header("access-control-allow-origin"), "https://a.example", "{path}");
    }
}

#[test]
fn with_a_certificate_the_server_speaks_https() {
    let folder = tempfile::tempdir().unwrap();
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("server.crt"), folder.path().join("server.key"));
    fs::write(&certificate, signed.cert.pem()).unwrap();
    fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
    let server =
        Server::start(&["--tls-certificate", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
    let trusted = Certificate::from_pem(signed.cert.pem().as_bytes()).unwrap();
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[trusted])).build();
    let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).build().into();
    let answer = agent.get(format!("https://localhost:{}/info", server.port)).call().unwrap();
    assert_eq!(Answer::new(answer).json()["hidden_size"], 32);
    assert!(agent.get(server.url("/info")).call().is_err(), "HTTP was answered too");
}
