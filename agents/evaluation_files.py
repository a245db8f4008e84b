"""What is kept of an evaluation in a run's folder: the figures, and the sheet of the closest pairs."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

from agents.run_record import CLOSEST
from agents.sheets import draw_closest_pairs, save_closest_pairs
from gan_gym.checkpoint import replace_file
from gan_gym.metrics.evaluation import Evaluation


def keep_evaluation(run: Path, evaluation: Evaluation, fake: Tensor, train: Tensor) -> None:
    """Write `evaluation.json`, and the sheet of the closest pairs where there are any.

    Args:
        run: the run's folder.
        evaluation: of these images.
        fake: `(M, 3, H, W)` uint8 generated patches.
        train: `(N, 3, H, W)` uint8 training patches.
    """
    replace_file(run / "evaluation.json", json.dumps(evaluation.to_json(), indent=1).encode())
    found = evaluation.memorisation
    if found is None or not len(found.pairs):
        (run / CLOSEST).unlink(missing_ok=True)
        return
    sheet = draw_closest_pairs(fake, train, found.pairs, found.ratios)
    (run / CLOSEST).parent.mkdir(exist_ok=True)
    save_closest_pairs(sheet, found.ratios, run / CLOSEST)
