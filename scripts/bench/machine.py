"""What the figures were taken on: processor, memory, versions."""

import os
import platform
import re
import subprocess
import time
from pathlib import Path

from settings import ROOT, Places

INSTRUCTION_SETS = ["avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"]
PACKAGES = {
    "torch": ["torch", "sentence-transformers", "transformers", "accelerate"],
    "openvino": ["openvino", "optimum-intel", "sentence-transformers", "transformers"],
    "onnx": ["onnxruntime", "optimum-onnx", "sentence-transformers", "transformers"],
}


# What a report says where sides are left out.
NO_BF16 = (
    "PyTorch's bf16 is left out, and with AVX-512 OpenVINO's: this processor has no instructions for it, and they then take "
    "minutes for what f32 does in seconds."
)


def processor() -> str:
    return Path("/proc/cpuinfo").read_text(encoding="utf-8")


def flags() -> list[str]:
    return (re.search(r"flags\s*: (.*)", processor()) or [""])[0].split()


def computes_bf16() -> bool:
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags())


def emulates_bf16() -> bool:
    """Whether OpenVINO computes bf16 by other instructions: it does with AVX-512, and takes f32 with AVX2."""
    return "avx512f" in flags() and not computes_bf16()


def machine() -> str:
    name = re.search(r"model name\s*: (.*)", processor())
    sets = ", ".join(flag for flag in INSTRUCTION_SETS if flag in flags())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{name[1] if name else platform.machine()}, {cores} cores ({sets}), {memory:.0f} GiB, {platform.system()}"


def kind() -> str:
    """The kind of processor, by what its products are computed with."""
    names = {"amx_int8": "AMX", "avx512_bf16": "AVX-512 with BF16", "avx512_vnni": "AVX-512 with VNNI"}
    names |= {"avx512f": "AVX-512", "avx2": "AVX2"}
    return next((name for flag, name in names.items() if flag in flags()), "neither AVX2 nor AVX-512")


def goal(usual: str, amx: str) -> str:
    """A ratio to reach, which is another where there is AMX."""
    return amx if "amx_int8" in flags() else usual


def busy(seconds: float = 2) -> float:
    """The share of all cores' time that goes to something else."""

    def ticks() -> tuple[int, int]:
        total = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]
        user, nice, system, idle, wait, *rest = map(int, total)
        return user + nice + system + sum(rest), idle + wait

    before = ticks()
    time.sleep(seconds)
    used, idle = (after - start for after, start in zip(ticks(), before, strict=True))
    return used / max(used + idle, 1)


def commit() -> str:
    return first_line("git", "rev-parse", "--short", "HEAD")


def versions(places: Places) -> dict[str, str]:
    """Per environment, its packages with versions."""
    ours = [first_line("rustc", "--version"), "libtorch 2.11.0"]
    script = "import sys, importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    peers = {name: first_line(places.python(name), "-c", script, *packages) for name, packages in PACKAGES.items()}
    return {"ko-sts": ", ".join(ours), **peers}


def first_line(*command: str | Path) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()[0]
