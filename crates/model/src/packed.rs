//! A batch without padding: the tokens of all its sentences in one row.

use tch::{Device, Tensor};

use crate::config::EncoderConfig;

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

/// The tokens of all sentences of a batch in one row of length T, shortest sentence first.
///
/// Linear layers and layer norms see (T, hidden) and no padding token. Sentences of equal length stand together, so that
/// attention and pooling work on dense views of that row, without a mask.
#[derive(Debug)]
pub struct PackedBatch {
    pub(crate) input_ids: Tensor,    // (T)
    pub(crate) position_ids: Tensor, // (T)
    pub(crate) runs: Vec<Run>,
    starts: Option<Starts>, // on a GPU, where runs are several
    order: Vec<usize>,      // (sentences): the caller's number of each packed sentence
    restore: Tensor,        // (sentences): where each sentence of the caller stands in the packed order
}

/// Where sentences start, for kernels that take them as they lie. A kernel for each run would cost a GPU, which starts one in
/// microseconds, more than its work.
#[derive(Debug)]
pub(crate) struct Starts {
    /// First token of each sentence, and the number of tokens: (sentences + 1), i32.
    pub(crate) places: Tensor,
    /// Tokens of each sentence: (sentences), i64.
    pub(crate) lengths: Tensor,
    /// Tokens of the longest sentence.
    pub(crate) longest: i64,
}

impl PackedBatch {
    /// Packs tokenized sentences, none of them empty.
    pub fn new(sentences: &[Vec<i64>], config: &EncoderConfig, device: Device) -> Self {
        let mut order: Vec<usize> = (0..sentences.len()).collect();
        order.sort_by_key(|&index| sentences[index].len()); // stable: equal lengths keep the caller's order
        let mut restore = vec![0i64; sentences.len()];
        let (mut input_ids, mut position_ids, mut runs) = (Vec::new(), Vec::new(), Vec::<Run>::new());
        for (place, &index) in order.iter().enumerate() {
            restore[index] = place as i64;
            let ids = &sentences[index];
            let length = ids.len() as i64;
            match runs.last_mut() {
                Some(run) if run.length == length => run.sentences += 1,
                _ => runs.push(Run { start: input_ids.len() as i64, sentences: 1, length }),
            }
            input_ids.extend_from_slice(ids);
            position_ids.extend(config.position_ids(ids));
        }
        // The kernel reads eight numbers at a time.
        let is_readable = (config.hidden_size / config.num_attention_heads) % 8 == 0;
        let starts = (device.is_cuda() && is_readable && runs.len() > 1).then(|| Starts::new(&runs, device));
        Self {
            input_ids: Tensor::from_slice(&input_ids).to_device(device),
            position_ids: Tensor::from_slice(&position_ids).to_device(device),
            runs,
            starts,
            order,
            restore: Tensor::from_slice(&restore).to_device(device),
        }
    }

    /// Where sentences start, if that is the better way to take them.
    pub(crate) fn starts(&self) -> Option<&Starts> {
        self.starts.as_ref()
    }

    /// The dense blocks of the batch, in the order of their tokens.
    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Brings one row per sentence, (sentences, …) in packed order, into the caller's order.
    pub(crate) fn restore_order(&self, rows: &Tensor) -> Tensor {
        rows.index_select(0, &self.restore)
    }

    /// Brings one row per token, (tokens, …) in packed order, into the caller's order of sentences.
    pub(crate) fn restore_tokens(&self, rows: &Tensor) -> Tensor {
        let starts = self.runs.iter().flat_map(Run::starts).zip(&self.order);
        let mut sentences = vec![(0, 0); self.order.len()]; // first token and length, in the caller's order
        starts.for_each(|((start, length), &index)| sentences[index] = (start, length));
        let tokens: Vec<i64> = sentences.into_iter().flat_map(|(start, length)| start..start + length).collect();
        rows.index_select(0, &Tensor::from_slice(&tokens).to_device(rows.device()))
    }
}

impl Starts {
    fn new(runs: &[Run], device: Device) -> Self {
        let (places, lengths): (Vec<i32>, Vec<i64>) =
            runs.iter().flat_map(Run::starts).map(|(start, length)| (start as i32, length)).unzip();
        let tokens = runs.last().map_or(0, |run| run.start + run.sentences * run.length);
        Self {
            places: Tensor::from_slice(&[places, vec![tokens as i32]].concat()).to_device(device),
            longest: lengths.last().copied().unwrap_or_default(), // the shortest sentence comes first
            lengths: Tensor::from_slice(&lengths).to_device(device),
        }
    }
}

