"""What runs on a GPU: the same updates within tolerance, and every command to its end. Needs one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

import gan_gym  # noqa: F401
from agents import Controller, cli, make_env, train
from agents.controller import build_policy
from agents.evaluation import evaluate
from gan_gym.data.mixtures import MixtureSampler
from gan_gym.data.patches import PatchSet
from gan_gym.data.sampler import PatchSampler
from gan_gym.data.tissue import tissue_patches
from gan_gym.gan import GANTrainer, Settings, TrainerConfig, build_networks
from gan_gym.gan.population import Population
from snn import SiameseNet, Stage, embed_images, finetune

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

KNOBS = ("g_lr", "d_lr", "instance_noise", "beta1")
SETTINGS = [
    Settings(),
    Settings(instance_noise=0.3, augment_p=0.5, r1_gamma=1.0),
    Settings(d_steps=2.0, beta1=0.0, g_update_ratio=1e-3, d_update_ratio=3e-3),
]
SMALL = {"image_size": 16, "batch_size": 8, "inner_steps": 6, "episode_steps": 4, "device": "cuda"}


@pytest.fixture(autouse=True)
def exact_products():
    """Matrix products and convolutions in full float32, so that devices can be compared."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def _trainers(networks: str, device: str, **config: Any) -> list[GANTrainer]:
    patches = tissue_patches(64, 16, seed=0)
    made = []
    for seed, settings in enumerate(SETTINGS):
        source: Any = MixtureSampler.grid() if networks == "mlp" else PatchSampler(patches.images.to(device))
        if made:
            source = made[0].source
        pair = build_networks(networks, source.shape, seed)
        trainer_config = TrainerConfig(batch_size=8, **config)
        made.append(GANTrainer(*pair, source, trainer_config, settings, seed=seed, device=device))
    return made


def _assert_close(left: GANTrainer, right: GANTrainer, rtol: float, atol: float) -> None:
    (ours, _), (theirs, _) = left.state(), right.state()
    for name in theirs:
        torch.testing.assert_close(ours[name].cpu(), theirs[name].cpu(), rtol=rtol, atol=atol, msg=name)


