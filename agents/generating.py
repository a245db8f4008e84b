"""Generate patches, and a walk through the latents, with the generator of a run (`gan-gym generate`)."""

from __future__ import annotations

import torch
from PIL import Image
from tqdm import tqdm

from agents.config import GenerateConfig
from agents.generator_file import generate_batches, load_generator
from agents.recording import N_SHOWN, save_grid
from agents.run_folder import check_new, new_folder
from agents.walking import save_walk
from gan_gym.devices import resolve_device


def run_generate(config: GenerateConfig) -> int:
    """Write `n` PNG patches, `grid.png` and `walk.gif` into a new folder, which appears whole."""
    assert config.run is not None
    assert config.out is not None
    device = resolve_device(config.device)
    module = load_generator(config.run, device)
    out = check_new(config.out, "patches")
    digits = len(str(config.n - 1))
    shown: list[torch.Tensor] = []
    names = (f"{i:0{digits}d}.png" for i in range(config.n))
    with new_folder(out) as part, tqdm(total=config.n, desc="writing patches", delay=2, leave=False) as bar:
        (part / "patches").mkdir()
        for batch in generate_batches(module, config.n, config.seed, device):
            for image in batch:
                Image.fromarray(image.permute(1, 2, 0).numpy()).save(part / "patches" / next(names))
                bar.update()
            shown += batch[: N_SHOWN - len(shown)]
        save_grid(torch.stack(shown), part / "grid.png")
        save_walk(module, config.seed, device, part / "walk.gif")
    print(
        f"{config.n} patches in {out / 'patches'}, a grid in {out / 'grid.png'}, a walk through the latents "
        f"in {out / 'walk.gif'}"
    )
    return 0
