"""The patches that are cut from the slides of a folder: so many as fit, and only these are read from disk."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from tqdm import tqdm

from gan_gym.data.decoding import BadImage, pixels
from gan_gym.data.memory import room_for
from gan_gym.data.reading import Reading, Taken
from gan_gym.data.regions import is_tissue
from gan_gym.data.report import SlideFacts
from gan_gym.data.resolution import Resolution
from gan_gym.data.slide_files import SLIDE_PIXELS, SlideFile
from gan_gym.data.slide_places import even_shares
from gan_gym.data.slide_survey import Surveyed, survey
from gan_gym.data.slides import opened_slide

SLIDE_PATCHES = 20_000
"""Most patches from slides where nothing else is asked for."""
SLIDE_BYTES = 2**31
"""Most bytes that these may take: fewer patches where they are large."""
MAX_TRIES = 3
"""Places tried for each patch wanted: the mask is coarse, and a place may turn out to be a gap."""


def read_slides(
    reading: Reading, files: list[SlideFile], resolution: Resolution, max_patches: int | None
) -> tuple[Taken, tuple[SlideFacts, ...]]:
    """Cut patches from slides, drawn at random from the tissue, evenly over the slides.

    Args:
        reading: what was asked for; unusable slides and warnings are added to it.
        files: the slides.
        resolution: micrometres per pixel of the patches, and of slides that do not say their own.
        max_patches: most patches; `SLIDE_PATCHES`, or what fits into `SLIDE_BYTES`, where it is `None`.

    Returns:
        The patches with the slides they come from, and what these slides say of themselves.
    """
    found = survey(reading, files, resolution)
    shares = even_shares([slide.n_places for slide in found], max_patches or budget(reading.image_size))
    images = room_for(sum(shares), reading.image_size)
    used: list[Surveyed] = []
    origin: list[int] = []
    streams = reading.rng.spawn(len(found))
    with reading.bar(range(sum(shares)), "cutting patches", unit="patch") as bar:
        for slide, share, rng in zip(found, shares, streams, strict=True):
            if share == 0:
                continue
            try:
                n = _cut(slide, images[len(origin) : len(origin) + share], rng, bar)
            except BadImage as error:
                reading.refuse(slide.file.name, str(error))
                continue
            origin += [len(used)] * n
            used.append(slide)
    reading.warnings.extend(_notes(used, resolution))
    n_places = sum(slide.n_places for slide in found)
    if sum(shares) < n_places:
        reading.warnings.append(
            f"{len(origin)} patches were drawn at random, evenly over the slides, of {n_places} places "
            "with tissue"
        )
    taken = Taken(
        names=[slide.file.name for slide in used],
        sizes=[slide.facts.size for slide in used],
        images=images[: len(origin)],
        origin=np.array(origin, np.int64),
        overviews=np.stack([slide.overview for slide in used]) if used else room_for(0, reading.image_size),
    )
    return taken, tuple(slide.facts for slide in used)


def budget(image_size: tuple[int, int]) -> int:
    """Return how many patches are cut from slides where nothing is asked for."""
    return max(1, min(SLIDE_PATCHES, SLIDE_BYTES // (3 * image_size[0] * image_size[1])))


def _cut(slide: Surveyed, rows: np.ndarray, rng: np.random.Generator, bar: tqdm[int]) -> int:
    """Fill `rows` with patches of one slide and return how many there were.

    Places are tried in batches of as many as are still wanted, each in the order in which they lie on disk.
    """
    size = rows.shape[2], rows.shape[3]
    places = slide.grid().draw(MAX_TRIES * len(rows), rng)
    height, width = slide.cell
    n = tried = 0
    with opened_slide(slide.file.path) as opened:
        while n < len(rows) and tried < len(places):
            batch = places[tried : tried + len(rows) - n]
            tried += len(batch)
            for top, left in batch[np.lexsort(batch.T[::-1])]:
                patch = opened.read((left, top, width, height), size)
                if is_tissue(patch):
                    rows[n] = pixels(patch)
                    n += 1
                    bar.update()
    if n == 0:
        raise BadImage("no tissue: background only")
    return n


def _notes(used: list[Surveyed], resolution: Resolution) -> list[str]:
    """Say what the user should know of the slides that are used: each thing once, with a count."""
    notes: list[str] = []

    def note(which: Iterable[Surveyed], what: str, then: str) -> None:
        names = [slide.facts.name for slide in which]
        if names:
            notes.append(f"{len(names)} of {len(used)} slides {what}, such as {names[0]}: {then}")

    if resolution.slide_mpp is None:
        note(
            (slide for slide in used if slide.facts.mpp is None),
            "do not say their resolution",
            f"their pixels are taken to be {resolution.mpp:g} µm; give it with --slide_mpp",
        )
    note(
        (slide for slide in used if max(slide.mpp) > resolution.mpp * 1.01),
        f"are coarser than {resolution.mpp:g} µm per pixel",
        "enlarging them adds no detail",
    )
    note(
        (s for s in used if s.facts.n_levels == 1 and s.facts.size[0] * s.facts.size[1] > SLIDE_PIXELS),
        "have no pyramid",
        "their overviews are slow to make the first time",
    )
    return notes
