"""Settle all that a run needs, and find all that a user can get wrong, before anything is written."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from agents.acting import Agent
from agents.algorithms import find as find_algorithm
from agents.baselines import BASELINES, find_agent
from agents.config import TrainConfig
from agents.controller import Controller, shipped
from agents.input_data import read_patches
from agents.online import ONLINE
from agents.run_controller import kept_controller, kept_start
from agents.splitting import more_to_train_on, split_held_out
from gan_gym.data.patches import PatchSet
from gan_gym.data.report import DataReport
from gan_gym.devices import resolve_device
from gan_gym.gan import NETWORKS, TrainerConfig, family
from gan_gym.knobs import DEFAULT_KNOBS, resolve
from gan_gym.names import lookup, unknown
from snn.siamese import SiameseNet
from snn.storage import shipped_names

INNER_STEPS = 50
"""GAN updates between two decisions."""
INNER_STEPS_ONLINE = 10
"""The same where an algorithm learns online, which takes many decisions."""
ONLINE_KNOBS = (*DEFAULT_KNOBS, "reward_weight")
"""Knobs of an algorithm that learns online from scratch: one is the reward's weight in D's loss, as in arXiv
2409.20340. Shipped controllers leave it out, as it costs a pass through the reward model an update."""
MIN_TRAIN = 8
"""Fewest patches to train on: half of them are the reference of the similarity statistics."""
REWARD_MODELS = ("refine", "fit", "shipped")
"""Ways to come by a reward model; anything else is a folder."""


@dataclass(frozen=True)
class Plan:
    """All that is settled before anything is written."""

    config: TrainConfig
    """The options, with nothing left to be settled by default, and absolute paths."""
    out: Path
    """The run's folder."""
    device: torch.device
    """Where it computes."""
    agent: Agent | None
    """The controller; `None` where an algorithm learns online from scratch."""
    knobs: tuple[str, ...]
    """Names of the knobs that are turned."""
    episode_steps: int
    """Decisions in all."""
    train: PatchSet
    """Patches the GAN is trained on."""
    held_out: PatchSet
    """Patches kept for the evaluation."""
    report: DataReport
    """What was found in the data."""

    def describe(self) -> str:
        """Return the plan in a few lines."""
        config, report = self.config, self.report
        controller = f"online {config.learn}" if config.learn else config.controller
        height, width = self.train.image_size
        return (
            f"data: {report.n_used} of {report.n_images} images usable, {len(self.train)} patches to train "
            f"on, {len(self.held_out)} held out, {len(self.train.classes)} classes, {height}x{width} px\n"
            f"GAN: networks {config.networks}, loss {config.loss}, {self.episode_steps} blocks of "
            f"{config.inner_steps} updates of {config.batch_size} patches, on {self.device}\n"
            f"control: {controller}, knobs {', '.join(self.knobs)}"
        )


def make_plan(config: TrainConfig, out: Path) -> Plan:
    """Check everything a user can get wrong, and load the data.

    Args:
        config: the options.
        out: the run's folder; one that exists is that of a run to be continued, whose own copies of
            controller and reward model are used.

    Raises:
        ValueError: for the first thing that is wrong; one line with the remedy.
    """
    device = resolve_device(config.device)
    config = _settle(config, device)
    TrainerConfig(loss=config.loss, batch_size=config.batch_size)
    if family(config.networks) == "points":
        raise ValueError(
            f"networks '{config.networks}' make points, not patches; give one of auto, "
            + ", ".join(name for name in NETWORKS if family(name) != "points")
        )
    if config.learn is not None:
        find_algorithm(config.learn).load()
        lookup(ONLINE, config.learn, "online algorithm")
    agent, knobs = _resolve_agent(config, out)
    if not (out / "snn").is_dir():
        _check_reward_model(config.reward_model)
    loaded = read_patches(
        config.data,
        config.image_size,
        min_patches=max(config.batch_size, MIN_TRAIN),
        on_bad_image=config.on_bad_image,
        seed=config.seed,
        mpp=config.mpp,
        slide_mpp=config.slide_mpp,
    )
    train, held_out = split_held_out(loaded.patches, config.held_out, config.seed)
    if len(train) < MIN_TRAIN:
        raise ValueError(
            f"held_out {config.held_out} leaves {len(train)} patches to train on, and {MIN_TRAIN} are "
            f"needed; {more_to_train_on(loaded.patches, MIN_TRAIN)}"
        )
    assert config.inner_steps is not None
    return Plan(
        config=config,
        out=out,
        device=device,
        agent=agent,
        knobs=knobs,
        episode_steps=-(-config.n_images // (config.batch_size * config.inner_steps)),
        train=train,
        held_out=held_out,
        report=loaded.report,
    )


def _settle(config: TrainConfig, device: torch.device) -> TrainConfig:
    """Fill in what depends on the device or other options, so that a resumed run finds it unchanged."""
    networks = (
        {"cuda": "residual"}.get(device.type, "light") if config.networks == "auto" else config.networks
    )
    controller, reward_model = config.controller, config.reward_model
    if controller is None and config.learn is None:
        controller = "pretrained"
    if controller is not None and os.path.exists(controller) and controller not in (*BASELINES, *shipped()):
        controller = os.path.abspath(controller)
    if reward_model not in (*REWARD_MODELS, *shipped_names()) and os.path.isdir(reward_model):
        reward_model = os.path.abspath(reward_model)
    return replace(
        config,
        networks=networks,
        controller=controller,
        reward_model=reward_model,
        data=None if config.data is None else os.path.abspath(config.data),
        inner_steps=config.inner_steps or (INNER_STEPS_ONLINE if config.learn else INNER_STEPS),
    )


def _check_reward_model(name: str) -> None:
    if name in REWARD_MODELS:
        return
    if not os.path.isdir(name) and name not in shipped_names():
        known = unknown(name, [*REWARD_MODELS, *shipped_names()], "reward model")
        raise ValueError(f"{known} Or give the folder of a fitted one.")
    SiameseNet.load(name)


def _resolve_agent(config: TrainConfig, out: Path) -> tuple[Agent | None, tuple[str, ...]]:
    asked = None if config.knobs is None else tuple(knob.name for knob in resolve(config.knobs))
    if config.controller is None:
        return None, asked or ONLINE_KNOBS
    kept = kept_start(out) if config.learn else kept_controller(out)
    agent = kept or find_agent(config.controller, seed=config.seed)
    if config.learn is not None and not (isinstance(agent, Controller) and agent.algo == config.learn):
        raise ValueError(
            f"--learn {config.learn} cannot start from controller '{config.controller}', which is no "
            f"{config.learn} policy; leave --controller out to learn from scratch"
        )
    if agent.knobs is not None and asked is not None and asked != agent.knobs:
        raise ValueError(
            f"--knobs {','.join(asked)} are not those of the controller ({','.join(agent.knobs)})"
        )
    return agent, agent.knobs or asked or DEFAULT_KNOBS
