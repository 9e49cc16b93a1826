//! The model card that a checkpoint carries as its README.md.

use crate::report::{Report, correlation};

/// Describes the best epoch of a run so far, with the front matter that the Hugging Face hub reads.
pub(crate) fn model_card(report: &Report) -> String {
    let (output, epoch) = (&report.output, report.epochs.len());
    let mut figures = String::new();
    if epoch > 0 {
        let head = "| data | pairs | Pearson | Spearman | F1 ≥ 3.0 | MSE |\n|---|---|---|---|---|---|";
        figures = format!(" Figures of its best epoch, {}, on dev:\n\n{head}", report.best.epoch);
    }
    for dev in report.best_dev() {
        let (pearson, spearman) = (correlation(dev.pearson), correlation(dev.spearman));
        figures +=
            &format!("\n| {} | {} | {pearson} | {spearman} | {:.4} | {:.4} |", dev.data, dev.pairs, dev.f1, dev.loss);
    }
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

Fine-tuned by ko-sts as a Siamese sentence encoder: the cosine of two sentences' embeddings, times 5, is their similarity
score. Run `{output}`, after {epoch} epochs.{figures}

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("DIR")
embeddings = model.encode(["비가 온다.", "비가 내린다."])
print(5 * model.similarity(embeddings[:1], embeddings[1:]))
```
"#
    )
}
