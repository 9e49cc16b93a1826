"""One request of each kind, with the check of its answer against what was computed beforehand."""

import base64
import csv
import io
import json
import random
import socket
from collections.abc import Callable
from http.client import HTTPConnection
from urllib.parse import urlencode

import numpy

from expected import SCORE_PER_COSINE, Expected
from server import HOST

TIMEOUT_S = 120
JSON = {"Content-Type": "application/json"}
BOUNDARY = "boundary-of-a-form"


class Wrong(Exception):
    """An answer that is not this request's."""


class Client:
    """A connection that is kept and opened anew where the server has closed it."""

    def __init__(self, port: int, expected: Expected, tolerance: float, seed: int) -> None:
        self.port, self.expected, self.tolerance = port, expected, tolerance
        self.chance = random.Random(seed)
        self.connection = HTTPConnection(HOST, port, timeout=TIMEOUT_S)

    def one(self) -> tuple[str, int, float]:
        """Asks one thing: its kind, the status (0 where this side hung up), and the server's Retry-After in seconds."""
        kinds, weights = zip(*KINDS.items())
        (kind,) = self.chance.choices(kinds, weights)
        return (kind.__name__, *kind(self))

    def ask(
        self, method: str, path: str, body: bytes | str | None, headers: dict[str, str], check: Callable
    ) -> tuple[int, float]:
        try:
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
            answer = response.read()
        except BaseException:
            self.connection.close()
            raise
        if response.status == 200:
            check(json.loads(answer))
        return response.status, float(response.headers.get("Retry-After") or 0)

    def some(self, number: int) -> list[int]:
        return self.chance.choices(range(len(self.expected.sentences)), k=number)

    def texts(self, indices: list[int]) -> list[str]:
        return [self.expected.sentences[index] for index in indices]

    def same(self, got: object, wanted: object) -> None:
        got, wanted = numpy.array(got, dtype=float), numpy.array(wanted, dtype=float)
        if got.shape != wanted.shape:
            raise Wrong(f"{got.shape} numbers, expected {wanted.shape}")
        if not (apart := numpy.abs(got - wanted).max()) <= self.tolerance:  # not `>`: NaN must fail
            raise Wrong(f"{apart:.1e} apart from what is expected")


def pair(client: Client) -> tuple[int, float]:
    first, second = client.some(2)
    query = urlencode(dict(zip(("sentence1", "sentence2"), client.texts([first, second]))))
    wanted = client.expected.cosine(first, second)

    def check(answer: dict) -> None:
        client.same([answer["score"], answer["cosine"]], [SCORE_PER_COSINE * wanted, wanted])

    return client.ask("GET", f"/predict?{query}", None, {}, check)


def table(client: Client) -> tuple[int, float]:
    """A CSV, with rows that are empty and rows that occur twice; as often as not only its best."""
    base, *rows = client.some(client.chance.randint(20, 400))
    rows += rows[:5]
    cells: list[int | None] = [*rows, None, *rows[:1]]
    top_k = client.chance.choice([0, 10])
    wanted = client.expected.scores(base, [index or 0 for index in cells])

    def check(answer: dict) -> None:
        if top_k:
            results = answer["results"]
            for result in results:
                client.same([result["score"]], [wanted[result["index"]]])
                if result["sentence"] != client.expected.sentences[cells[result["index"]]]:
                    raise Wrong(f"row {result['index']} is another sentence")
            best = sorted((score for score, index in zip(wanted, cells) if index is not None), reverse=True)
            return client.same([result["score"] for result in results], best[:top_k])
        if list(map(int, answer)) != list(range(len(cells))) or answer[str(len(rows))] is not None:
            raise Wrong("other rows than were sent")
        client.same([score for score in answer.values() if score is not None], numpy.delete(wanted, len(rows)))

    texts = ["" if index is None else client.expected.sentences[index] for index in cells]
    body = form(client.expected.sentences[base], csv_of(texts), top_k)
    return client.ask("POST", "/predict", body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, check)


def embed(client: Client) -> tuple[int, float]:
    indices = client.some(client.chance.randint(1, 8))
    body = json.dumps({"inputs": client.texts(indices)})
    return client.ask(
        "POST", "/embed", body, JSON, lambda answer: client.same(answer, client.expected.vectors[indices])
    )


def openai(client: Client) -> tuple[int, float]:
    indices = client.some(client.chance.randint(1, 8))
    body = json.dumps({"input": client.texts(indices), "model": "any", "encoding_format": "base64"})

    def check(answer: dict) -> None:
        rows = [numpy.frombuffer(base64.b64decode(entry["embedding"]), numpy.float32) for entry in answer["data"]]
        client.same(rows, client.expected.vectors[indices])

    return client.ask("POST", "/v1/embeddings", body, JSON, check)


def similarity(client: Client) -> tuple[int, float]:
    base, *others = client.some(client.chance.randint(2, 9))
    inputs = {"source_sentence": client.expected.sentences[base], "sentences": client.texts(others)}
    wanted = client.expected.scores(base, others) / SCORE_PER_COSINE
    return client.ask(
        "POST", "/similarity", json.dumps({"inputs": inputs}), JSON, lambda answer: client.same(answer, wanted)
    )


def hang_up(client: Client) -> tuple[int, float]:
    """Sends a request and closes the connection without waiting."""
    with socket.create_connection((HOST, client.port), timeout=TIMEOUT_S) as connection:
        body = json.dumps({"inputs": client.texts(client.some(16))}).encode()
        head = (
            f"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
    return 0, 0


KINDS = {pair: 70, similarity: 10, embed: 8, openai: 6, table: 4, hang_up: 2}


def csv_of(texts: list[str]) -> str:
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(("번호", "문장"))
    writer.writerows(enumerate(texts))
    return output.getvalue()


def form(base: str, table: str | bytes, top_k: int) -> bytes:
    fields = {"base_sentence": base} | ({"top_k": str(top_k)} if top_k else {})
    body = b""
    for name, value in fields.items():
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="rows.csv"\r\n'
    body += f"{head}Content-Type: text/csv\r\n\r\n".encode() + (table.encode() if isinstance(table, str) else table)
    return body + f"\r\n--{BOUNDARY}--\r\n".encode()