@pytest.mark.parametrize("networks", ["mlp", "light", "residual"])
def test_a_gpu_does_the_updates_that_a_cpu_does(networks: str) -> None:
    for there, here in zip(_trainers(networks, "cuda"), _trainers(networks, "cpu"), strict=True):
        if here.settings.instance_noise > 0:
            continue  # noise is drawn where it is needed: other numbers
        there.train(2), here.train(2)
        _assert_close(there, here, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("networks", ["mlp", "light", "residual"])
def test_updates_replayed_as_graphs_equal_eager_ones(networks: str) -> None:
    graphs = _trainers(networks, "cuda")
    eager = _trainers(networks, "cuda", cuda_graphs=False)
    for replayed, run in zip(graphs, eager, strict=True):
        replayed.train(13), run.train(13)
        _assert_close(replayed, run, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("networks", ["mlp", "light", "residual"])
def test_a_population_equals_its_members(networks: str) -> None:
    together, alone = _trainers(networks, "cuda"), _trainers(networks, "cuda")
    Population(together).train(together, 5)
    for batched, single in zip(together, alone, strict=True):
        single.train(5)
        _assert_close(batched, single, rtol=5e-2, atol=5e-3)


@pytest.mark.parametrize("id", ["GridGAN-v0", "StackedDigitsGAN-v0", "HistoGAN-v0"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_environment_is_restored_on_the_gpu(id: str, precision: str) -> None:
    kwargs = {name: SMALL[name] for name in SMALL if name != "image_size" or id == "HistoGAN-v0"}
    env = gym.make(id, **kwargs, precision=precision).unwrapped
    env.reset(seed=0)
    env.step(np.full(4, 0.3, np.float32))
    snapshot, fork = env.snapshot(), env.fork()
    action = np.full(4, 0.1, np.float32)
    first = env.step(action)
    env.restore(snapshot)
    for twin in (env.step(action), fork.step(action)):
        np.testing.assert_allclose(twin[0], first[0], atol=0.05)
        assert twin[1] == pytest.approx(first[1], abs=0.02)
    assert env.trainer.device.type == "cuda"


def test_many_environments_and_an_agent_on_one_gpu() -> None:
    env = make_env("HistoGAN-v0", "ppo", 4, seed=0, **SMALL)
    controller = train("ppo", env, total_timesteps=32, seed=0)
    env.close()
    assert controller.knobs == KNOBS
    rows = evaluate(controller, "HistoGAN-v0", n_episodes=3, env_kwargs=SMALL)
    assert [row.seed for row in rows] == [0, 1, 2]
    assert all(np.isfinite(row.final_quality) for row in rows)


def test_the_reward_model_is_fitted_on_the_gpu_and_saved_for_any_device(tmp_path: Path) -> None:
    images = tissue_patches(64, 32, seed=0).images
    model = SiameseNet.load()
    history = finetune(model, images, stages=[Stage("all", n_steps=20, batch_size=16)], seed=0, device="cuda")
    assert all(np.isfinite(row.loss) for row in history.rows)
    model.save(tmp_path / "model")
    there = embed_images(model, images, device="cuda").cpu()
    torch.testing.assert_close(
        embed_images(SiameseNet.load(tmp_path / "model"), images), there, rtol=0, atol=1e-2
    )


class _Networks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.Sequential(nn.Linear(16, 3 * 16 * 16), nn.Tanh(), nn.Unflatten(1, (3, 16, 16)))
        self.d = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 64), nn.LeakyReLU(), nn.Linear(64, 1))


def test_a_controller_turns_a_loop_on_the_gpu() -> None:
    policy = build_policy("ppo", KNOBS)
    n_rows = len(Controller("ppo", policy, KNOBS, np.zeros(1), np.ones(1), {}).observations)
    controller = Controller("ppo", policy, KNOBS, np.zeros(n_rows), np.ones(n_rows), {})
    networks = _Networks().cuda()
    opt_g = torch.optim.Adam(networks.g.parameters(), 1e-3, fused=True)
    opt_d = torch.optim.Adam(networks.d.parameters(), 1e-3, capturable=True)
    pixels: PatchSet = tissue_patches(640, 16, seed=0)
    images = pixels.images.cuda().float() / 127.5 - 1
    attached = controller.attach(opt_g, opt_d, total_steps=80, discriminator=networks.d)
    for i in range(80):
        real = images[8 * i % 640 :][:8]
        fake = networks.g(torch.randn(8, 16, device="cuda"))
        score_real, score_fake = networks.d(real), networks.d(fake.detach())
        d_loss = (softplus(-score_real) + softplus(score_fake)).mean()
        opt_d.zero_grad(), d_loss.backward(), opt_d.step()
        g_loss = softplus(-networks.d(fake)).mean()
        opt_g.zero_grad(), g_loss.backward(), opt_g.step()
        attached.step(
            g_loss=g_loss, d_loss=d_loss, score_real=score_real, score_fake=score_fake, real=real, fake=fake
        )
    assert attached.n_decisions > 5
    assert attached.similarity is not None
    assert not attached.diverged


def test_the_commands_run_on_the_gpu(tmp_path: Path, patch_folder: Path) -> None:
    snn, run = tmp_path / "snn", tmp_path / "run"
    flags = "--image_size 16 --batch_size 8 --device cuda"
    assert cli.main(["fit-snn", "--data", str(patch_folder), "--out", str(snn), *flags.split()]) == 0
    flags = f"{flags} --n_images 320 --inner_steps 4 --reward_model {snn} --evaluate false"
    assert cli.main(["train", "--data", str(patch_folder), "--out", str(run), *flags.split()]) == 0
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(np.isfinite(row["quality"]) for row in rows)
