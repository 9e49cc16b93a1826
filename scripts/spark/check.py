"""Embeds 200,000 rows by one process, by Spark on this machine and by a Spark cluster that loses a worker, and compares.

    python=$(scripts/scale/setup.sh)
    "$python" scripts/spark/check.py --program target/release/embed --model checkpoints/ko-sts-small

Every row has to be there exactly once in all three results, with the same embedding.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
FILES = 40  # of the table: Spark makes a task of each
TOLERANCE = 1e-5  # f32, sums in another order
MASTER_PORT = 7087
FIRST = ["숙소가", "역이", "식당이", "회의가", "고양이가", "비가", "버스가", "영화가", "날씨가", "음악이"]
SECOND = ["정말", "생각보다", "어제는", "내일도", "아주", "조금", "다시", "먼저"]
THIRD = ["깨끗했어요.", "가까워요.", "늦게 시작합니다.", "좋았습니다.", "조용하네요.", "길어졌다.", "멀어요."]


def make_table(folder, rows):
    folder.mkdir()
    words = [FIRST, SECOND, THIRD]

    def text(row):
        if row % 1000 == 7:
            return None
        return " ".join(part[row // (7**place) % len(part)] for place, part in enumerate(words)) + f" {row}"

    for number, places in enumerate(np.array_split(np.arange(rows), FILES)):
        table = pa.table({"id": pa.array(places, pa.int64()), "text": [text(int(row)) for row in places]})
        pq.write_table(table, folder / f"table-{number:03}.parquet")


def submit(master, arguments, table, output, **environment):
    bin = pathlib.Path(sys.executable).parent
    settings = ["--conf", "spark.ui.enabled=false", "--conf", "spark.sql.files.openCostInBytes=134217728"]
    command = [bin / "spark-submit", "--master", master, *settings, HERE / "embed.py"]
    command += ["--program", arguments.program.resolve(), "--model", arguments.model.resolve()]
    command += ["--input", table, "--output", output]
    log = open(f"{output}.log", "wb")
    return subprocess.Popen(command, env=os.environ | {"PYSPARK_PYTHON": sys.executable} | environment, stderr=log)


def finish(job, output):
    if job.wait() != 0:
        sys.exit(f"error: the job failed; its log is {output}.log")


def spark_class(name, *arguments):
    """A process of a cluster, in a session of its own, so that it can be killed with all that it started."""
    import pyspark

    home = pathlib.Path(pyspark.__file__).parent
    command = [home / "bin" / "spark-class", f"org.apache.spark.deploy.{name}", "--host", "127.0.0.1", *arguments]
    environment = os.environ | {"SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def on_a_cluster(arguments, table, output):
    """A master and two workers, of which one is killed once a few tasks have ended."""
    work = ["--cores", "1", "--memory", "1g", "--work-dir", f"{output}.work"]
    master = spark_class("master.Master", "--port", str(MASTER_PORT), "--webui-port", "0")
    time.sleep(5)
    url = f"spark://127.0.0.1:{MASTER_PORT}"
    workers = [spark_class("worker.Worker", "--webui-port", "0", *work, url) for _ in range(2)]
    time.sleep(5)
    try:
        job = submit(url, arguments, table, output, SPARK_LOCAL_IP="127.0.0.1")
        while job.poll() is None:
            done = len(list(pathlib.Path(output).glob("_temporary/0/task_*")))
            if done >= 4:
                kill(workers[0])
                print(f"  killed a worker with {done} of {FILES} tasks done")
                break
            time.sleep(0.05)
        else:
            sys.exit(f"error: the job ended before a worker was killed; its log is {output}.log")
        finish(job, output)
    finally:
        for process in [*workers, master]:
            kill(process)


def read(folder):
    table = pq.read_table(folder, columns=["id", "text", "embedding"]).sort_by("id")
    return table["id"].to_numpy(), table["text"].to_pylist(), table["embedding"].combine_chunks()


def compare(name, found, expected):
    for what, index in ("ids", 0), ("texts", 1):
        if list(found[index]) != list(expected[index]):
            sys.exit(f"error: {name}: the {what} are not those of one process")
    if not found[2].is_null().equals(expected[2].is_null()):
        sys.exit(f"error: {name}: other rows have no embedding")
    values = [column.flatten().to_numpy() for column in (found[2].drop_null(), expected[2].drop_null())]
    largest = float(np.abs(values[0] - values[1]).max() / np.abs(values[1]).max())
    if largest > TOLERANCE:
        sys.exit(f"error: {name}: embeddings differ by {largest:.1e}, expected at most {TOLERANCE:.0e}")
    print(f"  {len(found[0]):,} rows, each once, embeddings within {largest:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--rows", type=int, default=200_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        table = folder / "table"
        make_table(table, arguments.rows)
        print("one process")
        alone = folder / "alone"
        start = time.monotonic()
        command = [arguments.program, "--model", arguments.model, "--input", table, "--output", alone]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        print(f"  {time.monotonic() - start:.0f} s")
        expected = read(alone)
        print("Spark, local[2]")
        start = time.monotonic()
        finish(submit("local[2]", arguments, table, folder / "local"), folder / "local")
        print(f"  {time.monotonic() - start:.0f} s")
        compare("local[2]", read(folder / "local"), expected)
        print("Spark, a master and two workers")
        start = time.monotonic()
        on_a_cluster(arguments, table, folder / "cluster")
        print(f"  {time.monotonic() - start:.0f} s")
        compare("the cluster", read(folder / "cluster"), expected)


if __name__ == "__main__":
    main()
