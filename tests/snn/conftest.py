from __future__ import annotations

import pytest
import torch


@pytest.fixture
def no_gpu_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where the global generators of GPUs are seeded, on machines without one too."""

    def refuse(seed: int) -> None:
        pytest.fail(f"the global generators of all GPUs were seeded with {seed}")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
