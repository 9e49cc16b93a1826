"""Loads a folder of embeddings into a table of PostgreSQL with the extension pgvector, by COPY.

    python=$(scripts/scale/setup.sh)
    "$python" scripts/scale/to_pgvector.py --corpus out/wiki --database postgresql:///postgres --table wiki

The table is made anew, in one transaction: whoever reads it sees the old rows or all of the new ones. Then

    select text, 1 - (embedding <=> $1) as cosine from wiki order by embedding <=> $1 limit 10;

An index (`create index on wiki using hnsw (embedding vector_cosine_ops)`, pgvector 0.5 or newer) makes that approximate
and fast.
"""

import argparse
import pathlib
import sys

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql


def kind(field, width):
    """The database's name for a column's type."""
    if field.name == "embedding":
        return sql.SQL(f"vector({width})")
    if pa.types.is_boolean(field.type):
        return sql.SQL("boolean")
    if pa.types.is_integer(field.type):
        return sql.SQL("bigint")
    if pa.types.is_floating(field.type):
        return sql.SQL("double precision")
    return sql.SQL("text")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=pathlib.Path, required=True, help="folder that `embed` wrote with f32 or f16")
    parser.add_argument("--database", required=True, help="connection string")
    parser.add_argument("--table", required=True)
    arguments = parser.parse_args()
    parts = sorted(arguments.corpus.glob("part-*.parquet"))
    if not parts:
        sys.exit(f"error: {arguments.corpus}: holds no part-*.parquet, expected what `embed` wrote")
    schema = pq.read_schema(parts[0])
    width = schema.field("embedding").type.list_size
    table = sql.Identifier(arguments.table)
    columns = [sql.SQL("{} {}").format(sql.Identifier(field.name), kind(field, width)) for field in schema]
    count = 0
    with psycopg.connect(arguments.database) as database, database.cursor() as cursor:
        cursor.execute("create extension if not exists vector")
        cursor.execute(sql.SQL("drop table if exists {}").format(table))
        cursor.execute(sql.SQL("create table {} ({})").format(table, sql.SQL(", ").join(columns)))
        with cursor.copy(sql.SQL("copy {} from stdin").format(table)) as copy:
            for part in parts:
                for batch in pq.ParquetFile(part).iter_batches(batch_size=1000):
                    for row in batch.to_pylist():
                        vector = row["embedding"]
                        row["embedding"] = None if vector is None else "[" + ",".join(map(str, vector)) + "]"
                        copy.write_row(list(row.values()))
                        count += 1
                print(f"{part.name}: {count} rows so far", file=sys.stderr)
    print(f"{arguments.table}: {count} rows")


if __name__ == "__main__":
    main()
