"""All that is random in training: functions of the seed and the number of inner steps taken.

Every kind of draw has a stream of its own, cut into chunks of steps, so that a GAN which is restored at any
step draws on as if nothing had happened, and a kind that is turned on or off leaves the others as they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from gan_gym.gan.augment import draw_augmentation
from gan_gym.randomness import generator, stream_seed

if TYPE_CHECKING:
    from gan_gym.gan.trainer import GANTrainer

Draws = dict[str, Tensor]
"""Draws by name."""

CHUNK = 25
"""Inner steps drawn at once."""
LARGE = 2**18
"""Numbers in a chunk above which every step is drawn by itself, to save memory."""
UNUSED = {"chosen": 1.0}
"""What stands for a draw that a GAN did not make, where it is not 0: no sample is augmented."""


class Source(Protocol):
    """Where real samples come from."""

    shape: tuple[int, ...]
    """Shape of one sample."""

    def batch(self, n: int, rng: torch.Generator) -> Tensor:
        """Return `(n, *shape)` real samples drawn with `rng` alone."""
        ...


class Drawn(Protocol):
    """What the trainer draws from."""

    def draw(self, n: int, rng: torch.Generator) -> tuple[Tensor, ...]:
        """Return the draws of `n` samples, on the CPU, one row a sample."""
        ...

    def take(self, *draws: Tensor) -> Tensor:
        """Return the samples of draws that may have leading axes, on the data's device."""
        ...


@runtime_checkable
class DrawnSource(Drawn, Protocol):
    """A source that tells what it draws apart from looking it up: then only the draws move to the device."""

    @property
    def device(self) -> torch.device:
        """Where the data lie."""
        ...


class _WholeSamples:
    """A source whose draws are the samples themselves, taken where the data lie."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def draw(self, n: int, rng: torch.Generator) -> tuple[Tensor, ...]:
        return (self._source.batch(n, rng),)

    def take(self, *draws: Tensor) -> Tensor:
        return draws[0]


def drawn(source: Source, device: torch.device) -> Drawn:
    """Return a source in the form from which a GAN on `device` draws."""
    if isinstance(source, DrawnSource) and source.device == device:
        return source
    return _WholeSamples(source)


def take(source: Drawn, draws: Draws) -> Tensor:
    """Return the real samples that were drawn."""
    return source.take(*(draws[name] for name in draws if name.startswith("data")))


@dataclass(frozen=True)
class _Kind:
    """One kind of draw of the updates of G or D."""

    name: str
    rows: int
    """Rows of an update, most often one a sample."""
    numbers: int
    """Numbers in a row, at most."""
    draw: Callable[[int, torch.Generator], Draws]
    """Draws `n` rows."""
    on_device: bool = False
    """Whether it is drawn where it is needed: noise for images takes longer on a CPU than a GPU's update."""


def _kinds(trainer: GANTrainer, side: str) -> list[_Kind]:
    n, shape, settings = trainer.config.batch_size, tuple(trainer.source.shape), trainer.settings
    size = math.prod(shape)
    seen = 2 * n if side == "d" or trainer.loss.relativistic else n

    def data(rows: int, rng: torch.Generator) -> Draws:
        return {f"data{i}": part for i, part in enumerate(trainer.drawn.draw(rows, rng))}

    def noise(rows: int, rng: torch.Generator) -> Draws:
        return {"noise": torch.randn(rows, *shape, generator=rng, device=rng.device)}

    def mix(rows: int, rng: torch.Generator) -> Draws:
        return {"mix": torch.rand(rows, *(1,) * len(shape), generator=rng)}

    kinds = [_Kind("z", n, trainer.z_dim, lambda rows, rng: {"z": trainer.latents(rows, rng)})]
    if side == "d":
        whole = isinstance(trainer.drawn, _WholeSamples)
        kinds.append(_Kind("data", n, size if whole else 2, data))
        if trainer.loss.gradient_penalty > 0:
            kinds.append(_Kind("mix", n, 1, mix))
    if settings.augment_p > 0:
        kinds.append(_Kind("augment", seen, 7, lambda rows, rng: draw_augmentation((rows, *shape), rng)))
    if settings.instance_noise > 0:
        kinds.append(_Kind("noise", seen, size, noise, on_device=True))
    return kinds


def _is_large(kind: _Kind) -> bool:
    return CHUNK * kind.rows * kind.numbers > LARGE


