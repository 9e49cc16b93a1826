//! Where the named datasets come from, and how to tell that a copy is the right one.

/// A file that can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The dataset it belongs to, as `fetch` names it.
    pub dataset: &'static str,
    /// Its place in the data directory.
    pub file: &'static str,
    /// Its path on the upstream host, pinned to a commit.
    pub address: &'static str,
    /// The sha256 of its content, in hexadecimal.
    pub sha256: &'static str,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The host that serves every source.
pub const UPSTREAM: &str = "https://raw.githubusercontent.com";

/// Every file of the named datasets; all are under CC BY-SA 4.0.
pub const SOURCES: [Source; 5] = [
    // Upstream also has the train part as JSON. This is a conversion of it that keeps the real-valued label.
    Source {
        dataset: "klue-sts",
        file: "klue-sts/klue-sts-v1.1_train.csv",
        address: "Bing-su/klue-sts-csv-data/cf7cf473cbd01d117d8a20ad34864af6d7954983/data/klue_sts_train.csv",
        sha256: "1204659f6e5914b16f349810c89784339abdc436fb2feb28865313fadc38cbe9",
        bytes: 2_118_727,
    },
    Source {
        dataset: "klue-sts",
        file: "klue-sts/klue-sts-v1.1_dev.json",
        address: "KLUE-benchmark/KLUE/3efd98708a40ff49251fddde35453f8fbb11f536/\
                  klue_benchmark/klue-sts-v1.1/klue-sts-v1.1_dev.json",
        sha256: "b6a0ae0c370e21687f7eef0fdea872a328bb2ecbdb020c546cb870d28606bf80",
        bytes: 454_638,
    },
    Source {
        dataset: "kor-sts",
        file: "kor-sts/sts-train.tsv",
        address: "kakaobrain/KorNLUDatasets/0df0fe7d496eb61b092e022e238c2230b29f1cbc/KorSTS/sts-train.tsv",
        sha256: "b5aaa7f957d6ff46f4b6834a8b0f024a9234a6eefe9289aed66746b4533da3b8",
        bytes: 1_046_952,
    },
    Source {
        dataset: "kor-sts",
        file: "kor-sts/sts-dev.tsv",
        address: "kakaobrain/KorNLUDatasets/0df0fe7d496eb61b092e022e238c2230b29f1cbc/KorSTS/sts-dev.tsv",
        sha256: "d835b65b424401fbcce6be28a78159df8d61f5b19977ea7a0b83b8cb6105f393",
        bytes: 307_276,
    },
    Source {
        dataset: "kor-sts",
        file: "kor-sts/sts-test.tsv",
        address: "kakaobrain/KorNLUDatasets/0df0fe7d496eb61b092e022e238c2230b29f1cbc/KorSTS/sts-test.tsv",
        sha256: "13f83a3440d9db52d134eb40303ce021b03264aa338fbf2871c8786ce04d2105",
        bytes: 249_596,
    },
];
