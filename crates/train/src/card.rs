//! The model card that a checkpoint carries as its README.md.

use crate::{figures::shown, objective::Objective, report::Report};

/// Describes the best epoch of a run so far, with the front matter that the Hugging Face hub reads.
pub(crate) fn model_card(report: &Report) -> String {
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

print(pipeline("fill-mask", model="DIR")("서울은 대한민국의 [MASK]이다."))
```
"#
        );
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
