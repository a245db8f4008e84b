from __future__ import annotations

import json
import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import gan_gym  # noqa: F401 (registers the ids)
from agents import BASELINES
from agents.acting import Agent, Rule, decide
from agents.baselines import (
    ADA,
    Cosine,
    GapAware,
    LossBalance,
    TunedConstant,
    TunedSchedule,
    UpdateRatio,
    find_agent,
    make_baseline,
)
from agents.baselines.rule import FORMS
from agents.baselines.schedules import COSINE_TO_0
from agents.baselines.tuned import tuned

QUICK = {"inner_steps": 2, "episode_steps": 4, "batch_size": 16}
START = {"g_lr": 1e-3, "d_lr": 2e-3, "env_step": 0, "n_images": 0, "progress_remaining": 1.0}
START |= {"loss": "non_saturating", "networks": "mlp", "augment_p": 0.0, "sign_real": 0.0}


def episode(agent: Agent, resumed: bool = False, **env: Any) -> list[dict[str, Any]]:
    """Infos of one episode; `resumed` sends the state through JSON and the GAN through a snapshot."""
    bare = gym.make("GridGAN-v0", instances="test", **QUICK | env).unwrapped
    observation, info = bare.reset(seed=11)
    state, infos, done = None, [info], False
    while not done:
        action, state = decide(agent, bare, observation, info, state)
        if resumed:
            state = json.loads(json.dumps(state))
        observation, _, done, _, info = bare.step(action)
        if resumed:
            bare.restore(bare.snapshot())
        infos.append(info)
    return infos


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_every_baseline_controls_an_episode_and_survives_a_checkpoint(name: str) -> None:
    infos = episode(make_baseline(name))
    assert infos[-1]["end"] == "budget"
    assert infos == episode(make_baseline(name), resumed=True)


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_every_baseline_predicts_like_a_model(name: str) -> None:
    agent = make_baseline(name)
    action, state = agent.predict(
        np.zeros(33, np.float32), state=None, episode_start=None, deterministic=True
    )
    assert action.shape == (4,)
    assert action.dtype == np.float32
    assert json.loads(json.dumps(state)) == state
    assert agent.predict(np.zeros((5, 29), np.float32))[0].shape == (5, 2)
    assert isinstance(agent, Agent)
    assert isinstance(agent, Rule) == (name != "random")


def test_rules_set_exact_values_whatever_the_knobs() -> None:
    ttur = make_baseline("ttur", g_lr=1e-7, d_lr=0.05)
    for knobs in (("g_lr", "d_lr"), ("g_update_ratio", "d_update_ratio"), ("augment_p",)):
        for info in episode(ttur, knobs=knobs)[1:]:
            assert (info["g_lr"], info["d_lr"]) == (1e-7, 0.05)


def test_constant_keeps_all_settings() -> None:
    infos = episode(make_baseline("constant"))
    settings = (
        "g_lr",
        "d_lr",
        "instance_noise",
        "beta1",
        "augment_p",
        "r1_gamma",
        "d_steps",
        "reward_weight",
    )
    assert all(info[name] == infos[0][name] for info in infos for name in settings)


def test_ttur_has_the_published_pair() -> None:
    values, _ = make_baseline("ttur").settings(START, None)
    assert (values["g_lr"], values["d_lr"]) == (1e-4, 4e-4)


def test_cosine_goes_from_the_starting_rates_to_nothing() -> None:
    state = None
    for t in (0.0, 0.25, 0.5, 0.75, 1.0):
        values, state = Cosine().settings(
            START | {"progress_remaining": 1 - t, "g_lr": 1e-3 - t / 2e3}, state
        )
        share = 0.5 * (1 + math.cos(math.pi * t))
        assert values["g_lr"] == pytest.approx(1e-3 * share, abs=1e-12)
        assert values["d_lr"] == pytest.approx(2e-3 * share, abs=1e-12)


def published_gap_aware(loss: float, ideal: float) -> float:
    """s(x) of arXiv 2302.00089 with h_min = 0.1, f_max = 2, x_min = x_max = 0.1 V*."""
    x, limit = abs(loss - ideal), 0.1 * ideal
    if loss >= ideal:
        return min(2.0 ** (x / limit), 2.0)
    return max(0.1 ** (x / limit), 0.1)


@pytest.mark.parametrize(
    ("loss", "ideal"), [("non_saturating", math.log(4)), ("hinge", 2.0), ("relativistic", math.log(2))]
)
@pytest.mark.parametrize("share", [0.5, 0.92, 0.97, 1.0, 1.04, 1.1, 1.5])
def test_gap_aware_scales_as_published(loss: str, ideal: float, share: float) -> None:
    rule = GapAware(decay=0.0)
    nothing, state = rule.settings(START, None)
    assert nothing == {}
    now = START | {"env_step": 1, "d_loss": share * ideal, "loss": loss, "d_lr": 7.0, "g_lr": 7.0}
    values, _ = rule.settings(now, state)
    assert values["d_lr"] == pytest.approx(2e-3 * published_gap_aware(share * ideal, ideal))
    assert values["g_lr"] == 1e-3


def test_gap_aware_averages_the_loss() -> None:
    rule, ideal = GapAware(decay=0.5), math.log(4)
    _, state = rule.settings(START, None)
    _, state = rule.settings(START | {"env_step": 1, "d_loss": 1.00 * ideal}, state)
    values, _ = rule.settings(START | {"env_step": 2, "d_loss": 0.94 * ideal}, state)
    assert values["d_lr"] == pytest.approx(2e-3 * published_gap_aware(0.97 * ideal, ideal))


