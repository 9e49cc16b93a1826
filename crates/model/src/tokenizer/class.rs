//! Which class of transformers reads a directory's tokenizer: it decides which files and keys count.
//!
//! Source: transformers 5, `AutoTokenizer.from_pretrained`. A class that makes its tokenizer anew takes the vocabulary of
//! `tokenizer.json` and none of its rules; every other one takes the file as it is.

use serde_json::{Map, Value};

/// A class by what it makes of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// WordPiece, by `do_lower_case`, `strip_accents` and `tokenize_chinese_chars`.
    Bert,
    /// Byte-level BPE, by `add_prefix_space`.
    Roberta,
    /// Unigram, by `add_prefix_space`.
    XlmRoberta,
    /// The same with tokens and frame of its own.
    Camembert,
    /// Unigram, by `do_lower_case`, `split_by_punct` and `add_prefix_space`.
    DebertaV2,
    /// Byte-level BPE of words that a pattern cuts, by `add_prefix_space`, in the file's frame.
    Qwen2,
    /// `tokenizer.json` as it is.
    AsItIs,
}

/// Classes that make their tokenizer anew in ways of their own, or are Python alone.
const NOT_SUPPORTED: [&str; 90] = [
    "AlbertTokenizer",
    "BarthezTokenizer",
    "BartphoTokenizer",
    "BertGenerationTokenizer",
    "BertJapaneseTokenizer",
    "BertTokenizerLegacy",
    "BertweetTokenizer",
    "BigBirdTokenizer",
    "BioGptTokenizer",
    "BlenderbotSmallTokenizer",
    "BlenderbotTokenizer",
    "ByT5Tokenizer",
    "CLIPTokenizer",
    "CTRLTokenizer",
    "CanineTokenizer",
    "ClvpTokenizer",
    "CodeGenTokenizer",
    "CodeLlamaTokenizer",
    "CohereTokenizer",
    "ConvBertTokenizer",
    "CpmAntTokenizer",
    "CpmTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "DPRReaderTokenizer",
    "DebertaTokenizer",
    "DiaTokenizer",
    "EsmTokenizer",
    "EsmcTokenizer",
    "FNetTokenizer",
    "FSMTTokenizer",
    "FastSpeech2ConformerTokenizer",
    "FlaubertTokenizer",
    "FunnelTokenizer",
    "GPT2Tokenizer",
    "GPTNeoXJapaneseTokenizer",
    "GPTNeoXTokenizer",
    "GPTSw3Tokenizer",
    "GemmaTokenizer",
    "HerbertTokenizer",
    "LasrTokenizer",
    "LayoutLMv2Tokenizer",
    "LayoutLMv3Tokenizer",
    "LayoutXLMTokenizer",
    "LlamaTokenizer",
    "LukeTokenizer",
    "M2M100Tokenizer",
    "MBart50Tokenizer",
    "MBartTokenizer",
    "MLukeTokenizer",
    "MPNetTokenizer",
    "MarianTokenizer",
    "MarkupLMTokenizer",
    "MgpstrTokenizer",
    "MistralCommonBackend",
    "MyT5Tokenizer",
    "NllbTokenizer",
    "NougatTokenizer",
    "OpenAIGPTTokenizer",
    "PLBartTokenizer",
    "ParakeetTokenizer",
    "PegasusTokenizer",
    "PerceiverTokenizer",
    "PhobertTokenizer",
    "Pop2PianoTokenizer",
    "ProphetNetTokenizer",
    "Qwen3_5Tokenizer",
    "RagTokenizer",
    "ReformerTokenizer",
    "RemBertTokenizer",
    "RoCBertTokenizer",
    "RoFormerTokenizer",
    "SeamlessM4TTokenizer",
    "Siglip2Tokenizer",
    "SiglipTokenizer",
    "Speech2TextTokenizer",
    "SpeechT5Tokenizer",
    "SplinterTokenizer",
    "T5Tokenizer",
    "TapasTokenizer",
    "Tipsv2Tokenizer",
    "UdopTokenizer",
    "VideoPrismTokenizer",
    "VitsTokenizer",
    "Wav2Vec2CTCTokenizer",
    "Wav2Vec2PhonemeCTCTokenizer",
    "WhisperTokenizer",
    "XGLMTokenizer",
    "XLMTokenizer",
    "XLNetTokenizer",
];

impl Class {
    /// The class that `tokenizer_config.json` names, else that of `config.json`, else that of its `model_type`; either file
    /// may be empty. In the error's text: the file's name, its key, and what was expected.
    pub(super) fn find(tokenizer_config: &Map<String, Value>, config: &Map<String, Value>) -> Result<Self, String> {
        let files = [("tokenizer_config.json", tokenizer_config), ("config.json", config)];
        for (file, keys) in files {
            if let Some(name) = keys.get("tokenizer_class").and_then(Value::as_str) {
                return Self::named(name).ok_or_else(|| {
                    format!(
                        "{file}: tokenizer_class `{name}` is not supported, expected BertTokenizer, RobertaTokenizer, \
                         XLMRobertaTokenizer, CamembertTokenizer, DebertaV2Tokenizer, Qwen2Tokenizer or \
                         PreTrainedTokenizerFast"
                    )
                });
            }
        }
        Ok(match config.get("model_type").and_then(Value::as_str) {
            Some("bert" | "distilbert" | "electra") => Self::Bert,
            Some("roberta") => Self::Roberta,
            Some("xlm-roberta") => Self::XlmRoberta,
            Some("camembert") => Self::Camembert,
            Some("deberta-v2") => Self::DebertaV2,
            Some("qwen3") => Self::Qwen2,
            _ => Self::AsItIs,
        })
    }

