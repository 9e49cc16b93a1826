"""Clients that others wrote, pointed at the server: `openai` and `huggingface_hub`'s InferenceClient.

    scripts/serving/run.sh clients [--model DIR] [-- options of serve]

What they get is compared with sentence-transformers on the same checkpoint.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy
from huggingface_hub import InferenceClient
from openai import BadRequestError, OpenAI

from expected import Expected
from server import HOST, serve

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "bench"))
from checkpoints import checkpoint  # noqa: E402

LOG = ROOT / "target" / "serving" / "clients.log"
SENTENCES = ["한 남자가 기타를 치고 있다.", "남자가 기타를 연주하고 있다.", "내일 서울에 비가 오나요?"]
TOLERANCE = 1e-4


def apart(got: object, wanted: numpy.ndarray) -> float:
    got = numpy.array(got, dtype=float)
    return float(numpy.abs(got - wanted).max()) if got.shape == wanted.shape else float("inf")


def openai_list(client: OpenAI, expected: Expected) -> float:
    answer = client.embeddings.create(model="ko-sts", input=SENTENCES)  # asks for base64 by itself
    assert answer.usage.total_tokens > 0 and [entry.index for entry in answer.data] == [0, 1, 2]
    return apart([entry.embedding for entry in answer.data], expected.vectors)


def openai_one(client: OpenAI, expected: Expected) -> float:
    answer = client.embeddings.create(model="ko-sts", input=SENTENCES[0], encoding_format="float")
    return apart(answer.data[0].embedding, expected.vectors[0])


def openai_dimensions(client: OpenAI, _: Expected) -> float:
    try:
        client.embeddings.create(model="ko-sts", input=SENTENCES[0], dimensions=7)
    except BadRequestError as error:
        return 0 if error.body["message"] else float("inf")
    return float("inf")


def hub_features(client: InferenceClient, expected: Expected) -> float:
    return apart(client.feature_extraction(SENTENCES[0], normalize=True), expected.vectors[:1])


def hub_many_features(client: InferenceClient, expected: Expected) -> float:
    return apart(client.feature_extraction(SENTENCES), expected.vectors)


def hub_similarity(client: InferenceClient, expected: Expected) -> float:
    got = client.sentence_similarity(SENTENCES[0], other_sentences=SENTENCES[1:])
    return apart(got, expected.vectors[1:] @ expected.vectors[0])


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/serving/run.sh clients", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="default: the shape `tiny`, random weights")
    parser.add_argument("options", nargs="*", help="of serve, after --")
    arguments = parser.parse_args()
    folder, data = Path(os.environ["BENCH_ENVIRONMENTS"]), Path(os.environ["STS_DATA_DIR"])
    model = arguments.model or checkpoint("tiny", data, folder)
    expected = Expected.of(SENTENCES, model)
    failed = 0
    with serve("serve", ["--model", model, "--precision", "f32", *arguments.options], LOG) as server:
        address = f"http://{HOST}:{server.port}"
        openai, hub = OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0), InferenceClient(model=address)
        cases = [
            (openai_list, openai),
            (openai_one, openai),
            (openai_dimensions, openai),
            (hub_features, hub),
            (hub_many_features, hub),
            (hub_similarity, hub),
        ]
        for case, client in cases:
            try:
                distance = case(client, expected)
            except Exception as error:  # a client's own error is what this is looking for
                distance = float("inf")
                print(f"{case.__name__}: {error!r}")
            failed += (wrong := not distance <= TOLERANCE)
            print(f"{'FAILED' if wrong else 'ok    '}  {case.__name__}: {distance:.1e} from sentence-transformers")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
