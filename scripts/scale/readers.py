"""The ten texts nearest to one of a folder of embeddings, by polars, DuckDB and Spark: three readers, one answer.

    python=$(scripts/scale/setup.sh)
    "$python" scripts/scale/readers.py --corpus out/wiki
"""

import argparse
import sys

import numpy as np

TOP = 10


def best(texts, vectors, text):
    """The nearest texts with their cosines; of equals the first by name, since Spark has no order of rows."""
    vectors = np.asarray(vectors, dtype=np.float64)
    query = vectors[texts.index(text)]
    cosines = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    return sorted(zip(texts, cosines), key=lambda row: (-round(row[1], 6), row[0]))[:TOP]


def by_polars(corpus, column, text):
    import polars

    frame = polars.read_parquet(f"{corpus}/part-*.parquet").select(column, "embedding").drop_nulls()
    return best(frame[column].to_list(), frame["embedding"].to_numpy(), text)


def by_duckdb(corpus, column, text):
    import duckdb

    rows = f"""select "{column}" as text, embedding::float[] as embedding
               from read_parquet('{corpus}/part-*.parquet') where embedding is not null"""
    # The cosine is the database's own.
    return duckdb.execute(
        f"""with rows as ({rows}), query as (select embedding from rows where text = $1 limit 1)
            select text, list_cosine_similarity(rows.embedding, query.embedding)::double as cosine
            from rows, query order by -round(cosine, 6), text limit {TOP}""",
        [text],
    ).fetchall()


def by_spark(corpus, column, text):
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    rows = spark.read.parquet(f"{corpus}/part-*.parquet").select(column, "embedding").where("embedding is not null")
    rows = rows.collect()
    spark.stop()
    return best([row[column] for row in rows], [list(row.embedding) for row in rows], text)


def first(corpus, column):
    import polars

    return polars.scan_parquet(f"{corpus}/part-*.parquet").select(column).drop_nulls().head(1).collect().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True, help="folder that `embed` wrote, with --dtype f32 or int8")
    parser.add_argument("--column", default="text", help="column of the texts")
    parser.add_argument("--text", help="text of the row to compare with (default: the first)")
    arguments = parser.parse_args()
    text = arguments.text or first(arguments.corpus, arguments.column)
    answers = {}
    for reader in (by_polars, by_duckdb, by_spark):
        name = reader.__name__.removeprefix("by_")
        answers[name] = reader(arguments.corpus, arguments.column, text)
        print(f"\n{name}")
        for found, cosine in answers[name]:
            print(f"  {cosine:.4f}  {found[:70]}")
    texts = {name: [found for found, _ in answer] for name, answer in answers.items()}
    if any(found != texts["polars"] for found in texts.values()):
        sys.exit("error: the readers differ")
    print("\nall three give the same ten")


if __name__ == "__main__":
    main()
