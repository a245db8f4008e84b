"""Counter-based random streams: every draw is a function of the seed, a stream's name and a counter.

A run that is resumed at image n draws what an uninterrupted run would have drawn, because nothing but (seed,
n) is needed to re-derive a generator (the idea is EDM2's, arXiv 2312.02696: streams keyed by seed and images
seen).
"""

from __future__ import annotations

import hashlib

import torch


def stream_seed(seed: int, stream: str, counter: int = 0) -> int:
    """Return the 63-bit seed of draw `counter` in the named stream of `seed`."""
    digest = hashlib.blake2b(f"{seed}/{stream}/{counter}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, stream: str, counter: int = 0) -> torch.Generator:
    """Return a CPU generator at the start of draw `counter` in the named stream of `seed`.

    Draws are made on the CPU and moved, so that they are the same on every device.
    """
    return torch.Generator().manual_seed(stream_seed(seed, stream, counter))
