//! Requests to the hub: redirects followed, and the token shown to the hub alone.
//!
//! Source of the headers: `get_hf_file_metadata` in `huggingface_hub/file_download.py`, version 2.4.

use std::time::Duration;

use ureq::{
    Agent, Body, ResponseExt,
    http::{Method, Response, Uri, header},
};

use super::Hub;

/// Redirects of one request.
const MAX_REDIRECTS: usize = 10;

/// An agent that gives up after `patience` without a byte from the server, and takes every status as an answer.
pub(super) fn agent(patience: Duration) -> Agent {
    let config = Agent::config_builder()
        .user_agent(concat!("ko-sts/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_resolve(Some(patience))
        .timeout_connect(Some(patience))
        .timeout_recv_response(Some(patience))
        .timeout_per_read(Some(patience));
    config.build().into()
}

/// An answer, and what the hub said of the file on the way to where it is stored.
pub(super) struct Answer {
    pub(super) response: Response<Body>,
    /// The commit that the file belongs to.
    pub(super) commit: Option<String>,
    /// Name of the content, of a large file its sha256.
    pub(super) linked_etag: Option<String>,
    pub(super) linked_size: Option<u64>,
    /// Whether the hub itself answered, not another host that it sent us to.
    pub(super) is_hubs: bool,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Bytes of the body, where the server says so.
    pub(super) fn size(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// The name of the content by the last server's word.
    pub(super) fn etag(&self) -> Option<&str> {
        self.header("etag").map(normalized)
    }
}

/// An entity tag without its quotes, weak or not.
fn normalized(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
}

/// Sends a request, for the bytes from `first` where that is not 0, and follows redirects; a question about a file ends
/// where the hub has told its content's name and size.
pub(super) fn send(
    agent: &Agent,
    hub: &Hub,
    method: &Method,
    address: &str,
    first: u64,
) -> Result<Answer, ureq::Error> {
    let endpoint: Option<Uri> = hub.endpoint.parse().ok();
    let is_hubs = |uri: &Uri| {
        let endpoint = endpoint.as_ref();
        // An address that goes from HTTP to HTTPS is safe to follow with a token, one that goes back is not.
        endpoint.is_some_and(|endpoint| {
            endpoint.authority() == uri.authority()
                && (endpoint.scheme() == uri.scheme() || uri.scheme_str() == Some("https"))
        })
    };
    let (mut commit, mut linked_etag, mut linked_size) = (None, None, None);
    let mut address = address.to_owned();
    for _ in 0..=MAX_REDIRECTS {
        let mut request = if *method == Method::HEAD { agent.head(&address) } else { agent.get(&address) };
        request = request.header("Accept-Encoding", "identity"); // ranges and sizes count bytes of the file itself
        if first > 0 {
            request = request.header("Range", format!("bytes={first}-"));
        }
        if let Some(token) = hub.token.as_ref().filter(|_| address.parse().is_ok_and(|uri| is_hubs(&uri))) {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let response = request.call()?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        commit = commit.or_else(|| header("x-repo-commit").map(str::to_owned));
        linked_etag = linked_etag.or_else(|| header("x-linked-etag").map(|etag| normalized(etag).to_owned()));
        linked_size = linked_size.or_else(|| header("x-linked-size").and_then(|size| size.parse().ok()));
        let is_known = *method == Method::HEAD && linked_etag.is_some() && linked_size.is_some();
        let next = header(header::LOCATION.as_str()).filter(|_| response.status().is_redirection() && !is_known);
        let Some(next) = next else {
            let is_hubs = is_hubs(response.get_uri());
            return Ok(Answer { commit, linked_etag, linked_size, is_hubs, response });
        };
        address = joined(response.get_uri(), next);
    }
    Err(ureq::Error::TooManyRedirects)
}

/// The address that a redirect from `base` means.
fn joined(base: &Uri, location: &str) -> String {
    let scheme = base.scheme_str().unwrap_or("https");
    let authority = base.authority().map_or("", |authority| authority.as_str());
    if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_may_be_absolute_or_relative() {
        let base = "https://hub.example:8443/team/tiny/resolve/main/config.json?download=true".parse().unwrap();
        for (location, expected) in [
            ("http://127.0.0.1:1/cdn?next=://", "http://127.0.0.1:1/cdn?next=://"),
            ("//cdn.example/a", "https://cdn.example/a"),
            ("/api/a?b=c", "https://hub.example:8443/api/a?b=c"),
            ("a", "https://hub.example:8443/team/tiny/resolve/main/a"),
        ] {
            assert_eq!(joined(&base, location), expected);
        }
    }

    #[test]
    fn an_entity_tag_loses_its_quotes() {
        assert_eq!(["\"a\"", "W/\"a\"", "a"].map(normalized), ["a"; 3]);
    }
}
