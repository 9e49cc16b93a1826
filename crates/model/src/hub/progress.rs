//! What a user sees of a download: a bar on a terminal, a line per file elsewhere; both on stderr.

use std::io::{self, Write};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use super::Event;

/// Shows what [`Hub::resolve`](super::Hub::resolve) tells.
pub fn on_stderr() -> impl FnMut(Event<'_>) {
    let mut current: Option<(String, ProgressBar)> = None;
    move |event| match event {
        Event::Received { model, file, bytes, size } => {
            if current.as_ref().is_none_or(|(name, _)| name != file) {
                let template = "{prefix} {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
                let style = ProgressStyle::with_template(template).expect("a valid template");
                let bar = ProgressBar::new(size).with_style(style).with_prefix(file.to_owned());
                if bar.is_hidden() {
                    let _ = writeln!(io::stderr(), "downloading {file} of {model}, {}", HumanBytes(size));
                }
                current = Some((file.to_owned(), bar));
            }
            if let Some((_, bar)) = &current {
                bar.set_position(bytes);
                if bytes == size {
                    bar.finish_and_clear();
                }
            }
        }
        Event::Unreachable { model, reason } => {
            let _ =
                writeln!(io::stderr(), "{model}: the hub cannot be reached ({reason}); using the copy in the cache");
        }
    }
}
