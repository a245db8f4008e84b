"""A trained policy as a small, safe file: JSON and safetensors, no pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

import agents.algorithms
from agents.environments import discrete_actions
from agents.random_state import isolated_random_state
from agents.sb3_zip import read_sb3_zip
from gan_gym.knobs import DEFAULT_KNOBS, resolve
from gan_gym.names import unknown
from gan_gym.observations import names

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from agents.attach import AttachedController

FORMAT = 3
"""Version of the file format and of the meaning of the observations."""
SHIPPED = Path(__file__).parent / "pretrained"
CLIP = 10.0
"""Normalised observations are clipped here, as `VecNormalize` does."""

State = list[Any] | None
"""JSON-able state of a recurrent policy."""


class Controller:
    """A policy with its observation normaliser, knobs and origin.

    Args:
        algo: a name in `agents.ALGOS`.
        policy: the trained policy.
        knobs: names of the knobs, in the order of the action.
        mean: `(n,)` means of the observations.
        std: `(n,)` standard deviations of the observations.
        card: JSON-able origin: command, instances, results, limits.

    Example:
        >>> controller = Controller.load("pretrained")
        >>> env = gym.make("gan_gym:GridGAN-v0", knobs=controller.knobs)
        >>> obs, _ = env.reset(seed=0)
        >>> action, _ = controller.predict(obs)
    """

    def __init__(
        self,
        algo: str,
        policy: BasePolicy,
        knobs: Sequence[str],
        mean: NDArray[np.float32],
        std: NDArray[np.float32],
        card: Mapping[str, Any],
    ) -> None:
        self.algo, self.policy, self.knobs = algo, policy, tuple(knobs)
        self.mean, self.std, self.card = mean.astype(np.float32), std.astype(np.float32), dict(card)
        self._moves = discrete_actions(len(self.knobs)) if agents.algorithms.find(algo).discrete else None

    @classmethod
    def learned(
        cls,
        algo: str,
        model: BaseAlgorithm,
        normalised: VecNormalize,
        knobs: Sequence[str],
        card: Mapping[str, Any],
    ) -> Controller:
        """Return what a model has learned, with the observation statistics it learned under."""
        statistics = cast(RunningMeanStd, normalised.obs_rms)
        mean = statistics.mean.astype(np.float32)
        std = np.sqrt(statistics.var + normalised.epsilon).astype(np.float32)
        return cls(algo, model.policy.to(torch.device("cpu")), knobs, mean, std, card)

    def copy(self, tensors: Mapping[str, torch.Tensor] | None = None) -> Controller:
        """Return a controller that stays as this one is now, whatever is learned on.

        Args:
            tensors: what `tensors` returned of another one like this; its policy and statistics are taken.
        """
        return Controller.of(self.algo, self.knobs, self.tensors() if tensors is None else tensors, self.card)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return copies of the policy's weights and of the statistics of the observations, by name."""
        weights = {f"policy.{name}": tensor for name, tensor in self.policy.state_dict().items()}
        statistics = {
            "observation.mean": torch.from_numpy(self.mean),
            "observation.std": torch.from_numpy(self.std),
        }
        return {name: t.detach().cpu().contiguous().clone() for name, t in (weights | statistics).items()}

    @classmethod
    def of(
        cls, algo: str, knobs: Sequence[str], tensors: Mapping[str, torch.Tensor], card: Mapping[str, Any]
    ) -> Controller:
        """Return the controller that has these `tensors`.

        Raises:
            KeyError, RuntimeError: if they are not of such a controller.
        """
        weights = dict(tensors)
        mean, std = weights.pop("observation.mean").numpy(), weights.pop("observation.std").numpy()
        policy = build_policy(algo, knobs)
        policy.load_state_dict({name.removeprefix("policy."): tensor for name, tensor in weights.items()})
        n_rows = len(names(resolve(knobs)))
        if not mean.shape == std.shape == (n_rows,):
            raise KeyError(f"observation.mean has shape {mean.shape}, not ({n_rows},)")
        return cls(algo, policy, knobs, mean, std, card)

    @property
    def observations(self) -> tuple[str, ...]:
        """Names of the rows it observes."""
        return names(resolve(self.knobs))

    def predict(
        self,
        observation: NDArray[np.float32],
        state: State = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.float32], State]:
        """Return an action in [-1, 1] for one observation `(n,)` or a batch `(B, n)`, and the next state.

        Raises:
            ValueError: if the observation has other rows than the controller was trained on.
        """
        observation = np.asarray(observation, np.float32)
        if observation.shape[-1:] != self.mean.shape:
            raise ValueError(
                f"the observation has shape {observation.shape}; this controller reads {len(self.mean)} "
                f"rows: make the environment with knobs={self.knobs}"
            )
        seen = np.clip((observation - self.mean) / self.std, -CLIP, CLIP)
        arrays = None if state is None else tuple(np.array(part, np.float32) for part in state)
        if episode_start is None:
            episode_start = np.full(observation.shape[:-1] or (1,), state is None)
        with isolated_random_state():
            action, after = self.policy.predict(seen, arrays, episode_start, deterministic)
        if self._moves is not None:
            action = self._moves[action]
        return (
            np.clip(np.asarray(action, np.float32), -1.0, 1.0),
            None if after is None else [part.tolist() for part in after],
        )

    def attach(
        self,
        opt_g: Optimizer,
        opt_d: Optimizer,
        *,
        total_steps: int,
        loss: str = "non_saturating",
        discriminator: torch.nn.Module | None = None,
        steps_per_decision: int | None = None,
        embed: Callable[[torch.Tensor], torch.Tensor] | None = None,
        value_range: tuple[float, float] = (-1.0, 1.0),
        seed: int = 0,
    ) -> AttachedController:
        """Turn the knobs of a training loop of your own; see `AttachedController` for all arguments.

        Raises:
            TypeError: if an argument is of another kind.
            ValueError: if an optimizer or a knob cannot be turned; the message holds the remedy.

        Example:
            >>> attached = controller.attach(opt_g, opt_d, total_steps=10_000, discriminator=D)
        """
        from agents.attach import AttachedController

        return AttachedController(
            self,
            opt_g,
            opt_d,
            total_steps=total_steps,
            loss=loss,
            discriminator=discriminator,
            steps_per_decision=steps_per_decision,
            embed=embed,
            value_range=value_range,
            seed=seed,
        )

    def save(self, path: str | Path) -> None:
        """Write `controller.json` and `policy.safetensors` into the folder `path`."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.tensors(), folder / "policy.safetensors")
        head = {
            "format": FORMAT,
            "algo": self.algo,
            "knobs": list(self.knobs),
            "observations": list(self.observations),
            "sha256": _sha256(folder / "policy.safetensors"),
            "card": self.card,
        }
        (folder / "controller.json").write_text(json.dumps(head, indent=1) + "\n")

    @classmethod
    def load(cls, name_or_path: str | Path) -> Controller:
        """Load a controller that ships, by name, or one from a folder.

        A zip of Stable-Baselines3 (`model.save`) serves as well, if the model was trained with the default
        knobs on observations as they are, and with our policy's layers (`policy_arguments`). Nothing in it is
        unpickled.

        Raises:
            ValueError: if there is none, it is damaged, or it was made for other knobs, observations or a
                version this package does not know; the difference is spelled out.
        """
        if str(name_or_path).endswith(".zip"):
            return cls._from_zip(Path(name_or_path))
        folder = find(name_or_path)
        head = _read_head(folder)
        weights = folder / "policy.safetensors"
        if _sha256(weights) != head["sha256"]:
            raise ValueError(
                f"controller '{folder}': policy.safetensors does not match its sha256; get the files again"
            )
        rows = list(names(resolve(head["knobs"])))
        if rows != head["observations"]:
            different = sorted(set(rows) ^ set(head["observations"])) or "their order"
            raise ValueError(
                f"controller '{folder}' was made for other observations ({different} differ); train it again "
                "with this version: gan-gym fit-controller"
            )
        try:
            return cls.of(head["algo"], head["knobs"], load_file(weights), head["card"])
        except (SafetensorError, KeyError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"controller '{folder}': policy.safetensors is unusable ({reason}); get it again"
            ) from None

    @classmethod
    def _from_zip(cls, path: Path) -> Controller:
        if not path.is_file():
            raise ValueError(f"there is no file '{path}'; give a zip, or the folder of a controller")
        algo, tensors = read_sb3_zip(path)
        try:
            return cls.of(algo, DEFAULT_KNOBS, tensors, {"algo": algo, "imported": path.name})
        except (KeyError, RuntimeError) as error:
            raise ValueError(
                f"'{path}' was made for other knobs than {', '.join(DEFAULT_KNOBS)}, or with other layers "
                f"than agents.controller.policy_arguments('{algo}') ({' '.join(str(error).split())[:200]})"
            ) from None


def shipped() -> dict[str, Path]:
    """Return the folders of the controllers that ship, by name."""
    return {path.parent.name: path.parent for path in sorted(SHIPPED.glob("*/controller.json"))}


def find(name_or_path: str | Path) -> Path:
    """Return the folder of a controller.

    Raises:
        ValueError: if there is none; the message holds the nearest shipped name.
    """
    known = shipped()
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    folder = Path(name_or_path)
    if not (folder / "controller.json").is_file():
        raise ValueError(
            unknown(name_or_path, known, "controller") + " Or give a folder with a controller.json."
        )
    return folder


def build_policy(algo: str, knobs: Sequence[str]) -> BasePolicy:
    """Build an untrained policy for the observations and actions of these knobs, on the CPU."""
    algorithm = agents.algorithms.find(algo)
    n_rows = len(names(resolve(knobs)))
    observation_space = gym.spaces.Box(-1.0, 1.0, (n_rows,), np.float32)
    action_space: gym.Space[Any] = gym.spaces.Box(-1.0, 1.0, (len(knobs),), np.float32)
    if algorithm.discrete:
        action_space = gym.spaces.Discrete(len(discrete_actions(len(knobs))))
    policy_class = algorithm.load().policy_aliases[algorithm.policy]
    schedule = () if algo == "ars" else (lambda _: 0.0,)
    with isolated_random_state():
        policy = policy_class(observation_space, action_space, *schedule, **policy_arguments(algo))
    policy.set_training_mode(False)
    return policy


def policy_arguments(algo: str) -> dict[str, Any]:
    """Return the arguments of an algorithm's policy."""
    algorithm = agents.algorithms.find(algo)
    return {
        "net_arch": list(algorithm.net_arch),
        "activation_fn": getattr(torch.nn, algorithm.activation),
        **algorithm.policy_arguments,
    }


def _read_head(folder: Path) -> dict[str, Any]:
    where = folder / "controller.json"
    try:
        head = json.loads(where.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"controller '{folder}': controller.json is unreadable ({error}); get it again"
        ) from None
    wanted = {"format": int, "algo": str, "knobs": list, "observations": list, "sha256": str, "card": dict}
    found = head if isinstance(head, dict) else {}
    wrong = [key for key, kind in wanted.items() if not isinstance(found.get(key), kind)]
    if not wrong:
        wrong = [key for key in ("knobs", "observations") if not all(isinstance(x, str) for x in found[key])]
    if wrong:
        raise ValueError(
            f"controller '{folder}': controller.json lacks {', '.join(wrong)}; it is no controller of ours"
        )
    if found["format"] != FORMAT:
        raise ValueError(
            f"controller '{folder}' has format {found['format']}, this version reads {FORMAT}; train it "
            "again with gan-gym fit-controller"
        )
    if not (folder / "policy.safetensors").is_file():
        raise ValueError(f"controller '{folder}': policy.safetensors is missing; get the files again")
    return found


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
