"""Rerankers that others wrote, pointed at the server: those of Cohere, LangChain and LlamaIndex.

    scripts/serving/run.sh rerankers [--reranker DIR] [-- options of serve]

What they get is compared with sentence-transformers' CrossEncoder on the same checkpoint, by default a tiny one with random
weights.
"""

import argparse
import os
import sys
from pathlib import Path

import cohere
import numpy
from langchain_cohere import CohereRerank
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.postprocessor.cohere_rerank import CohereRerank as LlamaCohereRerank
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

from server import HOST, serve

ROOT = Path(__file__).resolve().parents[2]
LOG = ROOT / "target" / "serving" / "rerankers.log"
QUERY = "비 오는 날에 갈 만한 곳"
TEXTS = ["실내 전시관은 비가 와도 즐길 수 있다.", "등산은 맑은 날에 하는 것이 좋다.", "내일 서울에 비가 오나요?", "남자가 기타를 친다."]
KEY = "none"
TOLERANCE = 1e-4

Scores = dict[int, float]  # by the place of the text


def v1(address: str) -> Scores:
    answer = cohere.Client(KEY, base_url=address).rerank(model="any", query=QUERY, documents=TEXTS, return_documents=True)
    assert all(result.document.text == TEXTS[result.index] for result in answer.results)
    return {result.index: result.relevance_score for result in answer.results}


def v2(address: str) -> Scores:
    answer = cohere.ClientV2(KEY, base_url=address).rerank(model="any", query=QUERY, documents=TEXTS, top_n=len(TEXTS))
    return {result.index: result.relevance_score for result in answer.results}


def langchain(address: str) -> Scores:
    reranker = CohereRerank(cohere_api_key=KEY, base_url=address, model="any", top_n=len(TEXTS))
    documents = [Document(page_content=text) for text in TEXTS]
    best = reranker.compress_documents(documents, QUERY)
    return {TEXTS.index(document.page_content): document.metadata["relevance_score"] for document in best}


def nodes() -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text=text), score=0.0) for text in TEXTS]


def of_nodes(best: list[NodeWithScore]) -> Scores:
    return {TEXTS.index(own.node.get_content()): own.score for own in best}


def llama_index_cohere(address: str) -> Scores:
    reranker = LlamaCohereRerank(api_key=KEY, base_url=address, model="any", top_n=len(TEXTS))
    return of_nodes(reranker.postprocess_nodes(nodes(), QueryBundle(QUERY)))


def llama_index_tei(address: str) -> Scores:
    reranker = TextEmbeddingInference(base_url=address, top_n=len(TEXTS), model_name="any")
    return of_nodes(reranker.postprocess_nodes(nodes(), QueryBundle(QUERY)))


def reference(model: Path) -> numpy.ndarray:
    """Each text's score, from 0 to 1."""
    from sentence_transformers import CrossEncoder
    from torch.nn import Sigmoid

    encoder = CrossEncoder(str(model), device="cpu")
    return encoder.predict([(QUERY, text) for text in TEXTS], activation_fn=Sigmoid()).astype(numpy.float64)


def tiny(folder: Path) -> Path:
    """A tiny BERT with random weights and the tokenizer of the tests' models."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    fixtures = ROOT / "crates" / "model" / "tests" / "fixtures" / "roberta-tiny"
    tokenizer = AutoTokenizer.from_pretrained(fixtures)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, num_labels=1, initializer_range=0.3, **sizes)
    model = folder / "tiny-reranker"
    BertForSequenceClassification(config).save_pretrained(model)
    tokenizer.save_pretrained(model)
    return model


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/serving/run.sh rerankers", description=__doc__.splitlines()[0])
    parser.add_argument("--reranker", type=Path, help="default: a tiny BERT with random weights")
    parser.add_argument("options", nargs="*", help="of serve, after --")
    arguments = parser.parse_args()
    model = arguments.reranker or tiny(Path(os.environ["BENCH_ENVIRONMENTS"]))
    expected, failed = reference(model), 0
    cases = [v1, v2, langchain, llama_index_cohere, llama_index_tei]
    with serve("serve", ["--reranker", model, "--precision", "f32", *arguments.options], LOG) as server:
        for case in cases:
            try:
                found = case(f"http://{HOST}:{server.port}")
                distance = max(abs(found[place] - expected[place]) for place in range(len(TEXTS)))
                in_order = list(found) == sorted(found, key=found.get, reverse=True)
            except Exception as error:  # a client's own error is what this is looking for
                distance, in_order = float("inf"), False
                print(f"{case.__name__}: {error!r}")
            failed += (wrong := not (distance <= TOLERANCE and in_order))
            print(f"{'FAILED' if wrong else 'ok    '}  {case.__name__}: {distance:.1e} from sentence-transformers")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
