"""The report in a real browser, where one is installed: nothing is fetched, nothing fails, all is shown."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from agents.report import write_report

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
    "--enable-logging=stderr", "--disable-background-networking", "--disable-component-update",
)  # fmt: skip

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")


def show(
    page: Path, folder: Path, width: int = 800, dark: bool = False
) -> tuple[NDArray[np.uint8], list[str], list[str]]:
    """Return the picture of a page, what it wrote to the console, and what it asked of the network."""
    shot, log = folder / "shot.png", folder / "net.json"
    command = [
        str(BROWSER), *QUIET, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},1200",
        f"--screenshot={shot}", f"--log-net-log={log}",
        *(["--blink-settings=preferredColorScheme=0"] if dark else []), page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    # what the browser asks of its own accord has no origin
    asked = re.findall(
        r'"initiator":"(?!not an origin")[^\n]*"url":"(https?:[^"]*)"', log.read_text("utf-8", "replace")
    )
    with Image.open(shot) as image:
        return np.asarray(image.convert("RGB")), console, asked


@pytest.mark.parametrize(("width", "dark"), [(1366, False), (600, True)])
def test_the_page_asks_for_nothing_and_fails_nowhere(
    tmp_path: Path, write_run: Callable[..., Path], width: int, dark: bool
) -> None:
    page = write_report(write_run(tmp_path / "run"))
    pixels, console, asked = show(page, tmp_path, width, dark)
    assert console == []
    assert asked == []
    assert pixels.shape[1] == width
    assert (pixels[5, 5].mean() < 60) == dark


def test_requests_and_errors_of_a_page_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<img src="http://127.0.0.1:9/x.png"><script>console.error("oops")</script>')
    _, console, asked = show(page, tmp_path)
    assert "oops" in console[0]
    assert asked == ["http://127.0.0.1:9/x.png"]
