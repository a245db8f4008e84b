"""One run of the quality benchmark: a model trained on patches, and judged on patches kept from training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from agents.acting import State, decide
from agents.baselines import find_agent
from agents.generator_file import generate
from agents.online import train_online
from agents.planning import INNER_STEPS_ONLINE, ONLINE_KNOBS
from agents.splitting import describe_split, split_held_out
from agents.stopping import StopRequest
from benchmarks.diffusion import Diffusion
from benchmarks.judge import HELD_OUT, N_FAKES
from benchmarks.playing import Row
from benchmarks.reference_models import REFERENCE_MODELS
from gan_gym.data.loading import load_patches
from gan_gym.data.patches import PatchSet
from gan_gym.envs.histogan import HistoGANEnv
from gan_gym.knobs import DEFAULT_KNOBS
from gan_gym.metrics import cache_folder, evaluate
from gan_gym.render import image_grid

EPISODE_STEPS = 40
"""Decisions of a controlled run."""
N_SHOWN = 16
"""Patches kept of every run to look at."""
RECORDED = ("n_real", "n_fake", "n_train", "split", "extractor", "sha256", "resize")
"""Of what the figures were computed from."""
DIFFUSION = "ddpm"
"""The model that is no GAN."""
FORMS = {
    "uncontrolled": "constant",
    "scheduled": "cosine",
    "controlled": "pretrained",
    "online": "ppo",
}
"""Who turns the optimizers, by form: nobody; both rates fall along a cosine; the shipped controller (RL-EO);
an agent that learns in the run itself, as in arXiv 2409.20340."""


@dataclass(frozen=True)
class Job:
    """A model, a form of control and a seed."""

    model: str
    """A name in `REFERENCE_MODELS`, or `DIFFUSION`."""
    form: str
    """A key of `FORMS`."""
    seed: int
    """Seed of the run."""
    data: str | None
    """Folder of patches; `None` is the embedded tissue."""
    image_size: int
    """Pixels a side."""
    n_images: int
    """Real images that are seen, rounded up to whole decisions."""
    batch_size: int
    """Of these, in an update."""
    device: str
    """Where it computes."""
    samples: str
    """Folder for a strip of generated patches."""

    @property
    def data_name(self) -> str:
        """What rows call the data: no path, which is a machine's own."""
        return Path(self.data).name if self.data else "embedded"


def run(job: Job) -> list[Row]:
    """Train and judge one model; return its row.

    A row holds the job, the figures of `gan_gym.metrics.evaluate` (`None` where there is none, with the
    reason in `reasons`), how the run ended, and the seconds that training took. A run that diverged is judged
    by its last finite model. The path length, which half of an evaluation would go into, is left to
    `gan-gym evaluate --run`.
    """
    train, held_out = _patches(job.data, job.image_size)
    began = time.monotonic()
    trained = (_diffusion if job.model == DIFFUSION else _gan)(job, train)
    seconds = time.monotonic() - began
    fakes = trained.sample(N_FAKES)
    _save_strip(fakes, job, f"{job.model}-{job.form}-{job.seed}")
    _save_strip(held_out.images, job, "real")
    figures = evaluate(
        held_out.images,
        fakes,
        train=train.images,
        split=describe_split(held_out, train),
        cache=cache_folder(),
        seed=job.seed,
    ).to_json()
    settings = next(iter(figures.values()))
    return [
        {
            "model": job.model,
            "form": job.form,
            "seed": job.seed,
            "data": job.data_name,
            "image_size": job.image_size,
            "n_images": job.n_images,
            "batch_size": job.batch_size,
            **{name: figure["value"] for name, figure in figures.items()},
            "reasons": {name: f["reason"] for name, f in figures.items() if f["value"] is None},
            "end": trained.end,
            "diverged": trained.end == "diverged",
            "collapsed": trained.end == "collapsed",
            "wall_s": round(seconds, 1),
            **{name: settings[name] for name in RECORDED},
        }
    ]


@dataclass(frozen=True)
class _Trained:
    """A model whose training has ended."""

    sample: Callable[[int], Tensor]
    """Gives that many generated patches, uint8 `(N, 3, H, W)`."""
    end: str
    """`budget`, `diverged` or `collapsed`."""


@lru_cache(maxsize=2)
def _patches(data: str | None, image_size: int) -> tuple[PatchSet, PatchSet]:
    return split_held_out(load_patches(data, image_size).patches, HELD_OUT, seed=0)


@lru_cache(maxsize=2)
def _first(data: str | None, image_size: int, device: str) -> HistoGANEnv:
    """Return the environment whose data and reward model all others share."""
    return HistoGANEnv.on_patches(_patches(data, image_size)[0], device=device)


def _gan(job: Job, train: PatchSet) -> _Trained:
    """Train a reference model under its form of control."""
    model = REFERENCE_MODELS[job.model]
    online = job.form == "online"
    agent = None if online else find_agent(FORMS[job.form], seed=job.seed)
    n_updates = -(-job.n_images // job.batch_size)
    inner_steps = INNER_STEPS_ONLINE if online else -(-n_updates // EPISODE_STEPS)
    arguments: dict[str, Any] = {
        "networks": model.networks,
        "loss": model.loss,
        "batch_size": job.batch_size,
        "inner_steps": inner_steps,
        "episode_steps": -(-n_updates // inner_steps),
        "knobs": ONLINE_KNOBS if agent is None else agent.knobs or DEFAULT_KNOBS,
        "device": job.device,
    }
    env = HistoGANEnv(image_size=train.image_size, **arguments)
    env.problem_of(_first(job.data, job.image_size, job.device))
    if agent is None:
        assert model.settings == env.default_settings, "an agent that learns online starts from these"
        with TemporaryDirectory() as folder:
            train_online(Path(folder), env, FORMS[job.form], job.seed, StopRequest())
        return _ended(env, job.seed)
    observation, info = env.reset(seed=job.seed, options=dict(model.settings))
    state: State = None
    last = env.trainer.g_ema.copied()
    while not info["end"]:
        action, state = decide(agent, env, observation, info, state)
        observation, _, _, _, info = env.step(action)
        if not info["diverged"]:
            last = env.trainer.g_ema.copied()
    env.trainer.g_ema.load(last)
    return _ended(env, job.seed)


def _ended(env: HistoGANEnv, seed: int) -> _Trained:
    averaged, end = env.trainer.g_ema.module, env.current()[1]["end"]
    return _Trained(lambda n: generate(averaged, n, seed, env.device), end)


def _diffusion(job: Job, train: PatchSet) -> _Trained:
    """Train the diffusion model, which nobody controls."""
    model = Diffusion(train.image_size, job.seed, torch.device(job.device))
    end = model.train(train.images, job.n_images, job.batch_size)
    return _Trained(model.sample, end)


def _save_strip(images: Tensor, job: Job, name: str) -> None:
    folder = Path(job.samples)
    folder.mkdir(parents=True, exist_ok=True)
    strip = image_grid(images[:N_SHOWN], n_columns=N_SHOWN, scale=max(1, 64 // job.image_size))
    Image.fromarray(strip).save(folder / f"{name}.png")
