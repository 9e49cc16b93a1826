//! Compiles the calls of libtorch that tch does not wrap.

use std::path::Path;

fn main() {
    let source = "src/operators/operators.cpp";
    println!("cargo:rerun-if-changed={source}");
    let library = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys tells where libtorch lies");
    let include = Path::new(&library).parent().expect("libtorch's lib lies beside its include").join("include");
    cc::Build::new().cpp(true).std("c++17").flag("-isystem").flag(include).file(source).compile("ko_sts_operators");
}
