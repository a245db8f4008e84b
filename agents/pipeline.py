"""The main job: patches in, a GAN trained under control out."""

from __future__ import annotations

import logging
import os
import shlex
import time
from dataclasses import fields, replace
from pathlib import Path

import torch

from agents import forecast
from agents.config import DemoConfig, TrainConfig
from agents.controlled import train_controlled
from agents.controller import Controller
from agents.evaluation_files import keep_evaluation
from agents.fitting import fit_snn
from agents.generator_file import decoder, generate, load_generator, save_best_generator, save_generator
from agents.online import train_online
from agents.planning import Plan, make_plan
from agents.report import write_report
from agents.run_board import N_EMBEDDED, PROJECTOR, write_end, write_projector
from agents.run_controller import keep_baseline, keep_controller, keep_start
from agents.run_data import check_data, describe_data
from agents.run_folder import check_new, create_run, new_folder, read_config
from agents.run_lock import locked
from agents.splitting import describe_split, drawn
from agents.stopping import EXIT_RESUMABLE, StopRequest
from agents.summary import write_summary
from gan_gym.data.sizes import parse_image_size
from gan_gym.envs.histogan import HistoGANEnv
from gan_gym.metrics import cache_folder
from gan_gym.metrics import evaluate as evaluate_images
from snn.siamese import SiameseNet

logger = logging.getLogger(__name__)

N_EVALUATED = 1000
"""Most patches a side in the final evaluation."""
N_REMEMBERED = 5000
"""Most training patches among which it looks for copies; `gan-gym evaluate` looks among all."""


def run_train(config: TrainConfig) -> int:
    """Do the main job (`gan-gym train`) and return the exit code."""
    folder = config.out
    assert folder is not None
    if config.resume:
        out, config = Path(os.path.realpath(folder)), _resumed(config, folder)
        if _is_complete(out, config) and not config.dry_run:
            print("the run is complete; only its report is written again")
            return _report(out)
    else:
        out = check_new(folder, "run", probe=not config.dry_run)
    plan = make_plan(config, out)
    if config.resume:
        check_data(out, plan.train, plan.held_out)
    print(plan.describe(), flush=True)
    if config.dry_run:
        print(forecast.describe(plan))
        print("dry run: nothing was written")
        return 0
    if not config.resume:
        create_run(out, plan.config, data=describe_data(plan.train, plan.held_out))
    try:
        with locked(out):
            code = execute(plan)
    except KeyboardInterrupt:
        code = EXIT_RESUMABLE
    if code == EXIT_RESUMABLE:
        print(f"stopped; continue with: gan-gym train --out {shlex.quote(str(out))} --resume")
    return code


def _resumed(asked: TrainConfig, run: str) -> TrainConfig:
    """Return the options of the run that is continued; all but a few of those given now are ignored."""
    stored, default = read_config(run), TrainConfig()
    device = stored.device if asked.device == default.device else asked.device
    for field in fields(TrainConfig):
        given, kept = getattr(asked, field.name), getattr(stored, field.name)
        if field.name in ("out", "resume", "dry_run", "device") or given == getattr(default, field.name):
            continue
        if not _same(field.name, given, kept):
            logger.warning("--%s %s is ignored: the run was started with %s", field.name, given, kept)
    return replace(stored, out=run, resume=True, dry_run=asked.dry_run, device=device)


def _same(name: str, given: object, kept: object) -> bool:
    """Say whether an option is the one that is kept, whose paths are absolute."""
    if name == "image_size":
        return parse_image_size(str(given)) == parse_image_size(str(kept))
    if name in ("data", "controller", "reward_model"):
        return kept in (given, os.path.abspath(str(given)))
    return str(given) == str(kept)


def _is_complete(out: Path, config: TrainConfig) -> bool:
    """Say whether a run has its generator, whole, its evaluation, and what is written last of all."""
    needed = ["generator.json", PROJECTOR, *(["evaluation.json"] if config.evaluate else [])]
    if not all((out / name).is_file() for name in needed):
        return False
    try:
        load_generator(str(out), torch.device("cpu"))
    except ValueError as error:
        logger.warning("%s; it is made again", error)
        return False
    return True


