//! A batch without padding: the tokens of all its sentences in one row.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use crate::{architecture::Embeddings, sequence::Sequence};

/// Neighbouring sentences of equal length within a packed batch: a dense (sentences, length) block of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// First token of the run.
    pub(crate) start: i64,
    /// Sentences in the run.
    pub(crate) sentences: i64,
    /// Tokens of each sentence.
    pub(crate) length: i64,
}

/// The tokens of all sentences of a batch in one row of length T.
///
/// Linear layers and layer norms see (T, hidden) and no padding token.
#[derive(Debug)]
pub struct PackedBatch {
    pub(crate) input_ids: Tensor,    // (T)
    pub(crate) position_ids: Tensor, // (T)
    /// (T); none where all tokens are of type 0.
    pub(crate) token_types: Option<Tensor>,
    pub(crate) packing: Packing,
    sentences: Vec<Range<i64>>, // of tokens, as they lie
}

/// How sentences lie in the row.
#[derive(Debug)]
pub(crate) enum Packing {
    /// Shortest first, so that those of equal length stand together: attention and pooling work on dense views, without a
    /// mask.
    Runs {
        runs: Vec<Run>,
        /// The caller's number of each packed sentence.
        order: Vec<usize>,
        /// Where each sentence of the caller stands in the packed order: (sentences).
        restore: Tensor,
    },
    /// In the caller's order, for kernels that take sentences as they lie. To start a kernel for each run would cost a GPU
    /// more than its work.
    Starts(Starts),
}

/// Where sentences start and end.
#[derive(Debug)]
pub(crate) struct Starts {
    /// First token of each sentence, and the number of tokens: (sentences + 1), i32.
    pub(crate) cu_seqlens: Tensor,
    /// Tokens of each sentence: (sentences), i64.
    pub(crate) lengths: Tensor,
    /// Tokens of the longest sentence.
    pub(crate) max_seqlen: i64,
    slots: Tensor, // (tokens): where each lies when all sentences are padded to the longest
}

impl PackedBatch {
    /// Packs tokenized sentences, none of them empty.
    pub fn new<S: Sequence>(sentences: &[S], embeddings: &Embeddings, device: Device) -> Self {
        let are_equal = sentences.windows(2).all(|two| two[0].ids().len() == two[1].ids().len());
        if device.is_cuda() && !are_equal {
            return Self::in_order(sentences, embeddings, device);
        }
        let mut order: Vec<usize> = (0..sentences.len()).collect();
        order.sort_by_key(|&index| sentences[index].ids().len()); // stable: equal lengths keep the caller's order
        let mut restore = vec![0i64; sentences.len()];
        let (mut runs, mut end) = (Vec::<Run>::new(), 0);
        for (place, &index) in order.iter().enumerate() {
            restore[index] = place as i64;
            let length = sentences[index].ids().len() as i64;
            match runs.last_mut() {
                Some(run) if run.length == length => run.sentences += 1,
                _ => runs.push(Run { start: end, sentences: 1, length }),
            }
            end += length;
        }
        let packed: Vec<&S> = order.iter().map(|&index| &sentences[index]).collect();
        let sentences = ranges(&packed);
        let (input_ids, position_ids, token_types) = ids(&packed, embeddings, device);
        let restore = Tensor::from_slice(&restore).to_device(device);
        Self { input_ids, position_ids, token_types, packing: Packing::Runs { runs, order, restore }, sentences }
    }

    fn in_order<S: Sequence>(sentences: &[S], embeddings: &Embeddings, device: Device) -> Self {
        let (input_ids, position_ids, token_types) = ids(sentences, embeddings, device);
        let packing = Packing::Starts(Starts::new(sentences, device));
        Self { input_ids, position_ids, token_types, packing, sentences: ranges(sentences) }
    }

    /// The tokens of each sentence, in packed order.
    pub(crate) fn sentences(&self) -> &[Range<i64>] {
        &self.sentences
    }

    /// Tokens of the longest sentence.
    pub(crate) fn longest(&self) -> i64 {
        self.sentences.iter().map(|tokens| tokens.end - tokens.start).max().unwrap_or_default()
    }

    /// Brings one row per sentence, (sentences, …) in packed order, into the caller's order.
    pub(crate) fn restore_order(&self, rows: Tensor) -> Tensor {
        match &self.packing {
            Packing::Runs { restore, .. } => rows.index_select(0, restore),
            Packing::Starts(_) => rows,
        }
    }

