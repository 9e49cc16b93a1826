"""The ids that transformers gives our sentences with klue/roberta's tokenizer; decomposed text is composed first."""

import unicodedata
from pathlib import Path

from transformers import PreTrainedTokenizerFast

import sentences
from files import write_json

MAX_LENGTH = 128


def make(tokenizer: Path, output: Path) -> None:
    """`tokenizer`: a directory with `tokenizer.json`. Stores ids and our own sentences, nothing of the vocabulary."""
    fast = PreTrainedTokenizerFast(
        tokenizer_file=str(tokenizer / "tokenizer.json"),
        cls_token="[CLS]",
        pad_token="[PAD]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        mask_token="[MASK]",
    )
    texts = sentences.tokenized()
    composed = [unicodedata.normalize("NFC", text) for text in texts]
    ids = [fast(text, truncation=True, max_length=MAX_LENGTH).input_ids for text in composed]
    assert max(map(len, ids)) == MAX_LENGTH and min(map(len, ids)) == 2
    write_json(
        output,
        {
            "max_seq_length": MAX_LENGTH,
            "sentences": [{"text": text, "ids": row} for text, row in zip(texts, ids, strict=True)],
        },
    )
