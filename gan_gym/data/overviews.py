"""Whole slides made small, and kept on disk: an overview of a slide without a pyramid takes seconds."""

from __future__ import annotations

import hashlib
import io
import logging
import os
from pathlib import Path

from PIL import Image

from gan_gym.caches import keep, user_cache
from gan_gym.data.decoding import BadImage
from gan_gym.data.sizes import size_text
from gan_gym.data.slides import Slide

OVERVIEW_SIDE = 1024
"""Longest side of an overview in pixels, on which tissue is sought; larger where the patches are."""
READ_LIMIT = 1 << 32
"""Most pixels that are read for an overview; a slide that needs more has too little of a pyramid."""
VERSION = 1
"""Raised where overviews come out otherwise than before, so that older ones are not used."""

logger = logging.getLogger(__name__)


def slide_overview(slide: Slide, side: int = OVERVIEW_SIDE) -> Image.Image:
    """Return the whole slide with a longest side of `side` pixels (less where it is smaller), RGB.

    It is kept in the cache, and read again as long as the file's path, size and time stay the same. A cache
    that cannot be read or written is done without.

    Raises:
        BadImage: if more than `READ_LIMIT` pixels would have to be read.
    """
    height, width = slide.size
    shrink = max(1.0, max(height, width) / side)
    size = max(1, round(height / shrink)), max(1, round(width / shrink))
    file = _cache_file(slide, side)
    image = None if file is None else _cached(file, size)
    if image is not None:
        return image
    level = slide.levels[slide.best_level(min(width / size[1], height / size[0]))]
    if level[0] * level[1] > READ_LIMIT:
        raise BadImage(f"no pyramid: {size_text(level)} px are the coarsest level that serves")
    image = slide.read((0, 0, width, height), size)
    if file is not None:
        png = io.BytesIO()
        image.save(png, "PNG")
        keep(png.getvalue(), file)
    return image


def cache_folder() -> Path | None:
    """Return where overviews are kept: `gan-gym/overviews` in `$XDG_CACHE_HOME` or `~/.cache`.

    None where there is no home. The folder can be deleted at any time.
    """
    return user_cache("overviews")


def _cache_file(slide: Slide, side: int) -> Path | None:
    folder = cache_folder()
    if folder is None:
        return None
    try:
        path, facts = os.path.realpath(slide.path), slide.path.stat()
    except OSError:
        return None
    key = repr((path, facts.st_size, facts.st_mtime_ns, side, VERSION))
    return folder / f"{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()}.png"


def _cached(file: Path, size: tuple[int, int]) -> Image.Image | None:
    try:
        with Image.open(file, formats=("PNG",)) as image:
            if image.size != (size[1], size[0]) or image.mode != "RGB":
                return None
            image.load()
            return Image.Image.copy(image)
    except FileNotFoundError:
        return None
    except Exception as error:  # damaged bytes raise nearly anything in a decoder
        logger.info("the overview %s cannot be read (%s) and is made again", file, error)
        return None
