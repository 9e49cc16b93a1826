"""The sentences that both sides encode, all written for this project."""

import unicodedata

import sentences

# Without outer blanks, which sentence-transformers 5.0 strips and later versions keep; one line each, as `encode` reads; in NFC,
# which text becomes here before it is tokenized.
KOREAN: list[str] = [
    text
    for text in dict.fromkeys(sentences.EMBEDDED + sentences.UNUSUAL)
    if text == text.strip() and "\n" not in text and unicodedata.is_normalized("NFC", text)
]
# Text that spells a special token: with `do_lower_case` it is text to sentence-transformers 5.0 and a token to 6.
LOWERED: list[str] = [text for text in KOREAN if "[" not in text]

_SUBJECTS = [
    "The ferry to the island",
    "My neighbour's grey cat",
    "A team of young engineers",
    "The committee's final report",
    "Nobody in the waiting room",
    "Our old coffee machine",
    "The orchestra from Daegu",
    "An unexpected letter",
]
_PREDICATES = [
    "arrived two hours later than planned",
    "was praised by everyone who had seen it",
    "did not stop at the second crossing",
    "cost no more than £12.50, tax included",
    "has been moved to a smaller building",
    "can be recognised from far away",
]
_ENDINGS = [".", ", although it had been raining since 6:45 a.m.", "; would you have guessed?", " - or so we were told!"]
_OTHERS = [
    "",
    "No.",
    "Why not?",
    "42",
    "HELLO WORLD",
    "don't, can't, won't, shouldn't've",
    "café, naïve, Zürich, São Paulo, Łódź",
    "An e-mail to someone@example.com about https://example.com/a?b=c#d",
    "😀 What a day 👍🏽",
    "3.14159 * 2 = 6.28318",
    "A “quoted” phrase — with dashes…",
    "[MASK] is not a word, and neither is [SEP].",
    "Honorificabilitudinitatibus",
    "서울 is the capital of South Korea.",
    "東京 and 北京 are cities.",
    "x" * 120,
    "The list goes on and on, item after item. " * 40,  # beyond the published model's 256 tokens
    "one two three four five six seven eight nine ten " * 30,
]


def english() -> list[str]:
    """200 sentences, from none to more than 256 tokens."""
    combined = [f"{subject} {predicate}{ending}" for subject in _SUBJECTS for predicate in _PREDICATES for ending in _ENDINGS]
    chosen = (_OTHERS + combined)[:200]
    assert len(set(chosen)) == 200
    return chosen
