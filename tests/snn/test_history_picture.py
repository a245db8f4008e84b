from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from snn.finetuning import History, HistoryRow
from snn.history_picture import draw_history


def _history(n_steps: int = 40, loss: float = 0.5, auc: float | None = 0.8, last: str = "patches") -> History:
    rows = []
    for step in range(n_steps):
        stage = "reconstruction" if step < n_steps // 2 else last
        size = 900 if stage == "reconstruction" else 100 if step < 0.75 * n_steps else 500
        measured = auc if step % 10 == 0 else None
        rows.append(HistoryRow(stage, step, loss / (1 + step), measured, size))
    return History(rows, None if auc is None else 0.9)


def _pixels(history: History) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(draw_history(history))).convert("RGB"))


def test_pictures_show_the_history() -> None:
    picture = _pixels(_history())
    assert picture.shape == (770, 1100, 3)
    assert np.array_equal(picture, _pixels(_history()))
    for other in (_history(auc=None), _history(loss=0.7), _history(n_steps=41)):
        assert not np.array_equal(picture, _pixels(other))


@pytest.mark.parametrize("history", [_history(1), _history(2), _history(loss=0.0), _history(auc=None)])
def test_short_and_odd_histories_are_drawn(history: History) -> None:
    assert _pixels(history).std() > 0


def test_names_of_stages_are_drawn_as_they_are() -> None:
    """Between dollars matplotlib reads formulas: it refuses wrong ones."""
    assert not np.array_equal(*(_pixels(_history(last=name)) for name in ("$x_$", "$y_$")))


def test_an_empty_history_is_refused() -> None:
    with pytest.raises(ValueError, match="the history is empty"):
        draw_history(History())
