//! A fresh encoder that begins as the weighted average of its tokens' vectors.
//!
//! Frequent tokens count less, by a / (a + p): Arora, Liang, Ma 2017, «A simple but tough-to-beat baseline for sentence
//! embeddings». The weight is the length of a token's vector, and layer normalization would take it away: it divides each row
//! by its deviation. So the last two entries of a row, s and −s, bring all rows to the same length, and what they are divided
//! by is then the same for all. The last normalization has gain 0 for these two. Layers begin as identities, their outputs'
//! weights at 0: Zhang, Dauphin, Ma 2019, «Fixup initialization».

use std::collections::BTreeMap;

use model::architecture::Architecture;
use tch::{Device, Kind, Tensor};

use super::cooccurrence::TokenVectors;

/// a of the weights a / (a + p).
const SMOOTHING: f64 = 1e-3;
/// Length of the vector of a token of weight 1. A step of the optimizer moves all entries by as much, whatever their size:
/// shorter vectors would learn faster, longer ones slower.
const LENGTH: f64 = 0.25;
/// Length of a row with its two last entries: the more above `LENGTH`, the less of a row is what the layers add to.
const ROW_LENGTH: f64 = 0.5;
/// Of tokens that the text lacks, the drawn rows are kept, this many times as long: a sentence of nothing else has a direction,
/// and what stands in every sentence, as `[CLS]` does, makes no two of them alike.
const UNKNOWN: f64 = 1e-2;
/// Entries that bring a row to its length.
pub(super) const BALANCE: usize = 2;

/// Sets the weights of an encoder whose hidden size is that of the vectors and `BALANCE` more.
pub(super) fn initialize(
    weights_by_name: &BTreeMap<String, Tensor>,
    tokens: &TokenVectors,
    architecture: &Architecture,
) {
    tch::no_grad(|| {
        let variable = |path: &str| weights_by_name[&format!("{path}.weight")].shallow_clone();
        let embeddings = &architecture.embeddings;
        let table = variable(&embeddings.words.path);
        let weights = SMOOTHING / (&tokens.frequencies + SMOOTHING); // (vocab)
        let centred = &tokens.vectors - tokens.vectors.mean_dim([1].as_slice(), true, Kind::Float);
        let width = tokens.vectors.size()[1];
        let drawn = table.narrow(0, 0, tokens.vectors.size()[0]).narrow(1, 0, width).to_device(Device::Cpu) * UNKNOWN;
        let drawn = &drawn - drawn.mean_dim([1].as_slice(), true, Kind::Float);
        let is_known = tokens.frequencies.gt(0.0).unsqueeze(1); // (vocab, 1)
        let vectors = (centred * weights.unsqueeze(1) * LENGTH).where_self(&is_known, &drawn); // (vocab, hidden - 2)
        let squares = vectors.square().sum_dim_intlist([1].as_slice(), true, Kind::Float); // (vocab, 1)
        let rest = ((ROW_LENGTH * ROW_LENGTH - squares) / 2.0).sqrt();
        let rows = Tensor::cat(&[&vectors, &rest, &-&rest], 1).to_device(table.device());
        table.narrow(0, 0, rows.size()[0]).copy_(&rows);

        let tables = [&embeddings.positions, &embeddings.token_types].into_iter().flatten();
        let outputs = architecture.layers.iter().flat_map(|layer| [&layer.attention.output, &layer.feed_forward.down]);
        for path in tables.map(|table| &table.path).chain(outputs.map(|affine| &affine.path)) {
            let _ = variable(path).zero_();
        }
        let last = architecture.layers.last().map(|layer| &layer.feed_forward_norm);
        let last = architecture.final_norm.as_ref().or(last).expect("a shape has at least one layer");
        let balance = BALANCE as i64;
        let _ = variable(&last.path).narrow(0, table.size()[1] - balance, balance).zero_();
    });
}

#[cfg(test)]
mod tests {
    use model::{Alphabet, EncoderConfig, Pooling, Precision, Tokenizer, TrainableEncoder, similarity};

    use super::*;

    /// Beside the formula of the module's first source.
    #[test]
    fn a_fresh_encoder_gives_the_weighted_average_of_its_vectors() {
        let sentences = ["비가 온다", "눈이 온다", "비와 눈이 종일 내린다", "집에 간다"];
        let tokenizer = Tokenizer::train(&sentences, Alphabet::Syllables, 60, 16).unwrap();
        let vocab = tokenizer.vocab_size() as i64;
        let config: EncoderConfig = serde_json::from_value(serde_json::json!({
            "model_type": "roberta", "vocab_size": vocab, "hidden_size": 34, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": 18, "pad_token_id": 1,
        }))
        .unwrap();
        tch::manual_seed(1);
        let encoder = TrainableEncoder::from_scratch(config, tokenizer.clone(), Pooling::MEAN, Device::Cpu).unwrap();
        let vectors = Tensor::randn([vocab, 32], (Kind::Float, Device::Cpu)) + 0.5;
        let vectors = &vectors / vectors.square().sum_dim_intlist([1].as_slice(), true, Kind::Float).sqrt();
        let frequencies = Tensor::rand([vocab], (Kind::Float, Device::Cpu)).pow_tensor_scalar(8.0) * 0.1 + 1e-6;
        let tokens = TokenVectors { vectors, frequencies };
        initialize(&encoder.variables(), &tokens, encoder.config().architecture());

        let ids = tokenizer.encode(&sentences).unwrap();
        let found = encoder.forward(&ids, Precision::F32, false);
        let centred = &tokens.vectors - tokens.vectors.mean_dim([1].as_slice(), true, Kind::Float);
        let average = |ids: &Vec<i64>| {
            let ids = Tensor::from_slice(ids);
            let weights = SMOOTHING / (tokens.frequencies.index_select(0, &ids) + SMOOTHING);
            (centred.index_select(0, &ids) * weights.unsqueeze(1)).sum_dim_intlist([0].as_slice(), false, Kind::Float)
        };
        for (a, b) in [(0, 1), (0, 2), (1, 3), (2, 3)] {
            let expected = similarity(&average(&ids[a]), &average(&ids[b])).double_value(&[]);
            let cosine = similarity(&found.get(a as i64), &found.get(b as i64)).double_value(&[]);
            assert!((cosine - expected).abs() < 1e-4, "{a} {b}: {cosine} beside {expected}");
        }
    }
}