def run_demo(config: DemoConfig) -> int:
    """Do the main job on the embedded tissue (`gan-gym demo`)."""
    options = TrainConfig(
        out=config.out,
        image_size=32,
        n_images=config.n_images,
        controller=config.controller,
        seed=config.seed,
        device=config.device,
    )
    started = time.monotonic()
    code = run_train(options)
    if code == 0:
        print(
            f"done in {(time.monotonic() - started) / 60:.1f} minutes; "
            f"open {Path(config.out) / 'report.html'}"
        )
    return code


def execute(plan: Plan) -> int:
    """Fit the reward model, train the GAN, evaluate and report; continue from the newest checkpoint."""
    config = plan.config
    assert config.inner_steps is not None
    _keep_agent(plan)
    env = HistoGANEnv.on_patches(
        plan.train,
        reward_model=_reward_model(plan),
        networks=config.networks,
        loss=config.loss,
        batch_size=config.batch_size,
        inner_steps=config.inner_steps,
        episode_steps=plan.episode_steps,
        knobs=plan.knobs,
        device=str(plan.device),
        precision=config.precision,
        compile=config.compile,
    )
    with StopRequest() as stop:
        finished = _train(plan, env, stop)
    if not finished:
        return EXIT_RESUMABLE
    generator = env.trainer.g_ema.module
    save_generator(generator, plan.out, config.networks, env.trainer.source.shape, env.trainer.n_images)
    save_best_generator(plan.out, config.networks, env.trainer.source.shape)
    if config.evaluate:
        _evaluate(plan, generator)
    write_end(plan.out)
    write_projector(plan.out, plan.held_out, generate(generator, N_EMBEDDED, config.seed, plan.device))
    return _report(plan.out)


def _report(out: Path) -> int:
    """Write and print what the run says about itself."""
    summary = write_summary(out)
    report = write_report(out)
    print(summary.read_text("utf-8"))
    print(f"report: {report}")
    return 0


def _reward_model(plan: Plan) -> str:
    """Return the folder of the run's reward model, which is fitted first where that is not yet done."""
    asked, folder = plan.config.reward_model, plan.out / "snn"
    if folder.is_dir():
        return str(folder)
    if asked in ("refine", "fit"):
        fit_snn(
            plan.train,
            plan.held_out,
            folder,
            start="shipped" if asked == "refine" else "imagenet",
            seed=plan.config.seed,
            device=plan.device,
        )
    else:
        with new_folder(folder) as part:
            SiameseNet.load(None if asked == "shipped" else asked).save(part)
    return str(folder)


def _keep_agent(plan: Plan) -> None:
    """Write what controls the run, or what it learns from, into its folder where that is not yet done."""
    if plan.config.learn is not None:
        if isinstance(plan.agent, Controller):
            keep_start(plan.agent, plan.out)
    elif not (plan.out / "controller").is_dir():
        if isinstance(plan.agent, Controller):
            keep_controller(plan.agent, plan.out)
        else:
            keep_baseline(str(plan.config.controller), plan.out)


def _train(plan: Plan, env: HistoGANEnv, stop: StopRequest) -> bool:
    """Train under the plan's control; return False where a signal stopped it."""
    config = plan.config
    if config.learn is not None:
        start = plan.agent if isinstance(plan.agent, Controller) else None
        return train_online(plan.out, env, config.learn, config.seed, stop, start=start)
    assert plan.agent is not None
    return train_controlled(plan.out, env, plan.agent, config.seed, stop)


def _evaluate(plan: Plan, generator: torch.nn.Module) -> None:
    """Compare generated with held-out patches through the independent extractor; keep what is found."""
    seed = plan.config.seed
    n_fake = min(N_EVALUATED, max(len(plan.held_out), 250))
    fake = generate(generator, n_fake, seed, plan.device)
    train = drawn(plan.train, N_REMEMBERED, seed).images
    result = evaluate_images(
        drawn(plan.held_out, N_EVALUATED, seed),
        fake,
        train=train,
        decoder=decoder(generator, plan.device),
        split=describe_split(plan.held_out, plan.train),
        cache=cache_folder(),
        seed=seed,
        progress=True,
    )
    keep_evaluation(plan.out, result, fake, train)
