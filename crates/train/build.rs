//! Tells the program which commit it is built from: `KO_STS_COMMIT` of the environment, else what git says of the checkout.

use std::{env, path::Path, process::Command};

/// The crates that the program is made of, this one among them.
const CRATES: [&str; 8] = ["data", "eval", "ground", "kernels", "model", "picture", "tables", "train"];

fn main() {
    println!("cargo:rerun-if-env-changed=KO_STS_COMMIT");
    CRATES.iter().for_each(|name| println!("cargo:rerun-if-changed=../{name}/src"));
    // The log of HEAD grows with every commit and checkout.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let named = env::var("KO_STS_COMMIT").ok().filter(|commit| !commit.is_empty());
    if let Some(commit) = named.or_else(|| git(&["describe", "--always", "--dirty"])) {
        println!("cargo:rustc-env=KO_STS_COMMIT={commit}");
    }
}

/// The one line that git prints; none without git or outside of a checkout.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|line| !line.is_empty())
}
