"""What a server has to answer: from embeddings that sentence-transformers made of the same checkpoint."""

from dataclasses import dataclass
from pathlib import Path

import numpy

SCORE_PER_COSINE = 5


@dataclass(frozen=True)
class Expected:
    """`vectors` (sentences, hidden) are of length 1, of `sentences` in their order."""

    sentences: list[str]
    vectors: numpy.ndarray

    @staticmethod
    def of(sentences: list[str], model: Path) -> "Expected":
        from sentence_transformers import SentenceTransformer

        encoder = SentenceTransformer(str(model), device="cpu")
        vectors = encoder.encode(sentences, normalize_embeddings=True, show_progress_bar=False)
        return Expected(sentences, vectors.astype(numpy.float64))

    def cosine(self, first: int, second: int) -> float:
        return float(self.vectors[first] @ self.vectors[second])

    def scores(self, base: int, rows: list[int]) -> numpy.ndarray:
        return SCORE_PER_COSINE * (self.vectors[rows] @ self.vectors[base])