    /// By a class's name, with or without `Fast` at its end; none where it is not supported. A name that transformers does
    /// not know stands for the file as it is.
    fn named(name: &str) -> Option<Self> {
        match name.strip_suffix("Fast").unwrap_or(name) {
            "BertTokenizer"
            | "DistilBertTokenizer"
            | "ElectraTokenizer"
            | "LayoutLMTokenizer"
            | "LxmertTokenizer"
            | "MobileBertTokenizer"
            | "SqueezeBertTokenizer" => Some(Self::Bert),
            "RobertaTokenizer" | "BartTokenizer" | "LEDTokenizer" | "LongformerTokenizer" | "MvpTokenizer" => {
                Some(Self::Roberta)
            }
            "XLMRobertaTokenizer" => Some(Self::XlmRoberta),
            "CamembertTokenizer" => Some(Self::Camembert),
            "DebertaV2Tokenizer" => Some(Self::DebertaV2),
            "Qwen2Tokenizer" => Some(Self::Qwen2),
            name if NOT_SUPPORTED.contains(&name) => None,
            _ => Some(Self::AsItIs),
        }
    }

    /// The name under which transformers 4 and 5 make the same of what is saved.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bert => "BertTokenizer",
            Self::Roberta => "RobertaTokenizer",
            Self::XlmRoberta => "XLMRobertaTokenizer",
            Self::Camembert => "CamembertTokenizer",
            Self::DebertaV2 => "DebertaV2Tokenizer",
            Self::Qwen2 => "Qwen2Tokenizer",
            Self::AsItIs => "PreTrainedTokenizerFast",
        }
    }

    /// The subword model that it needs; any, where the file counts as it is.
    pub(super) fn model(self) -> Option<&'static str> {
        match self {
            Self::Bert => Some("WordPiece"),
            Self::Roberta | Self::Qwen2 => Some("BPE"),
            Self::XlmRoberta | Self::Camembert | Self::DebertaV2 => Some("Unigram"),
            Self::AsItIs => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_class_is_found_where_transformers_looks_for_it_first() {
        // AutoTokenizer.from_pretrained of directories with these two files, type(…).__name__ (transformers 5.23)
        let none = json!({});
        for (tokenizer_config, config, expected) in [
            (json!({"tokenizer_class": "BertTokenizerFast"}), json!({"model_type": "roberta"}), Class::Bert),
            (json!({"tokenizer_class": "ElectraTokenizer"}), json!({"model_type": "bert"}), Class::Bert),
            (json!({"tokenizer_class": "KoBertTokenizer"}), json!({"model_type": "bert"}), Class::AsItIs),
            (json!({"tokenizer_class": "PreTrainedTokenizer"}), json!({"model_type": "bert"}), Class::AsItIs),
            (json!({"tokenizer_class": "TokenizersBackend"}), json!({"model_type": "bert"}), Class::AsItIs),
            (none.clone(), json!({"model_type": "roberta", "tokenizer_class": "BertTokenizer"}), Class::Bert),
            (none.clone(), json!({"model_type": "roberta"}), Class::Roberta),
            (none.clone(), json!({"model_type": "xlm-roberta"}), Class::XlmRoberta),
            (none.clone(), json!({"model_type": "electra"}), Class::Bert),
            (none.clone(), json!({"model_type": "distilbert"}), Class::Bert),
            (none.clone(), json!({"model_type": "deberta-v2"}), Class::DebertaV2),
            (none.clone(), json!({"model_type": "modernbert"}), Class::AsItIs),
            (none.clone(), json!({"model_type": "qwen3"}), Class::Qwen2),
            (none.clone(), none.clone(), Class::AsItIs),
        ] {
            let [tokenizer_config, config] = [&tokenizer_config, &config].map(|file| file.as_object().unwrap());
            assert_eq!(Class::find(tokenizer_config, config), Ok(expected), "{tokenizer_config:?} {config:?}");
        }
    }

    #[test]
    fn a_class_with_rules_of_its_own_is_refused_by_file_and_key() {
        let named = json!({"tokenizer_class": "AlbertTokenizerFast"});
        let message = Class::find(named.as_object().unwrap(), &Map::new()).unwrap_err();
        let expected =
            "tokenizer_config.json: tokenizer_class `AlbertTokenizerFast` is not supported, expected BertTokenizer,";
        assert!(message.starts_with(expected), "{message}");
    }
}