def member_draws(
    trainer: GANTrainer, side: str, n_updates: int, step: int, n_steps: int, names: Collection[str]
) -> Draws:
    """Return draws `(n_steps, n_updates, rows, ...)` of one GAN.

    Args:
        trainer: the GAN.
        side: whose updates, `"g"` or `"d"`.
        n_updates: updates in an inner step; each has streams of its own.
        step: first inner step, counted from the GAN's first.
        n_steps: inner steps.
        names: kinds that are returned.
    """
    draws: Draws = {}
    for kind in _kinds(trainer, side):
        if kind.name in names:
            length = 1 if _is_large(kind) else CHUNK
            updates = [
                _steps(trainer, f"{side}{update}/{kind.name}", kind, step, n_steps, length)
                for update in range(n_updates)
            ]
            draws |= {name: torch.stack([update[name] for update in updates], 1) for name in updates[0]}
    return draws


def _steps(trainer: GANTrainer, stream: str, kind: _Kind, step: int, n_steps: int, length: int) -> Draws:
    """Cut `n_steps` steps from a stream's chunks of `length` steps."""
    parts: list[Draws] = []
    for chunk in range(step // length, (step + n_steps - 1) // length + 1):
        start, stop = max(step - chunk * length, 0), min(step + n_steps - chunk * length, length)
        draws = kind.draw(length * kind.rows, _rng(trainer, stream, chunk, kind))
        parts.append(
            {k: draw.view(length, kind.rows, *draw.shape[1:])[start:stop] for k, draw in draws.items()}
        )
    return parts[0] if len(parts) == 1 else {k: torch.cat([part[k] for part in parts]) for k in parts[0]}


def _rng(trainer: GANTrainer, stream: str, chunk: int, kind: _Kind) -> torch.Generator:
    if kind.on_device and trainer.device.type != "cpu":
        return torch.Generator(trainer.device).manual_seed(stream_seed(trainer.seed, stream, chunk))
    return generator(trainer.seed, stream, chunk)


class Tape:
    """The draws of a block of inner steps, of one GAN or of many.

    Args:
        members: the GANs; their settings stay as they are during the block.
        side: whose updates are drawn for, `"g"` or `"d"`.
        n_updates: updates of each GAN in an inner step.
        n_steps: inner steps of the block.
        device: where updates are computed.
    """

    def __init__(
        self,
        members: Sequence[GANTrainer],
        side: str,
        n_updates: Sequence[int],
        n_steps: int,
        device: torch.device,
    ) -> None:
        self._members, self._side, self._n_updates, self._device = members, side, n_updates, device
        self._first = [t.n_images // t.config.batch_size for t in members]
        relativistic = any(t.loss.relativistic for t in members)
        self._n_seen = members[0].config.batch_size * (2 if side == "d" or relativistic else 1)
        kinds = [kind for t in members for kind in _kinds(t, side)]
        # a kind may be large for relativistic GANs alone: their G's samples are seen beside real ones
        at_once = {kind.name for kind in kinds if not _is_large(kind)}
        self._by_step = {kind.name for kind in kinds} - at_once
        self._block = self._drawn(0, n_steps, at_once)
        self._step, self._large = -1, Draws()

    def __call__(self, step: int, update: int = 0) -> Draws:
        """Return the draws `(*lead, rows, ...)` of an update, counted from the block's first step."""
        if self._by_step and step != self._step:
            self._step, self._large = step, self._drawn(step, 1, self._by_step)
        return {name: draw[step, update] for name, draw in self._block.items()} | {
            name: draw[0, update] for name, draw in self._large.items()
        }

    def _drawn(self, step: int, n_steps: int, names: Collection[str]) -> Draws:
        rows = [
            member_draws(t, self._side, n, first + step, n_steps, names)
            for t, n, first in zip(self._members, self._n_updates, self._first, strict=True)
        ]
        draws = rows[0] if len(rows) == 1 else self._stacked(rows)
        if self._device.type == "cpu":
            return {name: draw.cpu() for name, draw in draws.items()}
        pinned = {name: draw if draw.is_cuda else draw.pin_memory() for name, draw in draws.items()}
        return {name: draw.to(self._device, non_blocking=True) for name, draw in pinned.items()}

    def _stacked(self, rows: Sequence[Draws]) -> Draws:
        names = {name: draw for row in rows for name, draw in row.items()}
        return {
            name: torch.stack([self._filled(name, like, row.get(name)) for row in rows], 2)
            for name, like in names.items()
        }

    def _filled(self, name: str, like: Tensor, part: Tensor | None) -> Tensor:
        """Fill up what a GAN did not draw so that it changes nothing.

        A GAN of whose samples D sees fewer than of others has them at the end.
        """
        n_rows = self._n_seen if name in ("chosen", "turns", "moves", "noise") else like.shape[2]
        shape = like.shape[0], max(self._n_updates), n_rows, *like.shape[3:]
        if part is not None and part.shape == shape:
            return part
        filled = like.new_full(shape, UNUSED.get(name, 0))
        if part is not None:
            filled[:, : part.shape[1], n_rows - part.shape[2] :] = part
        return filled