impl Run {
    /// First token and number of tokens of each sentence.
    fn starts(&self) -> impl Iterator<Item = (i64, i64)> + use<> {
        let Run { start, sentences, length } = *self;
        (0..sentences).map(move |number| (start + number * length, length))
    }

    /// This run's tokens of a packed (T, hidden) tensor as (sentences, length, hidden): a view, no copy.
    pub(crate) fn view(&self, packed: &Tensor) -> Tensor {
        packed.narrow(0, self.start, self.sentences * self.length).view((self.sentences, self.length, -1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pooling::Pooling;
    use tch::Kind;

    fn config(family: &str) -> EncoderConfig {
        serde_json::from_str(&format!(
            r#"{{"model_type": "{family}", "vocab_size": 10, "hidden_size": 4, "num_hidden_layers": 1,
                "num_attention_heads": 1, "intermediate_size": 4}}"#
        ))
        .unwrap()
    }

    fn pack(sentences: &[Vec<i64>]) -> PackedBatch {
        PackedBatch::new(sentences, &config("bert"), Device::Cpu)
    }

    fn values(tensor: &Tensor) -> Vec<i64> {
        Vec::try_from(tensor).unwrap()
    }

    #[test]
    fn sentences_of_equal_length_stand_together_without_padding() {
        let batch = PackedBatch::new(&[vec![5, 6, 7], vec![8], vec![2, 3, 4], vec![9]], &config("bert"), Device::Cpu);
        assert_eq!(values(&batch.input_ids), [8, 9, 5, 6, 7, 2, 3, 4]);
        assert_eq!(values(&batch.position_ids), [0, 0, 0, 1, 2, 0, 1, 2]);
        assert_eq!(batch.runs, [Run { start: 0, sentences: 2, length: 1 }, Run { start: 2, sentences: 2, length: 3 }]);
    }

    #[test]
    fn the_callers_order_is_restored() {
        let batch = PackedBatch::new(&[vec![5, 6, 7], vec![8], vec![2, 3]], &config("bert"), Device::Cpu);
        let lengths = Tensor::from_slice(&[1i64, 2, 3]); // packed order
        assert_eq!(values(&batch.restore_order(&lengths)), [3, 1, 2]);
    }

    #[test]
    fn by_their_starts_sentences_are_pooled_as_by_their_runs() {
        let sentences = [vec![5, 6, 7], vec![8], vec![2, 3, 4], vec![9, 1]];
        let runs = pack(&sentences);
        let starts = PackedBatch { starts: Some(Starts::new(&runs.runs, Device::Cpu)), ..pack(&sentences) };
        let tokens = Tensor::randn([9, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let weights = Tensor::randn([4, 4], (Kind::Float, Device::Cpu));
        for pooling in [Pooling::Mean, Pooling::Cls, Pooling::Max] {
            let pooled = [&runs, &starts].map(|batch| pooling.forward(&tokens, batch));
            let grads = pooled.each_ref().map(|pooled| {
                let loss = (pooled * &weights).sum(Kind::Float);
                Tensor::run_backward(&[loss], &[&tokens], false, false).remove(0)
            });
            for [by_run, by_start] in [pooled, grads] {
                assert!(by_run.allclose(&by_start, 1e-6, 1e-6, false), "{pooling:?}: {by_run} {by_start}");
            }
        }
    }

    #[test]
    fn the_callers_order_of_tokens_is_restored() {
        let sentences = [vec![5, 6, 7], vec![8], vec![2, 3], vec![9]];
        let batch = PackedBatch::new(&sentences, &config("bert"), Device::Cpu);
        assert_eq!(values(&batch.restore_tokens(&batch.input_ids)), sentences.concat());
    }

    #[test]
    fn roberta_positions_start_after_the_padding_id_and_skip_padding_in_the_text() {
        // transformers: create_position_ids_from_input_ids(torch.tensor([[0, 5, 1, 6, 2]]), padding_idx=1)
        let batch = PackedBatch::new(&[vec![0, 5, 1, 6, 2]], &config("roberta"), Device::Cpu);
        assert_eq!(values(&batch.position_ids), [2, 3, 1, 4, 5]);
    }
}
