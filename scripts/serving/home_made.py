"""The usual home-made service, for comparison: FastAPI around sentence-transformers.

python scripts/serving/home_made.py --model DIR --precision bf16 --port 8000
"""

import argparse

import torch
import uvicorn
from fastapi import FastAPI
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import cos_sim

app = FastAPI()
encoder: SentenceTransformer


@app.get("/health")
def health() -> dict[str, str]:
    return {}


# `def`, not `async def`: FastAPI runs it in a thread, so that health answers while a pair is at work.
@app.get("/predict")
def predict(sentence1: str, sentence2: str) -> dict[str, float]:
    first, second = encoder.encode([sentence1, sentence2], show_progress_bar=False)
    cosine = float(cos_sim(first, second))
    return {"score": 5 * cosine, "cosine": cosine}


def main() -> None:
    global encoder
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[arguments.precision]
    encoder = SentenceTransformer(arguments.model, device="cpu", model_kwargs={"dtype": dtype})
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
