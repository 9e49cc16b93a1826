"""What a device makes of a plain matrix product in bf16, and what an encoder needs."""

import time

import torch
from transformers import RobertaConfig

REPETITIONS = 10


def matrix_rate(device: str, size: int) -> float:
    """FLOP/s of (size, size) by (size, size) on random data, the mean of ten after three warm-ups."""
    a, b = (torch.randn(size, size, device=device).bfloat16() for _ in range(2))
    for _ in range(3):
        a @ b
    start = now(device)
    for _ in range(REPETITIONS):
        a @ b
    return 2 * size**3 * REPETITIONS / (now(device) - start)


def now(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def sentence_operations(config: RobertaConfig, tokens: int) -> int:
    """FLOP of one sentence forward: the linear layers, and scores and sums of attention."""
    hidden, inner = config.hidden_size, config.intermediate_size
    a_layer = 2 * tokens * (4 * hidden * hidden + 2 * hidden * inner) + 4 * tokens * tokens * hidden
    return config.num_hidden_layers * a_layer
