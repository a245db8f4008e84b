"""The main job: patches in, a GAN trained under control out."""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from agents.acting import Agent, decide
from agents.algorithms import find as find_algorithm
from agents.baselines import find_agent
from agents.config import DemoConfig, TrainConfig
from agents.controller import Controller
from agents.fitting import fit_snn
from agents.generator_file import generate, save_generator
from agents.online import ONLINE, OnlineLearner
from agents.recording import Recorder
from agents.report import write_report
from agents.run_folder import check_new, create_run, read_config
from agents.splitting import split_held_out
from agents.stopping import StopRequest
from agents.summary import write_summary
from gan_gym.checkpoint import load_checkpoint, replace_file
from gan_gym.data.loading import load_patches
from gan_gym.data.patches import PatchSet
from gan_gym.data.report import DataReport
from gan_gym.data.sampler import to_uint8
from gan_gym.devices import resolve_device
from gan_gym.envs.histogan import HistoGANEnv
from gan_gym.envs.snapshot import Snapshot
from gan_gym.gan import NETWORKS, TrainerConfig
from gan_gym.knobs import DEFAULT_KNOBS, KNOBS, resolve
from gan_gym.metrics import evaluate as evaluate_images
from gan_gym.names import lookup
from snn.siamese import SiameseNet

logger = logging.getLogger(__name__)

MAX_ROLLBACKS = 3
"""Times a diverged run goes back to its last checkpoint, with learning rates divided by `ROLLBACK_FACTOR`."""
ROLLBACK_FACTOR = 4.0
N_EVALUATED = 1000
"""Most patches a side in the final evaluation."""


@dataclass(frozen=True)
class Plan:
    """All that is settled before anything is written."""

    config: TrainConfig
    """The options, of the command line or of the run that is resumed."""
    out: Path
    """The run's folder."""
    device: torch.device
    """Where it computes."""
    agent: Agent | None
    """The controller; `None` where an algorithm learns online from scratch."""
    knobs: tuple[str, ...]
    """Names of the knobs that are turned."""
    networks: str
    """A name in `NETWORKS`."""
    inner_steps: int
    """GAN updates between two decisions."""
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
        controller = f"online {self.config.learn}" if self.config.learn else self.config.controller or "pretrained"
        height, width = self.train.image_size
        return (
            f"data: {self.report.n_used} of {self.report.n_images} images usable, {len(self.train)} patches to train "
            f"on, {len(self.held_out)} held out, {len(self.train.classes)} classes, {height}x{width} px\n"
            f"GAN: networks {self.networks}, loss {self.config.loss}, {self.episode_steps} blocks of {self.inner_steps} "
            f"updates of {self.config.batch_size} patches, on {self.device}\n"
            f"control: {controller}, knobs {', '.join(self.knobs)}"
        )


def run_train(config: TrainConfig) -> int:
    """Do the main job (`gan-gym train`) and return the exit code."""
    assert config.out is not None
    out = Path(config.out)
    if config.resume:
        stored = read_config(out)
        config = replace(stored, out=config.out, resume=True)
    elif not config.dry_run:
        check_new(out, "run")
    plan = make_plan(config)
    print(plan.describe(), flush=True)
    if config.dry_run:
        print("dry run: nothing was written")
        return 0
    if not config.resume:
        create_run(out, replace(config, resume=False))
    return execute(plan)


def run_demo(config: DemoConfig) -> int:
    """Do the main job on the embedded tissue (`gan-gym demo`)."""
    options = TrainConfig(
        out=config.out,
        image_size="32",
        n_images=config.n_images,
        controller=config.controller,
        seed=config.seed,
        device=config.device,
    )
    started = time.monotonic()
    code = run_train(options)
    if code == 0:
        print(f"done in {(time.monotonic() - started) / 60:.1f} minutes; open {Path(config.out) / 'report.html'}")
    return code