    /// Brings one row per token, (tokens, …) in packed order, into the caller's order of sentences.
    pub(crate) fn restore_tokens(&self, rows: Tensor) -> Tensor {
        let Packing::Runs { runs, order, .. } = &self.packing else { return rows };
        let mut sentences = vec![(0, 0); order.len()]; // first token and length, in the caller's order
        let packed = runs.iter().flat_map(|&Run { start, sentences, length }| {
            (0..sentences).map(move |number| (start + number * length, length))
        });
        packed.zip(order).for_each(|(place, &index)| sentences[index] = place);
        let tokens: Vec<i64> = sentences.into_iter().flat_map(|(start, length)| start..start + length).collect();
        rows.index_select(0, &Tensor::from_slice(&tokens).to_device(rows.device()))
    }
}

/// Where sentences lie, one after the other.
fn ranges<S: Sequence>(sentences: &[S]) -> Vec<Range<i64>> {
    let mut start = 0;
    let range = |sentence: &S| {
        let range = start..start + sentence.ids().len() as i64;
        start = range.end;
        range
    };
    sentences.iter().map(range).collect()
}

/// Token and position ids of sentences, one after the other, and the tokens' types where some are not 0: (T) each.
fn ids<S: Sequence>(sentences: &[S], embeddings: &Embeddings, device: Device) -> (Tensor, Tensor, Option<Tensor>) {
    let (mut input_ids, mut position_ids, mut types) = (Vec::new(), Vec::new(), Vec::new());
    // Types beyond the table are its last: of models that do not tell two texts apart.
    let last = embeddings.token_types.as_ref().map_or(0, |table| table.rows - 1);
    for sentence in sentences {
        input_ids.extend_from_slice(sentence.ids());
        position_ids.extend(embeddings.position_ids(sentence.ids()));
        types.extend((0..sentence.ids().len()).map(|place| i64::from(place >= sentence.second()).min(last)));
    }
    let on_device = |ids: &[i64]| Tensor::from_slice(ids).to_device(device);
    let are_typed = types.iter().any(|&token_type| token_type != 0);
    (on_device(&input_ids), on_device(&position_ids), are_typed.then(|| on_device(&types)))
}

impl Starts {
    pub(crate) fn new<S: Sequence>(sentences: &[S], device: Device) -> Self {
        let lengths: Vec<i64> = sentences.iter().map(|sentence| sentence.ids().len() as i64).collect();
        let max_seqlen = lengths.iter().copied().max().unwrap_or_default();
        let ends = lengths.iter().scan(0, |end, &length| {
            *end += length as i32;
            Some(*end)
        });
        let cu_seqlens: Vec<i32> = std::iter::once(0).chain(ends).collect();
        let rows = (0..).step_by(max_seqlen.max(1) as usize).zip(&lengths);
        let slots: Vec<i64> = rows.flat_map(|(first, length)| first..first + length).collect();
        Self {
            cu_seqlens: Tensor::from_slice(&cu_seqlens).to_device(device),
            max_seqlen,
            lengths: Tensor::from_slice(&lengths).to_device(device),
            slots: Tensor::from_slice(&slots).to_device(device),
        }
    }

    /// Which places of padded sentences hold a token: (sentences, longest), boolean.
    pub(crate) fn is_token(&self) -> Tensor {
        let columns = Tensor::arange(self.max_seqlen, (Kind::Int64, self.lengths.device())); // (longest)
        columns.unsqueeze(0).lt_tensor(&self.lengths.unsqueeze(1))
    }

    /// (tokens, width) to (sentences, longest, width), with `fill` where there is no token.
    pub(crate) fn pad(&self, tokens: &Tensor, fill: f64) -> Tensor {
        let (sentences, width) = (self.lengths.size()[0], tokens.size()[1]);
        Tensor::full([sentences * self.max_seqlen, width], fill, (tokens.kind(), tokens.device()))
            .index_copy(0, &self.slots, tokens)
            .view((sentences, self.max_seqlen, width))
    }

    /// (sentences, longest, width) to (tokens, width).
    pub(crate) fn unpad(&self, padded: &Tensor) -> Tensor {
        padded.flatten(0, 1).index_select(0, &self.slots)
    }
}

