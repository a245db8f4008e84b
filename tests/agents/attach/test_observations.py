"""A controller sees in a loop of one's own what it would see in an environment."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus
from torch.utils._python_dispatch import TorchDispatchMode

from gan_gym.data.tissue import tissue_patches
from gan_gym.envs.points import GridGANEnv
from gan_gym.gan import build_networks
from gan_gym.gan.draws import Tape, take
from gan_gym.observations import names
from gan_gym.randomness import generator

KNOBS = ("g_lr", "d_lr")
SCORED = ("fidelity", "coverage", "diversity", "kernel", "quality")


def test_a_loop_that_does_what_the_trainer_does_is_seen_as_the_environment_is(stub, loop) -> None:
    """All but the scores, whose fakes the environment makes by its averaged generator."""
    actions = [0.0, 0.0], [-0.2, 0.05], [-1.0, 0.125]
    env = GridGANEnv(knobs=KNOBS, inner_steps=25, episode_steps=40)
    expected = [env.reset(seed=3)[0]]
    trainer, plain, player = env.trainer, loop(), stub(KNOBS, *actions)
    plain.g, plain.d = build_networks(env.networks, (2,), trainer.seed)
    rates = {"lr": trainer.settings.g_lr, "betas": (trainer.settings.beta1, trainer.config.beta2)}
    plain.opt_g, plain.opt_d = (torch.optim.Adam(net.parameters(), **rates) for net in (plain.g, plain.d))
    attached = plain.attach(player)
    for action in actions:
        d_tape, g_tape = (Tape([trainer], side, [1], 25, torch.device("cpu")) for side in "dg")
        for i in range(25):
            real = take(trainer.drawn, d_tape(i))
            with torch.no_grad():
                fake = plain.g(d_tape(i)["z"])
            score_real, score_fake = plain.d(torch.cat([real, fake])).chunk(2)
            d_loss = softplus(-score_real).mean() + softplus(score_fake).mean()
            plain.opt_d.zero_grad()
            d_loss.backward()
            plain.opt_d.step()
            plain.opt_g.zero_grad()
            g_loss = softplus(-plain.d(plain.g(g_tape(i)["z"]))).mean()
            g_loss.backward()
            plain.opt_g.step()
            attached.step(
                g_loss=g_loss,
                d_loss=d_loss,
                score_real=score_real,
                score_fake=score_fake,
                real=real,
                fake=fake,
            )
        expected.append(env.step(np.array(action, np.float32))[0])
    rows = names(env.knobs)
    compared = [i for i, row in enumerate(rows) if not row.startswith(SCORED)]
    assert len(compared) == 22
    assert len(player.seen) == len(expected) == 4
    for ours, theirs in zip(player.seen, expected, strict=True):
        np.testing.assert_allclose(ours[compared], theirs[compared], atol=2e-4)
    assert np.abs(player.seen[3] - player.seen[2])[compared].max() > 0.02


def test_losses_may_be_numbers_and_scores_of_any_shape(stub, loop) -> None:
    """As in the last step of an epoch, or from a discriminator of patches."""
    seen = []
    for change in (
        lambda r: r,
        lambda r: r | {"g_loss": float(r["g_loss"].detach()), "d_loss": np.float64(r["d_loss"].item())},
    ):
        plain, player = loop(), stub(KNOBS)
        attached = plain.attach(player)
        for i in range(25):
            report = change(plain.report(17 if i % 4 == 3 else 64))
            attached.step(**report | {k: report[k].view(-1, 1, 1) for k in ("score_real", "score_fake")})
        seen.append(player.seen[-1])
    np.testing.assert_allclose(*seen, atol=1e-6)


def test_statistics_are_means_over_steps_of_different_size(stub, loop) -> None:
    plain = loop()
    attached, reports = plain.attach(stub(KNOBS), total_steps=400), []
    for i in range(10):
        reports.append(plain.report(1 if i == 4 else 8 + i))
        attached.step(**reports[-1])
    means = [float(r["score_real"].detach().mean()) for r in reports]
    spread = [
        float(r[k].detach().var(correction=0))
        for r in reports
        for k in ("score_real", "score_fake")
        if len(r["real"]) > 1
    ]
    gap = np.mean(means) - np.mean([float(r["score_fake"].detach().mean()) for r in reports])
    assert attached.statistics.score_real == pytest.approx(np.mean(means), rel=1e-5)
    assert attached.statistics.score_gap == pytest.approx(gap / np.sqrt(np.mean(spread)), rel=1e-3)
    assert attached.statistics.g_loss_std == pytest.approx(
        np.std([float(r["g_loss"].detach()) for r in reports]), rel=1e-4
    )


POINTS = torch.randn(1024, 2, generator=generator(0, "points"))
TISSUE = tissue_patches(640, 32, seed=1).images.float() / 127.5 - 1


def halves(samples: torch.Tensor, n: int = 8) -> list[Any]:
    return list(zip(*(half.chunk(n) for half in samples.chunk(2)), strict=True))


@pytest.mark.parametrize(
    ("samples", "options"),
    [
        (POINTS, {}),
        (TISSUE, {}),
        ((TISSUE + 1) / 2, {"value_range": (0.0, 1.0)}),
        (TISSUE[:, :1], {}),
        (torch.nn.functional.avg_pool2d(TISSUE, 8), {}),
        (torch.nn.functional.interpolate(TISSUE[:128], (72, 144)), {}),
        (POINTS.view(-1, 2, 1), {"embed": lambda x: x.flatten(1)}),
    ],
    ids=["points", "images", "other range", "grey", "tiny", "large", "embed"],
)
def test_real_samples_score_high_and_noise_low(show, samples: torch.Tensor, options: dict[str, Any]) -> None:
    pairs = halves(samples)
    good = show(pairs, **options).similarity
    low, high = samples.min(), samples.max()
    noise = torch.rand(samples.shape, generator=generator(1, "noise")) * (high - low) + low
    if samples.ndim < 4:
        noise = noise * 2 - (low + high) / 2
    bad = show(
        [(real, fake) for (real, _), fake in zip(pairs, noise.chunk(len(pairs)), strict=True)], **options
    )
    assert good.quality > 0.75
    assert bad.similarity.quality < 0.25


def test_the_last_fakes_before_a_decision_count(show) -> None:
    pairs = halves(POINTS)
    early = show(
        [(real, torch.zeros_like(fake)) if i < 1 else (real, fake) for i, (real, fake) in enumerate(pairs)]
    )
    late = show(
        [(real, torch.zeros_like(fake)) if i >= 1 else (real, fake) for i, (real, fake) in enumerate(pairs)]
    )
    assert early.similarity == show(pairs).similarity
    assert late.similarity.diversity == 0


def test_little_is_embedded_and_nothing_read_between_decisions(stub, loop) -> None:
    """What it costs: 128 samples embedded a decision, and a copy of the weights in five steps a block."""
    n_embedded, n_copied, reading = [0], [0], []

    def embed(x: torch.Tensor) -> torch.Tensor:
        n_embedded[0] += len(x)
        return x

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            reading.append(func) if func is torch.ops.aten._local_scalar_dense.default else None
            return func(*args, **(kwargs or {}))

    plain = loop()
    attached = plain.attach(stub(KNOBS), embed=embed)
    plain.run(attached, 100)
    for movement in attached._movements:
        copies = movement._copies
        movement._copies = lambda copies=copies: (n_copied.__setitem__(0, n_copied[0] + 1), copies())[1]
    before = n_embedded[0]
    for i in range(200):
        report = plain.report()
        with Watch():
            attached.step(**report)
        assert not reading or attached.n_decisions == 5 + (i + 1) // 25
        assert (i + 1) % 25 == 0 or not reading
        reading.clear()
    assert n_embedded[0] - before == 8 * 128
    assert n_copied[0] == 2 * 8 * 5


def test_global_random_states_are_left_alone(stub, loop) -> None:
    plain = loop()
    images = TISSUE.chunk(20)
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    attached = plain.attach(stub((*KNOBS, "instance_noise"), [0, 0, 1.0]), total_steps=400)
    for i in range(30):
        attached.step(**plain.report() | {"real": images[i % 20], "fake": images[-1 - i % 20]})
    assert attached.values["instance_noise"] > 0
    after = random.getstate(), np.random.get_state()[1], torch.get_rng_state()  # noqa: NPY002
    assert before[0] == after[0]
    assert np.array_equal(before[1], after[1])
    assert torch.equal(before[2], after[2])
