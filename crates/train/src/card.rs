//! The model card that a checkpoint carries as its README.md.

use std::path::Path;

use model::SimilarityFunction;

use crate::{figures::shown, loss::Loss, objective::Objective, report::Report};

/// Describes the best epoch of a run so far, with the front matter that the Hugging Face hub reads; `checkpoint` is where the
/// model lies.
pub(crate) fn model_card(report: &Report, checkpoint: &Path) -> String {
    let checkpoint = checkpoint.display();
    let (output, epoch) = (&report.output, report.epochs.iter().filter(|epoch| epoch.epoch > 0).count());
    let mut figures = String::new();
    if let Some(dev) = report.best_dev().first() {
        let headers: String = dev.figures().iter().map(|figure| format!(" {} |", figure.header)).collect();
        let rule = "---|".repeat(dev.figures().len());
        figures = format!(
            " Figures of its best epoch, {}, on dev:\n\n| data | rows |{headers}\n|---|---|{rule}",
            report.best.epoch
        );
    }
    for dev in report.best_dev() {
        figures += &format!("\n| {} | {} |", dev.data, dev.pairs);
        dev.figures().iter().for_each(|figure| figures += &format!(" {} |", shown((figure.value)(dev))));
    }
    if report.objective() == Objective::Mlm {
        return format!(
            r#"---
language: ko
library_name: transformers
pipeline_tag: fill-mask
---

# Korean masked language model

Pretrained by ko-sts: it names the tokens that are hidden in a text. Run `{output}`, after {epoch} epochs.{figures}

```python
from transformers import pipeline

print(pipeline("fill-mask", model="{checkpoint}")("서울은 대한민국의 [MASK]이다."))
```
"#
        );
    }
    if report.objective() == Objective::CrossEncoder {
        let (meaning, factor) = match report.loss() {
            Loss::Mse | Loss::Bce => ("times 5, is their similarity score from 0 to 5", "5 * "),
            _ => ("ranks second sentences by how well they fit the first; it is on no scale of scores", ""),
        };
        return format!(
            r#"---
language: ko
library_name: sentence-transformers
pipeline_tag: text-ranking
tags:
- sentence-transformers
- cross-encoder
- reranker
---

# Korean cross-encoder

Trained by ko-sts to read two sentences together: what it gives, {meaning}. Run `{output}`, after {epoch} epochs.{figures}

```python
from sentence_transformers import CrossEncoder

model = CrossEncoder("{checkpoint}")
print({factor}model.predict([("비가 온다.", "비가 내린다.")]))
```
"#
        );
    }
    let (meaning, factor) = meaning(report);
    let (import, similarity, own) = match report.similarity.unwrap_or_default() {
        SimilarityFunction::Cosine => (String::new(), "model.similarity", String::new()),
        // What `model.similarity` computes is not what was trained.
        other => (
            "from sentence_transformers.util import cos_sim\n".to_owned(),
            "cos_sim",
            format!(
                " The similarity that its configuration names, {other}, is that of the model that training began with."
            ),
        ),
    };
    format!(
        r#"---
language: ko
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags:
- sentence-transformers
- sentence-similarity
- feature-extraction
---

# Korean sentence encoder

Trained by ko-sts as a Siamese sentence encoder: {meaning}.{own} Run `{output}`, after {epoch} epochs.{figures}

```python
from sentence_transformers import SentenceTransformer
{import}
model = SentenceTransformer("{checkpoint}")
embeddings = model.encode(["비가 온다.", "비가 내린다."])
print({factor}{similarity}(embeddings[:1], embeddings[1:]))
```
"#
    )
}

/// The card of a checkpoint for a copy of it that lies elsewhere.
pub(crate) fn moved(card: &str, from: &Path, to: &Path) -> String {
    card.replace(&format!("\"{}\"", from.display()), &format!("\"{}\"", to.display()))
}

/// What the cosine of two sentences' embeddings says after such training, and the factor that makes it a score.
fn meaning(report: &Report) -> (&'static str, &'static str) {
    match (report.objective(), report.loss()) {
        (Objective::Sts, Loss::Mse) => {
            ("the cosine of two sentences' embeddings, times 5, is their\nsimilarity score from 0 to 5", "5 * ")
        }
        (Objective::Sts, _) => (
            "the cosine of two sentences' embeddings ranks pairs by their\nsimilarity; it is on no scale of scores",
            "",
        ),
        (Objective::Contrastive, _) => (
            "the cosine of two sentences' embeddings tells sentences that mean\nthe same from others; it is on no scale of scores",
            "",
        ),
        (Objective::Distillation, _) => {
            ("the cosine of two sentences' embeddings is that which its teachers\nfind, on average", "")
        }
        (Objective::CrossEncoder | Objective::Mlm, _) => {
            ("the cosine of two sentences' embeddings was not trained", "")
        }
    }
}
