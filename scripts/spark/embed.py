"""Embeds a Parquet table with Spark: every task pipes its rows through one `embed --stdio`.

    spark-submit --master spark://HOST:7077 scripts/spark/embed.py \
        --program target/release/embed --model checkpoints/ko-sts-small \
        --input table.parquet --column text --output embedded.parquet

The program and the model have to lie under the same paths on every worker. A task has `spark.task.cpus` cores, and so has
its `embed`: with 4 of 16 cores a worker runs 4 at a time, each with the model's weights in memory.
"""

import argparse
import subprocess
import threading


def piped(command):
    """A function for `mapInArrow`: batches go to the command's standard input, and what it answers comes back."""

    def run(batches):
        import pyarrow as pa

        first = next(batches, None)
        if first is None:
            return
        program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        failure = []

        def feed():
            # In a thread of its own: the program answers before it has read all, and one pipe must not wait for the other.
            try:
                with pa.ipc.new_stream(program.stdin, first.schema) as stream:
                    stream.write_batch(first)
                    for batch in batches:
                        stream.write_batch(batch)
                program.stdin.close()
            except Exception as error:  # of the table, or a broken pipe where the program ended
                failure.append(error)
                program.stdin.close()

        said = []
        listener = threading.Thread(target=lambda: said.extend(program.stderr))
        feeder = threading.Thread(target=feed)
        listener.start()
        feeder.start()
        try:
            with pa.ipc.open_stream(program.stdout) as stream:
                for batch in stream:
                    # Spark has no lists of a fixed length.
                    columns = batch.columns[:-1] + [batch.columns[-1].cast(pa.list_(pa.float32()))]
                    yield pa.record_batch(columns, names=batch.schema.names)
        except (pa.ArrowInvalid, OSError):
            pass  # the program ended before its time, and says why
        finally:
            if program.poll() is None and feeder.is_alive():
                program.kill()  # Spark stopped asking
            feeder.join()
            listener.join()
            status = program.wait()
        if status != 0:
            lines = b"".join(said).decode(errors="replace").strip().splitlines()
            raise RuntimeError(f"embed ended with status {status}: {lines[-1] if lines else 'without a word'}")
        if failure:
            raise failure[0]

    return run


def main():
    from pyspark.sql import SparkSession
    from pyspark.sql.types import ArrayType, FloatType, StructField, StructType

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="embed", help="the `embed` program, on every worker")
    parser.add_argument("--model", required=True, help="model directory, on every worker")
    parser.add_argument("--input", required=True, help="Parquet table")
    parser.add_argument("--column", default="text", help="column of the texts")
    parser.add_argument("--output", required=True, help="Parquet folder to write; what is there is replaced")
    parser.add_argument("--precision", default="f32", help="f32, bf16 or int8")
    arguments = parser.parse_args()

    spark = SparkSession.builder.appName("embed").getOrCreate()
    cores = spark.conf.get("spark.task.cpus", "1")
    command = [arguments.program, "--stdio", "--model", arguments.model, "--column", arguments.column]
    command += ["--precision", arguments.precision, "--threads", cores, "--device", "cpu"]
    table = spark.read.parquet(arguments.input)
    embedding = StructField("embedding", ArrayType(FloatType()))
    embedded = table.mapInArrow(piped(command), StructType(table.schema.fields + [embedding]))
    embedded.write.mode("overwrite").parquet(arguments.output)
    spark.stop()


if __name__ == "__main__":
    main()
