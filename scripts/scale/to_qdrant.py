"""Loads a folder of embeddings into a Qdrant collection, one part after the other.

    python=$(scripts/scale/setup.sh)
    "$python" scripts/scale/to_qdrant.py --corpus out/wiki --url http://127.0.0.1:6333 --collection wiki

Run again, it replaces each point by itself: its id is the row's number.
"""

import argparse
import pathlib
import sys

import pyarrow.parquet as pq
from qdrant_client import QdrantClient, models

ROWS = 1000  # of a request


def points(batch, start):
    vectors = batch["embedding"].to_pylist()
    others = batch.drop_columns(["embedding"]).to_pylist()
    for row, (vector, payload) in enumerate(zip(vectors, others)):
        if vector is not None:
            yield models.PointStruct(id=start + row, vector=vector, payload=payload)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=pathlib.Path, required=True, help="folder that `embed` wrote with f32 or f16")
    parser.add_argument("--url", default="http://127.0.0.1:6333", help="the server; :memory: for a trial without one")
    parser.add_argument("--collection", required=True)
    arguments = parser.parse_args()
    parts = sorted(arguments.corpus.glob("part-*.parquet"))
    if not parts:
        sys.exit(f"error: {arguments.corpus}: holds no part-*.parquet, expected what `embed` wrote")
    client = QdrantClient(":memory:") if arguments.url == ":memory:" else QdrantClient(url=arguments.url)
    width = pq.read_schema(parts[0]).field("embedding").type.list_size
    if not client.collection_exists(arguments.collection):
        vectors = models.VectorParams(size=width, distance=models.Distance.COSINE)
        client.create_collection(arguments.collection, vectors_config=vectors)
    start = 0
    for part in parts:
        for batch in pq.ParquetFile(part).iter_batches(batch_size=ROWS):
            client.upsert(arguments.collection, list(points(batch, start)))
            start += batch.num_rows
        print(f"{part.name}: {start} rows so far", file=sys.stderr)
    print(f"{arguments.collection}: {client.count(arguments.collection).count} points")


if __name__ == "__main__":
    main()
