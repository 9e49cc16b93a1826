//! Training losses over the pairs of a batch.

use eval::LABEL_SCALE;
use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

use crate::{joined::JoinedBatch, list_loss::ListLoss, objective::Objective};

/// What training makes small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// Mean squared error of 5 · cosine, or of 5 times a cross-encoder's number, against the label.
    #[default]
    Mse,
    /// Ranking of the batch's cosines by their labels.
    Cosent,
    /// Binary cross-entropy of a cross-encoder's number against a fifth of the label.
    Bce,
    /// Order of each two pairs with the same first sentence.
    RankNet,
    /// The same, by what it is worth at its place.
    #[serde(rename = "lambdaloss")]
    Lambda,
    /// Order of all pairs with the same first sentence.
    ListMle,
}

impl Loss {
    /// Its name in the literature.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Loss::Mse => "MSE",
            Loss::Cosent => "CoSENT",
            Loss::Bce => "binary cross-entropy",
            Loss::RankNet => "RankNet",
            Loss::Lambda => "LambdaLoss",
            Loss::ListMle => "ListMLE",
        }
    }

    /// Its name in a configuration.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Loss::Mse => "mse",
            Loss::Cosent => "cosent",
            Loss::Bce => "bce",
            Loss::RankNet => "ranknet",
            Loss::Lambda => "lambdaloss",
            Loss::ListMle => "listmle",
        }
    }

    /// Those of an objective, the default first.
    pub(crate) fn of(objective: Objective) -> &'static [Loss] {
        match objective {
            Objective::Sts => &[Loss::Mse, Loss::Cosent],
            Objective::CrossEncoder => &[Loss::Bce, Loss::Mse, Loss::RankNet, Loss::Lambda, Loss::ListMle],
            Objective::Contrastive | Objective::Distillation | Objective::Mlm => &[],
        }
    }

    /// The loss of lists, where it learns the order of pairs that share their first sentence.
    pub(crate) fn list_loss(self) -> Option<ListLoss> {
        match self {
            Loss::Mse | Loss::Cosent | Loss::Bce => None,
            Loss::RankNet => Some(ListLoss::RankNet),
            Loss::Lambda => Some(ListLoss::Lambda),
            Loss::ListMle => Some(ListLoss::ListMle),
        }
    }

    /// A cross-encoder's numbers (pairs) of some lists, and their labels, to the sum of the losses of these pairs or lists; see
    /// [`Loss::units`].
    ///
    /// # Panics
    /// If it is no loss of a cross-encoder.
    pub(crate) fn sum(self, numbers: &Tensor, batch: &JoinedBatch) -> Tensor {
        let labels = Tensor::from_slice(&batch.labels).to_device(numbers.device());
        match (self, self.list_loss()) {
            (_, Some(loss)) => {
                let lists = batch.split(numbers).into_iter().zip(batch.split(&labels));
                let losses: Vec<Tensor> = lists.map(|(numbers, labels)| loss.forward(&numbers, &labels)).collect();
                Tensor::stack(&losses, 0).sum(Kind::Float)
            }
            (Loss::Mse, _) => (numbers * LABEL_SCALE).mse_loss(&labels, Reduction::Sum),
            (Loss::Bce, _) => {
                let (targets, none) = (labels / LABEL_SCALE, None::<Tensor>);
                numbers.binary_cross_entropy_with_logits(&targets, none.as_ref(), none.as_ref(), Reduction::Sum)
            }
            (loss, None) => unreachable!("{} is no loss of a cross-encoder", loss.name()),
        }
    }

    /// A cross-encoder's numbers (pairs) of some lists, and their labels, to the mean loss of these pairs or lists.
    ///
    /// # Panics
    /// If it is no loss of a cross-encoder.
    pub fn mean(self, numbers: &Tensor, batch: &JoinedBatch) -> Tensor {
        self.sum(numbers, batch) / self.units(batch)
    }

    /// What the sum of a batch's losses is divided by.
    pub(crate) fn units(self, batch: &JoinedBatch) -> f64 {
        match self.list_loss() {
            Some(loss) => batch.labels_of_lists().map(|labels| loss.units(labels)).sum(),
            None => batch.pairs.len() as f64,
        }
    }

    /// Whether it compares the pairs of a batch with each other, and so is no mean over them.
    pub(crate) fn spans_batch(self) -> bool {
        self == Self::Cosent
    }

    /// Cosines (pairs) and labels (pairs) to a scalar.
    ///
    /// # Panics
    /// If it is a loss of cross-encoders.
    pub fn forward(self, cosines: &Tensor, labels: &Tensor) -> Tensor {
        match self {
            Loss::Mse => mse_loss(cosines, labels),
            Loss::Cosent => cosent_loss(cosines, labels),
            loss => unreachable!("{} is a cross-encoder's", loss.name()),
        }
    }
}

fn mse_loss(cosines: &Tensor, labels: &Tensor) -> Tensor {
    (cosines * LABEL_SCALE).mse_loss(labels, Reduction::Mean)
}

/// Factor on the cosines' differences.
const COSENT_SCALE: f64 = 20.0;

/// ln(1 + Σ exp(20 · (cosᵢ − cosⱼ))) over all i, j of the batch where i is labelled lower than j. It looks at the order
/// of the labels alone, and depends on which pairs share a batch. Source: sentence-transformers, `CoSENTLoss`.
fn cosent_loss(cosines: &Tensor, labels: &Tensor) -> Tensor {
    let scores = cosines * COSENT_SCALE;
    let differences = scores.unsqueeze(1) - scores.unsqueeze(0); // (pairs, pairs): i − j
    let wrong_order = labels.unsqueeze(1).lt_tensor(&labels.unsqueeze(0)); // (pairs, pairs): i should be below j
    let exponents = differences.masked_select(&wrong_order);
    let zero = Tensor::zeros([1], (Kind::Float, cosines.device())); // the 1 of the logarithm
    Tensor::cat(&[zero, exponents], 0).logsumexp([0], false)
}
