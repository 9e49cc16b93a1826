//! `GET /` and its files: the web page, which lies in the binary.

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY},
    web,
};

/// Only what the server itself gives; no inline scripts, no frames.
const POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

/// A file of the page: its path, its type and its content.
type File = (&'static str, &'static str, &'static str);

macro_rules! file {
    ($path:literal, $name:literal, $mime:literal) => {
        ($path, concat!($mime, "; charset=utf-8"), include_str!(concat!("../../web/", $name)))
    };
}

const FILES: &[File] = &[
    file!("/", "index.html", "text/html"),
    file!("/api.js", "api.js", "text/javascript"),
    file!("/app.js", "app.js", "text/javascript"),
    file!("/compare.js", "compare.js", "text/javascript"),
    file!("/download.js", "download.js", "text/javascript"),
    file!("/elements.js", "elements.js", "text/javascript"),
    file!("/filter.js", "filter.js", "text/javascript"),
    file!("/icon.svg", "icon.svg", "image/svg+xml"),
    file!("/json.js", "json.js", "text/javascript"),
    file!("/language.js", "language.js", "text/javascript"),
    file!("/rank.js", "rank.js", "text/javascript"),
    file!("/results.css", "results.css", "text/css"),
    file!("/search.js", "search.js", "text/javascript"),
    file!("/style.css", "style.css", "text/css"),
    file!("/words.js", "words.js", "text/javascript"),
];

/// Whether a path is one of the page's, for which no API key is needed.
pub(crate) fn is_file(path: &str) -> bool {
    FILES.iter().any(|(own, ..)| *own == path)
}

/// The page's files but the first, each under its path.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    for file in &FILES[1..] {
        config.route(file.0, web::get().to(|| async { answer(file) }));
    }
}

/// The web page
#[utoipa::path(
    get, path = "/", tag = "ko-sts", security(()),
    responses((status = 200, description = "Compare two sentences, rank a file, search the corpus", body = String, content_type = "text/html"))
)]
pub(crate) async fn index() -> HttpResponse {
    answer(&FILES[0])
}

fn answer((_, mime, content): &'static File) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(*mime)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(*content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_in_the_binary() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/web")).unwrap();
        let names: Vec<String> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        for name in &names {
            let path = if name == "index.html" { "/".to_owned() } else { format!("/{name}") };
            assert!(is_file(&path), "{name}");
        }
        assert_eq!(names.len(), FILES.len());
    }
}
