"""Generate patches with the generator of a run (`gan-gym generate`)."""

from __future__ import annotations

import shutil
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from agents.config import GenerateConfig
from agents.generator_file import generate, load_generator
from agents.recording import N_SHOWN, save_grid
from agents.run_folder import check_new
from gan_gym.data.sampler import to_uint8
from gan_gym.devices import resolve_device


def run_generate(config: GenerateConfig) -> int:
    """Write `n` PNG patches and `grid.png` into a new folder, which appears whole."""
    assert config.run is not None
    assert config.out is not None
    device, out = resolve_device(config.device), Path(config.out)
    module = load_generator(Path(config.run), device)
    check_new(out, "patches")
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "patches").mkdir(parents=True)
    images = to_uint8(generate(module, config.n, config.seed, device))
    digits = len(str(config.n - 1))
    for i, image in enumerate(tqdm(images, desc="writing patches", delay=2, leave=False)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(part / "patches" / f"{i:0{digits}d}.png")
    save_grid(images[:N_SHOWN], part / "grid.png")
    if out.is_dir():
        out.rmdir()
    part.rename(out)
    print(f"{config.n} patches in {out / 'patches'}, a grid in {out / 'grid.png'}")
    return 0
