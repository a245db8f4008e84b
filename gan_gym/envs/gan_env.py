"""GAN training as a Gymnasium environment."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

import gan_gym.instances
import gan_gym.knobs
from gan_gym.devices import resolve_device
from gan_gym.envs.episode import Episode
from gan_gym.envs.problem import Problem
from gan_gym.envs.scoring import Score, score_gans
from gan_gym.envs.snapshot import Snapshot
from gan_gym.gan import LOSSES, NETWORKS, GANTrainer, Settings, TrainerConfig, build_networks
from gan_gym.instances import Instance
from gan_gym.names import lookup
from gan_gym.observations import Signals, names, observe
from gan_gym.randomness import generator
from gan_gym.render import draw_frame
from gan_gym.rewards import DIVERGENCE_PENALTY, REWARDS, as_row

COLLAPSED_DIVERSITY = 0.01
"""Diversity (1 = as varied as real data) below which a generator makes one sample only."""
COLLAPSE_PATIENCE = 5
"""Env steps in a row below `COLLAPSED_DIVERSITY` after which a run counts as collapsed."""
DEFAULT_UPDATE_RATIO = 1e-3
"""Where a default instance starts a relative weight change that is among the knobs."""

Array = NDArray[np.float32]


class GANEnv(gym.Env[Array, Array]):
    """Base of the four environments; its docstring holds the tables they share.

    ## Description
    One episode is one GAN training run; one env step is a block of `inner_steps` generator and discriminator
    updates. The agent turns the optimizers' knobs between two blocks and is rewarded for the quality of what
    is generated.

    ## Action Space
    `Box(-1.0, 1.0, (4,), float32)` for the default knobs; one component a knob, in the order of `knobs`. 0
    keeps a knob (as does all within 0.01 of it), 1 multiplies it by its factor, -1 divides. A knob marked *
    is off at its smallest value.

    For images the limits of the learning rates and update ratios are a tenth of these, so that a position
    means the same for a small MLP as for a convolutional network, whose useful rates are ten times lower.

    | knob | from | to | factor | meaning |
    |---|---|---|---|---|
    | g_lr | 1e-06 | 0.02 | 32 | Adam learning rate of the generator |
    | d_lr | 1e-06 | 0.02 | 32 | Adam learning rate of the discriminator |
    | instance_noise * | 0.01 | 1 | 16 | std of noise on all D sees, stds of the data |
    | reward_weight * | 0.05 | 1 | 2 | weight of the similarity in D's fake term |
    | r1_gamma * | 0.001 | 100 | 8 | weight of the R1 gradient penalty |
    | d_steps | 1 | 8 | 2 | D updates per G update, rounded |
    | augment_p * | 0.01 | 1 | 4 | probability of augmenting what D sees |
    | beta1 * | 0.05 | 0.95 | 8 | Adam first-moment decay of both networks |
    | g_update_ratio | 1e-05 | 0.1 | 32 | relative weight change per step of G; sets g_lr |
    | d_update_ratio | 1e-05 | 0.1 | 32 | relative weight change per step of D; sets d_lr |

    ## Observation Space
    `Box(-1.0, 1.0, (33,), float32)` for the default knobs. Statistics of a block of inner steps are 0 right
    after a reset.

    | row | name | min | max | meaning |
    |---|---|---|---|---|
    | 0 | g_loss | -1 | 1 | G loss, units of D's equilibrium |
    | 1 | d_loss | -1 | 1 | D loss minus its equilibrium, units of it |
    | 2 | g_loss_change | -1 | 1 | change of the G loss, same units |
    | 3 | d_loss_change | -1 | 1 | change of the D loss, same units |
    | 4 | g_loss_std | -1 | 1 | std of the G loss within the block, same units |
    | 5 | d_loss_std | -1 | 1 | std of the D loss within the block, same units |
    | 6 | score_real | -1 | 1 | mean logit of real data |
    | 7 | score_fake | -1 | 1 | mean logit of generated data |
    | 8 | score_gap | -1 | 1 | difference of the two in standard deviations |
    | 9 | sign_real | -1 | 1 | E sign D(real) |
    | 10 | sign_fake | -1 | 1 | E sign D(fake) |
    | 11 | g_grad_norm | -1 | 1 | RMS gradient entry of G, decades around 1e-3 |
    | 12 | d_grad_norm | -1 | 1 | RMS gradient entry of D, decades around 1e-3 |
    | 13 | g_step_ratio | -1 | 1 | |dw|/|w| per step of G, decades around 1e-3 |
    | 14 | d_step_ratio | -1 | 1 | |dw|/|w| per step of D, decades around 1e-3 |
    | 15 | g_straightness | -1 | 1 | distance over path length of G's weights, -1 circles, 1 straight |
    | 16 | d_straightness | -1 | 1 | the same for D |
    | 17 | fidelity | -1 | 1 | closeness of generated to real samples, 0 noise, 1 real, mapped to [-1, 1] |
    | 18 | coverage | -1 | 1 | closeness of real samples to generated ones, same scale |
    | 19 | diversity | -1 | 1 | distance among generated samples over that among real ones, minus 1 |
    | 20 | kernel | -1 | 1 | unbiased kernel closeness of the two distributions, same scale as fidelity |
    | 21 | fidelity_change | -1 | 1 | change of fidelity over the env step, units of 0.1 |
    | 22 | coverage_change | -1 | 1 | change of coverage over the env step, units of 0.1 |
    | 23 | quality_change | -1 | 1 | change of quality over the env step, units of 0.1 |
    | 24 | progress_remaining | -1 | 1 | share of the budget left, mapped to [-1, 1] |

    Then, for k knobs, k rows `<knob>_position` (where the knob lies between its limits, on a logarithmic
    scale) and k rows `<knob>_last_action`.

    ## Rewards
    `reward="quality"`: the improvement of the quality score over the env step. Quality lies in [0, 1] (0 =
    noise, 1 = held-out real data) and joins fidelity, coverage and an unbiased kernel distance, in the
    embedding of the reward model, for points in the plane itself. The undiscounted return is the final
    quality minus the initial one (potential-based, Ng et al. 1999). On divergence the final quality counts as
    0, and 1 is subtracted. `reward="loss_gap"`: -|G loss - D loss|, the reward of FSCO (arXiv 2504.15099),
    for comparison.

    ## Starting State
    New networks, and the settings of an instance: `instances="default"` keeps the environment's own settings
    and draws a seed; `"train"`, `"validation"` and `"test"` draw both learning rates (log-uniform in
    1e-5...1e-2), beta1 (0, 0.5 or 0.9), the loss (non-saturating or hinge) and the seed;
    `"inside"`, `"edge"`, `"outside"` and `"unseen_losses"` are tests nearer to and further from it
    (`gan_gym.instances`); no seed is in two.
    `reset(options={"g_lr": 1e-3})` sets any setting of the table above; `reset(options={"snapshot":
    snapshot})` continues from a snapshot, and with a `seed` draws the instances after it by that.

    ## Episode End
    `terminated=True` with `info["end"]`: `"budget"` after `episode_steps` env steps (the budget is part of
    the problem and observed as `progress_remaining`; Pardo et al. 2018), `"diverged"` when a loss, gradient
    or weight is not finite, `"collapsed"` when all generated samples have been the same for 5 env steps.
    Never truncated.

    ## Information
    The same keys at reset and step: raw statistics (`g_loss`, `d_loss`, `score_real`, ...), `fidelity`,
    `coverage`, `diversity`, `kernel`, `quality`, all settings by name, `reward_<term>`, `n_images`,
    `env_step`, `progress_remaining`, `instance_seed`, `loss`, `diverged`, `end`, and `modes`, `modes20`, `hq`
    (modes with at least one and at least 20 samples of high quality, and the share of such samples; -1 where
    modes cannot be counted). No clock, no NaN, no tensors.

    ## Arguments
    See the environments' own docstrings for the data; all take `networks`, `loss`, `batch_size`,
    `inner_steps`, `episode_steps`, `knobs`, `reward`, `instances`, `device` (`"auto"` is CUDA where there is
    one; exactness is promised on the CPU), `precision` (`"float32"`, or `"bfloat16"` under autocast: for
    GPUs), `compile` (whether updates that come often are compiled, at half a minute's cost; what is restored
    then goes on within float tolerance only) and `render_mode` (`None` or `"rgb_array"`).

    ## References
    Mustafa 2024, arXiv 2409.20340; knobs, observations and reward are this project's own decisions, the paper
    publishes none. Pardo et al. 2018, Time Limits in Reinforcement Learning, arXiv 1712.00378. Ng et al.
    1999, Policy invariance under reward transformations.

    ## Version History
    * v0: initial version.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 4}  # type: ignore[misc]
    knob_scale: ClassVar[dict[str, float]] = {}
    """Factors on the limits of knobs whose useful range differs from that of MLP GANs, by name."""
    default_settings: ClassVar[dict[str, float]] = {}
    """Starting settings of the default instance; `Settings`' own defaults for the rest."""

    def __init__(
        self,
        *,
        networks: str,
        loss: str,
        batch_size: int,
        inner_steps: int,
        episode_steps: int,
        knobs: Sequence[str],
        reward: str,
        instances: str,
        device: str,
        precision: str,
        compile: bool,
        render_mode: str | None,
        **problem: Any,
    ) -> None:
        self.knobs = tuple(
            knob.scaled(self.knob_scale.get(knob.name, 1.0)) for knob in gan_gym.knobs.resolve(knobs)
        )
        gan_gym.instances.check_name(instances)
        lookup(NETWORKS, networks, "networks")
        lookup(REWARDS, reward, "reward")
        self.config = TrainerConfig(loss=loss, batch_size=batch_size, precision=precision, compile=compile)
        for name, value in (("inner_steps", inner_steps), ("episode_steps", episode_steps)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; give a whole number >= 1")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode is {render_mode!r}; give None or 'rgb_array'")
        self.networks, self.inner_steps, self.episode_steps = networks, inner_steps, episode_steps
        self.reward, self.instances, self.render_mode = reward, instances, render_mode
        self.device = resolve_device(device)
        self._problem_arguments = problem
        self._problem: Problem | None = None
        self._trainer: GANTrainer | None = None
        n_rows = len(names(self.knobs))
        self.observation_space = spaces.Box(-1.0, 1.0, (n_rows,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (len(self.knobs),), np.float32)

    @abstractmethod
    def build_problem(self) -> Problem:
        """Return the data and reward model; called at the first reset."""

    @property
    def problem(self) -> Problem:
        """Data and reward model; built at first use, shared with forks."""
        if self._problem is None:
            self._problem = self.build_problem()
        return self._problem

    def problem_of(self, other: GANEnv) -> None:
        """Share the data and reward model of an environment with the same arguments."""
        self._problem = other.problem

    @property
    def trainer(self) -> GANTrainer:
        """The GAN in training.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset.
        """
        if self._trainer is None:
            raise gym.error.ResetNeeded("call reset() first; a GAN exists from then on")
        return self._trainer

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start another GAN.

        Args:
            seed: seed of the generator that draws instances; `None` continues it.
            options: starting values of settings by name; with `"snapshot"` among them, the GAN of that
                snapshot instead of a new one. The generator is then the snapshot's, too, unless a seed is
                given: later resets follow the seed.

        Raises:
            ValueError: if an option is unknown or out of range.
        """
        options = dict(options or {})
        snapshot = options.pop("snapshot", None)
        settings = gan_gym.instances.check_options(options)
        if snapshot is not None:
            self.restore(snapshot)
        super().reset(seed=seed)  # last, so that a seed stands where the snapshot brought a generator
        if snapshot is not None:
            self.set_knobs(settings)
            return self.current()
        ratios = {k.name: DEFAULT_UPDATE_RATIO for k in self.knobs if k.name.endswith("_update_ratio")}
        drawn = gan_gym.instances.draw(
            self.instances,
            self.np_random,
            loss=self.config.loss,
            settings={**self.default_settings, **ratios},
            knobs=self._knob_names,
        )
        instance = replace(drawn, settings={**drawn.settings, **settings})
        no_action = np.zeros(len(self.knobs), np.float32)
        self._start(
            self._new_trainer(instance),
            Episode(instance, no_action, reward_terms={self.reward: 0.0, "divergence": 0.0}),
        )
        score = self.score()
        self._episode.similarity = self._episode.similarity_before = score.similarity
        self._episode.modes = score.modes
        return self.current()

    def _new_trainer(self, instance: Instance) -> GANTrainer:
        source = self.problem.source
        g, d = build_networks(self.networks, source.shape, instance.seed)
        return GANTrainer(
            g,
            d,
            source,
            replace(self.config, loss=instance.loss),
            Settings(**instance.settings),
            seed=instance.seed,
            device=self.device,
            similarity=self.problem.scorer.similarity,
        )

    def _start(self, trainer: GANTrainer, episode: Episode) -> None:
        self._trainer, self._episode = trainer, episode
        self.latents = torch.randn(
            max(self.problem.n_scored, self.problem.n_counted),
            trainer.z_dim,
            generator=generator(episode.instance.seed, "evaluation"),
        )

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Turn the knobs and train for `inner_steps`.

        Raises:
            ValueError: if the action is not in the action space.
            gymnasium.error.ResetNeeded: before the first reset and after the end of an episode.
        """
        self.turn(action)
        self.trainer.train(self.inner_steps)
        return self.finish(self.score())

    def turn(self, action: Array) -> None:
        """Turn the knobs: the first part of a step, before the GAN is trained; raises as `step` does."""
        self.turn_to(self.turned(action), action)

    def turn_to(self, values: Mapping[str, float], action: Array) -> None:
        """Turn the knobs to the values that `turned` gave for an action."""
        statistics, episode = self.trainer.statistics, self._episode
        self.set_knobs(values)
        episode.previous, episode.last_action = statistics, np.array(action, np.float32)

    def turned(self, action: Array) -> dict[str, float]:
        """Return the values to which an action would turn the knobs; raises as `step` does."""
        values, episode = self._knob_values(), self._episode
        if episode.end:
            raise gym.error.ResetNeeded(f"the episode has ended ({episode.end}); call reset()")
        return gan_gym.knobs.apply(self.knobs, values, action)

    def score(self) -> Score:
        """Score the GAN as it is."""
        return score_gans(self.problem, [self.trainer], [self.latents])[0]

    def finish(self, score: Score) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Return what a step returns: its last part, after the GAN was trained and scored."""
        episode = self._episode
        episode.n_steps += 1
        episode.similarity_before, episode.similarity = episode.similarity, score.similarity
        episode.modes = score.modes
        collapsed = episode.similarity.diversity < COLLAPSED_DIVERSITY
        episode.n_collapsed = episode.n_collapsed + 1 if collapsed else 0
        if score.diverged:
            episode.end = "diverged"
        elif episode.n_collapsed >= COLLAPSE_PATIENCE:
            episode.end = "collapsed"
        elif episode.n_steps >= self.episode_steps:
            episode.end = "budget"
        terms = REWARDS[self.reward](episode.similarity_before, episode.similarity, self.trainer.statistics)
        episode.reward_terms = {**terms, "divergence": -DIVERGENCE_PENALTY if score.diverged else 0.0}
        observation, info = self.current()
        episode.trace.append({key: value for key, value in info.items() if isinstance(value, int | float)})
        return observation, sum(episode.reward_terms.values()), bool(episode.end), False, info

    def current(self) -> tuple[Array, dict[str, Any]]:
        """Return the observation and info of the present state.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset.
        """
        return self._observation(), self._info()

    def set_knobs(self, values: Mapping[str, float]) -> None:
        """Set any settings exactly, as published rules do; agents turn knobs through `step`.

        Raises:
            ValueError: if a name is unknown or a value out of range.
        """
        known = {field.name: field for field in fields(Settings)}
        for name in values:
            lookup(known, name, "knob")
        exact = {name: float(value) for name, value in values.items()}
        self.trainer.settings = replace(self.trainer.settings, **exact)

    @property
    def _knob_names(self) -> tuple[str, ...]:
        return tuple(knob.name for knob in self.knobs)

    def _knob_values(self) -> dict[str, float]:
        settings = asdict(self.trainer.settings)
        return {name: settings[name] for name in self._knob_names}

    @property
    def _progress_remaining(self) -> float:
        return 1 - self._episode.n_steps / self.episode_steps

    def _observation(self) -> Array:
        trainer, episode = self.trainer, self._episode
        signals = Signals(
            statistics=trainer.statistics,
            previous=episode.previous,
            loss=LOSSES[episode.instance.loss],
            similarity=as_row(episode.similarity),
            similarity_before=as_row(episode.similarity_before),
            progress_remaining=self._progress_remaining,
            n_steps=episode.n_steps,
        )
        return observe(signals, self.knobs, self._knob_values(), episode.last_action)

    def _info(self) -> dict[str, Any]:
        episode = self._episode
        g_lr, d_lr = self.trainer.learning_rates
        modes, modes20, hq = episode.modes
        return {
            **self.trainer.statistics.as_dict(),
            **as_row(episode.similarity),
            **asdict(self.trainer.settings),
            "g_lr": g_lr,
            "d_lr": d_lr,
            **{f"reward_{name}": value for name, value in episode.reward_terms.items()},
            "modes": modes,
            "modes20": modes20,
            "hq": hq,
            "n_images": self.trainer.n_images,
            "env_step": episode.n_steps,
            "progress_remaining": self._progress_remaining,
            "instance_seed": episode.instance.seed,
            "loss": episode.instance.loss,
            "diverged": episode.end == "diverged",
            "end": episode.end,
        }

    def snapshot(self) -> Snapshot:
        """Return all that is needed to continue this run bit for bit (on the CPU)."""
        tensors, values = self.trainer.state()
        return Snapshot(
            tensors,
            {
                "knobs": list(self._knob_names),
                "trainer": values,
                "episode": self._episode.values(),
                "np_random": self.np_random.bit_generator.state,
            },
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot of an environment with the same arguments.

        Raises:
            ValueError: if the snapshot belongs to other knobs, another reward or another architecture; this
                environment is then left as it was.
        """
        values = snapshot.values
        episode = Episode.from_values(values["episode"])
        if values["knobs"] != list(self._knob_names):
            raise ValueError(
                f"the snapshot has the knobs {values['knobs']}, this environment {list(self._knob_names)}"
            )
        if self.reward not in episode.reward_terms:
            raise ValueError(
                f"the snapshot was not made under reward '{self.reward}'; give both the same reward"
            )
        trainer = self._new_trainer(episode.instance)
        trainer.load_state((snapshot.tensors, values["trainer"]))
        self._start(trainer, episode)
        self.np_random.bit_generator.state = values["np_random"]

    def fork(self) -> Self:
        """Return a bare environment that continues bit for bit from here (on the CPU).

        Data and reward model are shared, state is copied.
        """
        snapshot = self.snapshot()
        twin = type(self)(**self._arguments())
        twin.problem_of(self)
        twin.restore(snapshot)
        return twin

    def _arguments(self) -> dict[str, Any]:
        return {
            "networks": self.networks,
            "loss": self.config.loss,
            "batch_size": self.config.batch_size,
            "inner_steps": self.inner_steps,
            "episode_steps": self.episode_steps,
            "knobs": self._knob_names,
            "reward": self.reward,
            "instances": self.instances,
            "device": str(self.device),
            "precision": self.config.precision,
            "compile": self.config.compile,
            "render_mode": self.render_mode,
            **self._problem_arguments,
        }

    def render(self) -> NDArray[np.uint8] | None:
        """Return a frame: generated beside real samples, and traces; see `render.draw_frame`."""
        if self.render_mode is None:
            return None
        samples = self.trainer.sample(self.latents)
        shown = self.problem.shown
        trace = list(self._episode.trace) or [self._info()]
        return draw_frame(shown, samples[: len(shown)].cpu(), trace, self._knob_names)
