//! Losses of lists: the scores of one query's documents against their labels.
//!
//! Source: sentence-transformers, `RankNetLoss`, `LambdaLoss` with `NDCGLoss2PPScheme`, and `ListMLELoss` with
//! `respect_input_order=False`, each with the defaults of its class.

use tch::{Kind, Tensor};

/// How a list is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListLoss {
    /// Each two documents of which one is labelled higher.
    RankNet,
    /// The same, weighted by what an exchange of the two changes of the NDCG.
    Lambda,
    /// The likelihood of the labels' order.
    ListMle,
}

/// Weight of the bound on the NDCG beside the change of it: `NDCGLoss2PPScheme`.
const MU: f64 = 10.0;

impl ListLoss {
    /// What the losses of lists are divided by in all: pairs of which one is labelled higher, or lists.
    pub(crate) fn units(self, labels: &[f32]) -> f64 {
        match self {
            Self::ListMle => 1.0,
            Self::RankNet | Self::Lambda => {
                let above = |x: &f32| labels.iter().filter(|y| x > *y).count();
                labels.iter().map(above).sum::<usize>() as f64
            }
        }
    }

    /// The sum of a list's losses: scores (documents) and labels (documents) to a scalar.
    pub(crate) fn forward(self, scores: &Tensor, labels: &Tensor) -> Tensor {
        match self {
            Self::RankNet => pairwise(scores, labels, None),
            Self::Lambda => {
                let (_, order) = scores.detach().sort(0, true);
                pairwise(&scores.index_select(0, &order), &labels.index_select(0, &order), Some(ndcg_weights))
            }
            Self::ListMle => {
                let (_, order) = labels.sort_stable(true, 0, true);
                let scores = scores.index_select(0, &order);
                let normalizers = scores.flip([0]).logcumsumexp(0).flip([0]);
                (normalizers - scores).sum(Kind::Float)
            }
        }
    }
}

/// −log₂ σ(sᵢ − sⱼ), weighted, over all i and j of which i is labelled higher.
fn pairwise(scores: &Tensor, labels: &Tensor, weights: Option<fn(&Tensor) -> Tensor>) -> Tensor {
    let differences = scores.unsqueeze(1) - scores.unsqueeze(0); // (documents, documents)
    let losses = -differences.log_sigmoid() / std::f64::consts::LN_2;
    let losses = match weights {
        Some(weights) => losses * weights(labels),
        None => losses,
    };
    let is_above = labels.unsqueeze(1).gt_tensor(&labels.unsqueeze(0));
    losses.masked_select(&is_above).sum(Kind::Float)
}

/// Weights of pairs of documents, whose labels are given in the order of the scores.
fn ndcg_weights(labels: &Tensor) -> Tensor {
    let (count, options) = (labels.size()[0], (Kind::Float, labels.device()));
    let discounts = (Tensor::arange_start(2, count + 2, options)).log2(); // (documents)
    let gains = |labels: &Tensor| labels.exp2() - 1.0;
    let best = (gains(&labels.sort(0, true).0) / &discounts).sum(Kind::Float).clamp_min(1e-10);
    let gains = gains(labels) / best;
    let apart = (gains.unsqueeze(1) - gains.unsqueeze(0)).abs(); // (documents, documents)
    let inverse = discounts.reciprocal();
    let exchanged = (inverse.unsqueeze(1) - inverse.unsqueeze(0)).abs() * &apart;
    let places = Tensor::arange(count, (Kind::Int64, labels.device()));
    let distances = (places.unsqueeze(1) - places.unsqueeze(0)).abs(); // (documents, documents)
    // Of a distance d: |1/log₂(1 + d) − 1/log₂(2 + d)|; a document is no pair with itself.
    let steps = (&inverse - inverse.roll([-1], [0])).abs();
    let steps = steps.index_select(0, &(distances.flatten(0, -1) - 1).clamp_min(0)).view((count, count));
    let steps = steps * distances.gt(0).to_kind(Kind::Float);
    steps * apart * MU + exchanged
}
