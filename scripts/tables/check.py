"""Tables as people have them, through `POST /predict`, `embed` and `eval`: every program gives the same rows.

    python scripts/tables/check.py cases FOLDER BIN   # FOLDER/NAME, and FOLDER/expected.json: sentences in order, null where a
                                                      # row has none, or "refused"
    python scripts/tables/check.py kor-sts DATA BIN   # KorSTS in DATA, whole and column by column, in several forms

BIN is the folder of the built programs. Prints a line for each table; exits with 1 if a row is not as it should be.
Needs pyarrow: scripts/environment.sh tables scripts/tables/requirements.txt prints a Python that has it.
"""
import glob
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import pyarrow.parquet

BASE = "비가 온다."


class Server:
    """The server with the bundled model, on a port of its own."""

    def __init__(self, binaries):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [f"{binaries}/serve", "--port", str(self.port), "--precision", "f32"]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1)
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("the server did not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def rows(self, content, column=None):
        """The sentences of a file by their places, null where a row has none; the error where it is refused."""
        fields = {"base_sentence": BASE, "top_k": "10000000", **({"column": column} if column else {})}
        parts = [f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
        head = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="table"\r\n\r\n'
        body = b"".join([*parts, head, content, b"\r\n--edge--\r\n"])
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/predict", body, {"Content-Type": "multipart/form-data; boundary=edge"})
        try:
            results = json.load(urllib.request.urlopen(request, timeout=600))["results"]
        except urllib.error.HTTPError as error:
            return f"{error.code}: {json.load(error)['error']}"
        rows = {row["index"]: None if row["score"] is None else row["sentence"] for row in results}
        return [rows[index] for index in range(len(rows))]


def embedded(binaries, path, column=None):
    """The texts of `embed`'s rows, null where a row has no embedding; the message where the file is refused."""
    with tempfile.TemporaryDirectory() as folder:
        command = [f"{binaries}/embed", "--input", str(path), "--output", f"{folder}/out", "--output-column", "vector#"]
        run = subprocess.run([*command, *(["--column", column] if column else [])], capture_output=True, text=True)
        if run.returncode:
            return run.stderr.strip()
        text = [line for line in run.stderr.splitlines() if line.startswith("texts: column ")][0]
        name = json.loads(text.removeprefix("texts: column ").split(";")[0])
        parts = [pyarrow.parquet.read_table(part) for part in sorted(glob.glob(f"{folder}/out/part-*.parquet"))]
        rows = [row for part in parts for row in zip(part[name].to_pylist(), part["vector#"].to_pylist())]
        return [None if vector is None else text.strip() for text, vector in rows]


def evaluated(binaries, path):
    """How many pairs `eval` scores."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([f"{binaries}/eval", "--data", str(path), "--json", f"{folder}/f.json"], check=True, capture_output=True)
        return json.loads(pathlib.Path(f"{folder}/f.json").read_text(encoding="utf-8"))["results"][0]["pairs"]


class Report:
    def __init__(self):
        self.wrong = 0

    def line(self, name, found, expected):
        is_refused = expected == "refused" and isinstance(found, str)
        is_right = is_refused or found == expected
        self.wrong += not is_right
        shown = found if isinstance(found, (str, int)) else f"{len(found)} rows"
        print(f"{'right' if is_right else 'WRONG'}  {name}: {str(shown)[:150]}", flush=True)
        if not is_right:
            print(f"       expected {str(expected)[:300]}\n       found    {str(found)[:300]}", flush=True)


def cases(folder, binaries, report):
    expected = json.loads(pathlib.Path(folder, "expected.json").read_text(encoding="utf-8"))
    with Server(binaries) as server:
        for name, rows in expected.items():
            path = pathlib.Path(folder, name)
            report.line(f"{name}, predict", server.rows(path.read_bytes()), rows)
            report.line(f"{name}, embed", embedded(binaries, path), rows)


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


def kor_sts(data, binaries, report):
    with Server(binaries) as server, tempfile.TemporaryDirectory() as folder:
        for part, count in [("train", 5749), ("dev", 1500), ("test", 1379)]:
            path = pathlib.Path(data, "kor-sts", f"sts-{part}.tsv")
            header, *lines = path.read_text(encoding="utf-8").split("\n")
            rows = [line.split("\t") for line in lines if line]
            names = header.split("\t")
            report.line(f"sts-{part}.tsv, eval", evaluated(binaries, path), count)
            for name in ["sentence1", "sentence2"]:
                sentences = [row[names.index(name)].strip() for row in rows]
                assert len(sentences) == count
                report.line(f"sts-{part}.tsv, {name}, predict", server.rows(path.read_bytes(), name), sentences)
                report.line(f"sts-{part}.tsv, {name}, embed", embedded(binaries, path, name), sentences)
                forms = {
                    "lines.txt": "\n".join(sentences).encode(),
                    "named.txt": "\n".join(["문장", *sentences]).encode(),
                    "quoted.csv": "\r\n".join(["번호,문장", *(f"{n},{quoted(text)}" for n, text in enumerate(sentences))]).encode(),
                    "korean.csv": "\n".join(["번호;문장", *(f"{n};{quoted(text)}" for n, text in enumerate(sentences))]).encode("cp949", "replace"),
                    "lines.jsonl": "\n".join(json.dumps({"n": n, "text": text}) for n, text in enumerate(sentences)).encode(),
                }
                for form, content in forms.items():
                    table = pathlib.Path(folder, form)
                    table.write_bytes(content)
                    wanted = [text.encode("cp949", "replace").decode("cp949") for text in sentences] if form == "korean.csv" else sentences
                    report.line(f"sts-{part}, {name}, {form}, predict", server.rows(content), wanted)
                    report.line(f"sts-{part}, {name}, {form}, embed", embedded(binaries, table), wanted)


if __name__ == "__main__":
    what, folder, binaries = sys.argv[1:]
    report = Report()
    {"cases": cases, "kor-sts": kor_sts}[what](folder, binaries, report)
    sys.exit(1 if report.wrong else 0)