def test_gap_aware_takes_a_wasserstein_loss() -> None:
    assert GapAware().factor(0.0, "wgan_gp") == 1
    assert GapAware().factor(-5.0, "wgan_gp") == pytest.approx(0.1)
    assert GapAware().factor(5.0, "wgan_gp") == pytest.approx(2)


def published_ada(p: float, signs: list[float], batch: int) -> float:
    """Every four batches: p += sign(r - 0.6) * 4 * batch / 500,000, p >= 0."""
    for r in signs:
        p = max(p + np.sign(r - 0.6) * 4 * batch / 500_000, 0.0)
    return p


def test_ada_moves_as_published() -> None:
    signs = [0.9, 0.8, 0.7, 0.3, 0.6, 0.61]
    batch, p, state = 64, 0.0, None
    nothing, state = ADA().settings(START, state)
    assert nothing == {}
    for i, sign in enumerate(signs, 1):
        now = START | {"env_step": i, "n_images": i * 4 * batch, "sign_real": sign, "augment_p": p}
        values, state = ADA().settings(now, state)
        p = values["augment_p"]
        assert p == pytest.approx(published_ada(0.0, signs[:i], batch))


def test_ada_stays_a_probability() -> None:
    for sign, p, expected in ((1.0, 0.99, 1.0), (-1.0, 0.01, 0.0)):
        now = START | {"env_step": 1, "n_images": 100_000, "sign_real": sign, "augment_p": p}
        assert ADA().settings(now, {"n_images": 0})[0] == {"augment_p": expected}


def test_loss_balance_helps_the_loser_and_keeps_the_product() -> None:
    rule = LossBalance(max_factor=3.0)
    _, state = rule.settings(START, None)
    for g_loss, d_loss in ((3.0, 1.0), (1.0, 3.0), (1.0, 1.0)):
        values, _ = rule.settings(START | {"env_step": 1, "g_loss": g_loss, "d_loss": d_loss}, state)
        factor = 3.0 ** math.tanh((g_loss - d_loss) / math.log(4))
        assert values["g_lr"] == pytest.approx(1e-3 * factor)
        assert values["d_lr"] == pytest.approx(2e-3 / factor)


def test_update_ratio_sets_ratios_and_noise() -> None:
    rule = UpdateRatio(ratio=0.04, instance_noise=0.3)
    for t in (0.0, 0.5, 1.0):
        values, _ = rule.settings(START | {"progress_remaining": 1 - t}, None)
        share = 0.5 * (1 + math.cos(math.pi * t))
        assert values["g_update_ratio"] == values["d_update_ratio"] == pytest.approx(0.04 * share, abs=1e-7)
        assert values["g_update_ratio"] > 0
        assert values["instance_noise"] == pytest.approx(0.3 * share)
        assert values["beta1"] == 0.5


@pytest.mark.parametrize(("networks", "ratio", "noise"), [("mlp", 0.04, 0.22), ("light", 0.01, 0.25)])
def test_update_ratio_knows_a_good_start(networks: str, ratio: float, noise: float) -> None:
    values, _ = UpdateRatio().settings(START | {"networks": networks}, None)
    assert (values["d_update_ratio"], values["instance_noise"]) == (ratio, noise)


def test_tuned_settings_override_the_start_and_follow_the_networks() -> None:
    constant, schedule = TunedConstant(), TunedSchedule()
    for networks in ("mlp", "light"):
        info = START | {"networks": networks}
        fixed, _ = constant.settings(info, None)
        assert fixed == constant.settings(info | {"progress_remaining": 0.1}, None)[0]
        first, _ = schedule.settings(info, None)
        half, _ = schedule.settings(info | {"progress_remaining": 0.5}, None)
        forms = tuned("tuned_schedule", networks).get("forms", COSINE_TO_0)
        assert "beta1" not in forms
        for name in ("g_lr", "d_lr", "instance_noise", "beta1"):
            form, end = forms.get(name, ("constant", 1.0))
            assert half[name] == pytest.approx(first[name] * (end + (1 - end) * FORMS[form](0.5)))
    assert constant.settings(START, None) != constant.settings(info, None)


def test_random_differs_between_seeds_steps_and_episodes() -> None:
    rows = np.random.default_rng(0).uniform(-1, 1, (2, 33)).astype(np.float32)
    agent = make_baseline("random")
    first, state = agent.predict(rows[0])
    second, _ = agent.predict(rows[0], state)
    assert np.array_equal(agent.predict(rows[0])[0], first)
    for other in (second, agent.predict(rows[1])[0], find_agent("random", seed=1).predict(rows[0])[0]):
        assert not np.array_equal(first, other)


def test_random_is_uniform() -> None:
    agent, state, actions = make_baseline("random"), None, []
    for _ in range(2000):
        action, state = agent.predict(np.zeros(33, np.float32), state)
        actions.append(action)
    counts, _ = np.histogram(actions, bins=10, range=(-1, 1))
    chi2 = ((counts - 800) ** 2 / 800).sum()
    assert chi2 < 27.9  # 99.9 % quantile of chi2 with 9 degrees of freedom


@pytest.mark.parametrize(
    ("name", "near"),
    [("constnt", "constant"), ("gapaware", "gap_aware"), ("tuned_scedule", "tuned_schedule")],
)
def test_unknown_names_get_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean '{near}'"):
        find_agent(name)
    with pytest.raises(ValueError, match=f"did you mean '{near}'"):
        make_baseline(name)