impl Run {
    /// This run's tokens of a packed (T, hidden) tensor as (sentences, length, hidden): a view, no copy.
    pub(crate) fn view(&self, packed: &Tensor) -> Tensor {
        let rows = packed.narrow(0, self.start, self.sentences * self.length);
        rows.view((self.sentences, self.length, packed.size()[1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pooling::Pooling;

    fn embeddings(family: &str) -> Embeddings {
        let config: crate::EncoderConfig = serde_json::from_str(&format!(
            r#"{{"model_type": "{family}", "vocab_size": 10, "hidden_size": 4, "num_hidden_layers": 1,
                "num_attention_heads": 1, "intermediate_size": 4}}"#
        ))
        .unwrap();
        config.architecture().embeddings.clone()
    }

    fn pack(sentences: &[Vec<i64>]) -> PackedBatch {
        PackedBatch::new(sentences, &embeddings("bert"), Device::Cpu)
    }

    fn values(tensor: &Tensor) -> Vec<i64> {
        Vec::try_from(tensor).unwrap()
    }

    #[test]
    fn sentences_of_equal_length_stand_together_without_padding() {
        let batch =
            PackedBatch::new(&[vec![5, 6, 7], vec![8], vec![2, 3, 4], vec![9]], &embeddings("bert"), Device::Cpu);
        assert_eq!(values(&batch.input_ids), [8, 9, 5, 6, 7, 2, 3, 4]);
        assert_eq!(values(&batch.position_ids), [0, 0, 0, 1, 2, 0, 1, 2]);
        let Packing::Runs { runs, .. } = &batch.packing else { panic!("a processor works on runs") };
        assert_eq!(*runs, [Run { start: 0, sentences: 2, length: 1 }, Run { start: 2, sentences: 2, length: 3 }]);
    }

    #[test]
    fn the_callers_order_is_restored() {
        let batch = PackedBatch::new(&[vec![5, 6, 7], vec![8], vec![2, 3]], &embeddings("bert"), Device::Cpu);
        let lengths = Tensor::from_slice(&[1i64, 2, 3]); // packed order
        assert_eq!(values(&batch.restore_order(lengths)), [3, 1, 2]);
    }

    #[test]
    fn by_their_starts_sentences_are_pooled_as_by_their_runs() {
        let sentences = [vec![5, 6, 5], vec![8], vec![2, 3, 4], vec![9, 9]]; // the largest may stand there twice
        let runs = pack(&sentences);
        let starts = PackedBatch::in_order(&sentences, &embeddings("bert"), Device::Cpu);
        let table = Tensor::randn([10, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let poolings = ["mean", "cls", "max", "mean_sqrt_len", "weightedmean", "lasttoken", "cls+mean"];
        for (pooling, skipped) in poolings.iter().flat_map(|pooling| [0, 1, 2].map(|skipped| (pooling, skipped))) {
            let pooling: Pooling = pooling.parse().unwrap();
            let weights = Tensor::randn([4, pooling.width(4) as i64], (Kind::Float, Device::Cpu));
            let pooled =
                [&runs, &starts].map(|batch| pooling.forward(&table.index_select(0, &batch.input_ids), batch, skipped));
            let grads = pooled.each_ref().map(|pooled| {
                let loss = (pooled * &weights).sum(Kind::Float);
                Tensor::run_backward(&[loss], &[&table], false, false).remove(0)
            });
            for [by_run, by_start] in [pooled, grads] {
                assert!(by_run.allclose(&by_start, 1e-6, 1e-6, false), "{pooling:?}, {skipped}: {by_run} {by_start}");
            }
        }
    }

    #[test]
    fn the_callers_order_of_tokens_is_restored() {
        let sentences = [vec![5, 6, 7], vec![8], vec![2, 3], vec![9]];
        let batch = PackedBatch::new(&sentences, &embeddings("bert"), Device::Cpu);
        assert_eq!(values(&batch.restore_tokens(batch.input_ids.shallow_clone())), sentences.concat());
    }

    #[test]
    fn roberta_positions_start_after_the_padding_id_and_skip_padding_in_the_text() {
        // transformers: create_position_ids_from_input_ids(torch.tensor([[0, 5, 1, 6, 2]]), padding_idx=1)
        let batch = PackedBatch::new(&[vec![0, 5, 1, 6, 2]], &embeddings("roberta"), Device::Cpu);
        assert_eq!(values(&batch.position_ids), [2, 3, 1, 4, 5]);
    }
}