def make_plan(config: TrainConfig) -> Plan:
    """Check everything a user can get wrong, and load the data.

    Raises:
        ValueError: for the first thing that is wrong; one line with the remedy.
    """
    assert config.out is not None
    device = resolve_device(config.device)
    TrainerConfig(loss=config.loss, batch_size=config.batch_size)
    networks = config.networks
    if networks == "auto":
        networks = "residual" if device.type == "cuda" else "light"
    lookup(NETWORKS, networks, "networks")
    if networks == "mlp":
        raise ValueError("networks 'mlp' make points, not patches; give light, residual or auto")
    if config.learn is not None:
        find_algorithm(config.learn).load()
        lookup(ONLINE, config.learn, "online algorithm")
    agent, knobs = _resolve_agent(config)
    if config.reward_model not in ("refine", "fit", "shipped"):
        SiameseNet.load(config.reward_model)
    loaded = load_patches(
        config.data,
        config.image_size,
        min_patches=max(config.batch_size, 8),
        on_bad_image=config.on_bad_image,
        progress=True,
        seed=config.seed,
    )
    for warning in loaded.report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if loaded.report.unusable:
        print(f"warning: {_left_out(loaded.report)}", file=sys.stderr)
    train, held_out = split_held_out(loaded.patches, config.held_out, config.seed)
    inner_steps = config.inner_steps or (10 if config.learn else 50)
    return Plan(
        config=config,
        out=Path(config.out),
        device=device,
        agent=agent,
        knobs=knobs,
        networks=networks,
        inner_steps=inner_steps,
        episode_steps=-(-config.n_images // (config.batch_size * inner_steps)),
        train=train,
        held_out=held_out,
        report=loaded.report,
    )


def _left_out(report: DataReport) -> str:
    first = "; ".join(f"{item.path} ({item.reason})" for item in report.unusable[:3])
    more = f"; and {len(report.unusable) - 3} more: see gan-gym check-data" if len(report.unusable) > 3 else ""
    return f"{len(report.unusable)} unusable images are left out: {first}{more}"


def _resolve_agent(config: TrainConfig) -> tuple[Agent | None, tuple[str, ...]]:
    asked = None if config.knobs is None else tuple(knob.name for knob in resolve(config.knobs))
    if config.learn is not None and config.controller is None:
        return None, asked or DEFAULT_KNOBS
    agent = find_agent(config.controller or "pretrained", seed=config.seed)
    if config.learn is not None and not (isinstance(agent, Controller) and agent.algo == config.learn):
        raise ValueError(
            f"--learn {config.learn} cannot start from controller '{config.controller}', which is no {config.learn} "
            "policy; leave --controller out to learn from scratch"
        )
    if agent.knobs is not None and asked is not None and asked != agent.knobs:
        raise ValueError(f"--knobs {','.join(asked)} are not those of the controller ({','.join(agent.knobs)})")
    return agent, agent.knobs or asked or DEFAULT_KNOBS


def execute(plan: Plan) -> int:
    """Fit the reward model, train the GAN, evaluate and report; continue from the newest checkpoint if there is one."""
    env = HistoGANEnv.on_patches(
        plan.train,
        reward_model=_reward_model(plan),
        networks=plan.networks,
        loss=plan.config.loss,
        batch_size=plan.config.batch_size,
        inner_steps=plan.inner_steps,
        episode_steps=plan.episode_steps,
        knobs=plan.knobs,
        device=str(plan.device),
    )
    with StopRequest() as stop:
        finished = _train_online(plan, env) if plan.config.learn else _train_controlled(plan, env, stop)
    if not finished:
        print(f"stopped; continue with: gan-gym train --out {plan.out} --resume")
        return 85
    save_generator(
        env.trainer.g_ema.module, plan.out, plan.networks, env.trainer.source.shape, env.trainer.n_images
    )
    if plan.config.evaluate:
        _evaluate(plan, env.trainer.g_ema.module)
    write_summary(plan.out)
    report = write_report(plan.out)
    print((plan.out / "summary.md").read_text())
    print(f"report: {report}")
    return 0


def _reward_model(plan: Plan) -> str:
    """Return the folder of the run's reward model, fitting it first where that was asked for and not yet done."""
    asked, folder = plan.config.reward_model, plan.out / "snn"
    if folder.is_dir():
        return str(folder)
    if asked in ("refine", "fit"):
        start = "shipped" if asked == "refine" else "imagenet"
        fit_snn(plan.train, plan.held_out, folder, start=start, seed=plan.config.seed, device=plan.device)
    else:
        model = SiameseNet.load("tissue" if asked == "shipped" else asked)
        part = folder.with_name(".snn.part")
        model.save(part)
        part.rename(folder)
    return str(folder)


def _recorder(plan: Plan, env: HistoGANEnv, n_rows: int) -> Recorder:
    return Recorder(
        plan.out,
        env,
        plan.config.seed,
        n_rows,
        samples_every=max(1, plan.episode_steps // 10),
        checkpoint_every=max(1, plan.episode_steps // 20),
    )


def _train_controlled(plan: Plan, env: HistoGANEnv, stop: StopRequest) -> bool:
    """Let the controller act until the budget is spent; return False where a signal stopped the run."""
    assert plan.agent is not None
    found = load_checkpoint(plan.out / "checkpoints")
    state: Any = None
    n_rows = n_rollbacks = 0
    if found is None:
        env.reset(seed=plan.config.seed)
    else:
        tensors, values = found
        env.reset(seed=plan.config.seed, options={"snapshot": Snapshot(tensors, values["env"])})
        n_rows, n_rollbacks, state = values["n_rows"], values["n_rollbacks"], values["agent_state"]
    _save_agent(plan)
    recorder = _recorder(plan, env, n_rows)
    observation, info = env.current()
    good, good_state = env.snapshot(), state
    while not info["end"] and not stop.requested:
        action, state = decide(plan.agent, env, observation, info, state)
        observation, reward, _, _, info = env.step(action)
        recorder.row(action, reward, info, n_rollbacks)
        if info["diverged"] and n_rollbacks < MAX_ROLLBACKS:
            n_rollbacks += 1
            logger.warning("the run diverged; back to the last checkpoint with learning rates / %g", ROLLBACK_FACTOR)
            env.restore(good)
            _soften(env, n_rollbacks)
            state = good_state
            observation, info = env.current()
        elif info["env_step"] % recorder.checkpoint_every == 0 and not info["diverged"]:
            good, good_state = env.snapshot(), state
            recorder.checkpoint({"n_rollbacks": n_rollbacks, "agent_state": state})
    if stop.requested and not info["end"]:
        recorder.checkpoint({"n_rollbacks": n_rollbacks, "agent_state": state})
        recorder.close()
        return False
    if info["diverged"]:
        logger.warning("the run diverged %d times; its last good generator is kept", n_rollbacks + 1)
        env.restore(good)
    recorder.close()
    return True


def _soften(env: HistoGANEnv, times: int) -> None:
    """Divide the learning rates and update ratios, more at every further divergence from the same checkpoint."""
    settings = asdict(env.trainer.settings)
    names = ("g_lr", "d_lr", "g_update_ratio", "d_update_ratio")
    lowest = {name: KNOBS[name].low for name in names}
    env.set_knobs(
        {
            name: max(settings[name] / ROLLBACK_FACTOR**times, lowest[name])
            for name in names
            if settings[name] > 0
        }
    )


def _save_agent(plan: Plan) -> None:
    """Keep a copy of what controls the run."""
    folder = plan.out / "controller"
    if isinstance(plan.agent, Controller):
        plan.agent.save(folder)
    else:
        folder.mkdir(exist_ok=True)
        replace_file(folder / "baseline.json", json.dumps({"baseline": plan.config.controller}).encode())


def _train_online(plan: Plan, env: HistoGANEnv) -> bool:
    """Let an algorithm learn inside this run. A resumed run repeats the learning from its start."""
    env.reset(seed=plan.config.seed)
    recorder = _recorder(plan, env, 0)
    assert plan.config.learn is not None
    start = plan.agent if isinstance(plan.agent, Controller) else None
    learner = OnlineLearner(plan.config.learn, env, recorder, seed=plan.config.seed, start=start)
    learner.learn().save(plan.out / "controller")
    recorder.close()
    return True


def _evaluate(plan: Plan, generator: torch.nn.Module) -> None:
    """Compare generated with held-out patches through the independent extractor; write `evaluation.json`."""
    n_fake = min(N_EVALUATED, max(len(plan.held_out), 250))
    fake = to_uint8(generate(generator, n_fake, plan.config.seed, plan.device))
    result = evaluate_images(
        plan.held_out.images[:N_EVALUATED],
        fake,
        train=plan.train.images[:N_EVALUATED],
        seed=plan.config.seed,
        progress=True,
    )
    replace_file(plan.out / "evaluation.json", json.dumps(result.to_json(), indent=1).encode())
