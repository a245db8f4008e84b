"""What a loop gives wrong is refused in one line, and what it cannot help is left out with one warning."""

from __future__ import annotations

import json
import math
import warnings
from typing import Any

import pytest
import torch
from torch import nn, optim

from agents.attach import AttachedController
from agents.attach.record import Record
from gan_gym.data.tissue import tissue_patches
from gan_gym.gan import Statistics

RATES = ("g_lr", "d_lr")
MISSING = ("reward_weight", "d_steps")


def layer(**_: Any) -> nn.Module:
    return nn.Linear(2, 1)


def attach(controller: Any, opt_g: Any = None, opt_d: Any = None, **options: Any) -> AttachedController:
    opt_g = optim.Adam(layer().parameters()) if opt_g is None else opt_g
    opt_d = optim.Adam(layer().parameters()) if opt_d is None else opt_d
    return AttachedController(controller, opt_g, opt_d, **{"total_steps": 100, **options})


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda p: optim.LBFGS(p), "opt_g is a LBFGS, whose settings no controller knows; use one of Adam, "),
        (lambda p: optim.Adagrad(p), "opt_g is a Adagrad"),
        (lambda p: optim.Adam(p, lr=0.0), "opt_g has the learning rate 0; start"),
    ],
)
def test_optimizers_that_cannot_be_turned_are_refused_by_name(make: Any, match: str, stub) -> None:
    with pytest.raises(ValueError, match=match):
        attach(stub(RATES), make(layer().parameters()))


def test_what_is_no_optimizer_is_refused(stub) -> None:
    with pytest.raises(TypeError, match=r"opt_g is a Linear; give a torch\.optim\.Optimizer"):
        attach(stub(RATES), layer())
    with pytest.raises(TypeError, match=r"discriminator is a function; give the torch\.nn\.Module"):
        attach(stub(("instance_noise",)), discriminator=layer)
    both = layer()
    with pytest.raises(ValueError, match="opt_g and opt_d share 2 parameters"):
        attach(stub(RATES), optim.Adam(both.parameters()), optim.SGD(both.parameters()))
    rate = torch.tensor(1e-4)
    with pytest.raises(ValueError, match="share one tensor as learning rate"):
        attach(stub(RATES), *(optim.Adam(layer().parameters(), lr=rate) for _ in "gd"))


@pytest.mark.parametrize("knob", MISSING)
def test_knobs_inside_the_loop_are_refused_by_name(knob: str, stub) -> None:
    with pytest.raises(ValueError, match=f"turns {knob}, which only your loop itself could; .* --knobs"):
        attach(stub((*RATES, knob)), discriminator=layer())


def test_noise_without_a_discriminator_is_refused_and_hooks_nothing(stub) -> None:
    opt_g = optim.Adam(layer().parameters())
    with pytest.raises(ValueError, match="turns instance_noise, augment_p; pass discriminator="):
        attach(stub((*RATES, "instance_noise", "augment_p")), opt_g)
    assert not opt_g._optimizer_step_pre_hooks


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"total_steps": 0}, "total_steps is 0; give a whole number"),
        ({"total_steps": 1e4}, "total_steps is 10000.0; give a whole number"),
        ({"steps_per_decision": -1}, "steps_per_decision is -1"),
        ({"loss": "hinged"}, "did you mean 'hinge'"),
        ({"value_range": (1, -1)}, r"value_range is \(1, -1\); give \(lowest, highest\)"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], match: str, stub) -> None:
    with pytest.raises(ValueError, match=match):
        attach(stub(RATES), **options)


def test_several_processes_are_refused(stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(ValueError, match="several processes train this GAN"):
        attach(stub(RATES))


POINTS = torch.zeros(64, 2)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"g_loss": torch.zeros(64)}, r"g_loss is torch.float32 \(64,\); give the step's loss"),
        ({"d_loss": "high"}, "d_loss is 'high'"),
        ({"score_real": 0.5}, "score_real is 0.5; give the logits of the whole batch"),
        ({"score_fake": torch.tensor(0.5)}, r"score_fake is torch.float32 \(\)"),
        ({"score_fake": torch.zeros(0)}, r"score_fake is torch.float32 \(0,\)"),
        ({"score_real": torch.ones(3).bool()}, r"score_real is torch.bool \(3,\)"),
        ({"real": [1.0]}, r"real is \[1.0\]; give a batch"),
        ({"fake": torch.zeros(64)}, r"fake is torch.float32 \(64,\); give a batch"),
        ({"real": torch.zeros(64, 2).byte()}, r"real is torch.uint8 \(64, 2\)"),
        ({"fake": torch.zeros(64, 3)}, r"fake has shape \(64, 3\), the first real batch held .* \(2,\)"),
        ({"real": torch.zeros(64, 7), "fake": None}, r"samples of shape \(7,\); .* pass embed"),
        ({"real": torch.zeros(4, 4, 8, 8), "fake": None}, r"samples of shape \(4, 8, 8\)"),
        ({"real": torch.full((64, 2), math.nan)}, "real holds values that are not finite"),
        ({"real": torch.rand(4, 3, 8, 8) * 255, "fake": None}, r"outside value_range=\(-1.0, 1.0\)"),
    ],
)  # fmt: skip
def test_wrong_forms_are_refused(changes: dict[str, Any], match: str, stub, loop) -> None:
    plain = loop()
    attached = plain.attach(stub(RATES))
    with pytest.raises(ValueError, match=match) as caught:
        attached.step(**plain.report() | changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("embed", "match"),
    [
        (lambda x: x.mean(), r"embed returned \(\) for 64 samples; return \(64, D\)"),
        (lambda x: x.tolist(), "embed returned list"),
        (lambda x: x[:3], r"embed returned \(3, 2\)"),
    ],
)
def test_an_embedding_must_return_features(embed: Any, match: str, stub, loop) -> None:
    plain = loop()
    with pytest.raises(ValueError, match=match):
        plain.run(plain.attach(stub(RATES), embed=embed), 1)


def test_an_action_outside_the_space_is_refused(stub, loop) -> None:
    plain = loop()
    attached = plain.attach(stub(RATES, [0.0, 1.5]))
    with pytest.raises(ValueError, match=r"action \[0.0, 1.5\] leaves \[-1, 1\]"):
        plain.run(attached, 25)


def test_data_that_repeat_are_refused(show) -> None:
    few = torch.randn(8, 2, generator=torch.Generator().manual_seed(0)).repeat(64, 1)
    with pytest.raises(ValueError, match="real held 8 different samples in the first 512"):
        show([(few, few)] * 2)


def test_images_in_the_upper_half_of_their_range_are_warned_of(show) -> None:
    images = tissue_patches(64, 16, seed=1).images.float() / 255
    with pytest.warns(UserWarning, match="the upper half of value_range"):
        show([(images, images)])


def test_steps_that_are_not_finite_are_left_out_with_one_warning(stub, loop) -> None:
    plain = loop()
    attached, losses = plain.attach(stub(RATES), total_steps=400), []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for i in range(30):
            report = plain.report()
            if i % 10 == 3:
                report |= {"d_loss": math.nan, "score_fake": report["score_fake"] * math.inf}
            elif i >= 20:
                losses.append(float(report["d_loss"].detach()))
            attached.step(**report)
    messages = [str(w.message) for w in caught]
    assert len(messages) == 2
    assert "d_loss was not finite in 1 of the 10 steps up to step 10; these are left out" in messages
    assert not attached.diverged
    assert attached.statistics.d_loss == pytest.approx(sum(losses) / 9, rel=1e-5)
    assert all(math.isfinite(value) for value in attached.statistics.as_dict().values())


def test_what_is_not_given_shows_its_last_value(stub, loop) -> None:
    plain = loop()
    attached = plain.attach(stub(RATES), total_steps=400)
    plain.run(attached, 10)
    before = attached.statistics
    with pytest.warns(UserWarning, match="g_loss was not given in 10 of the 10 steps up to step 20"):
        plain.run(attached, 10, g_loss=None)
    assert attached.statistics.g_loss == before.g_loss
    assert attached.statistics.d_loss != before.d_loss
    assert not attached.diverged
    similarity, n = attached.similarity, attached.n_decisions
    with pytest.warns(UserWarning, match="fake not given in the last steps up to step 30"):
        plain.run(attached, 10, fake=None)
    assert attached.similarity == similarity
    assert attached.n_decisions == n + 1


def test_without_real_samples_nothing_is_decided(stub, loop) -> None:
    plain, player = loop(), stub(RATES)
    attached = plain.attach(player)
    with pytest.warns(UserWarning, match="real and fake not given .* no decision is made"):
        plain.run(attached, 50, real=None, fake=None)
    assert not player.seen
    plain.run(attached, 25)
    assert len(player.seen) == 1


@pytest.mark.parametrize("lost", ["d_loss", "score_real", "weights"])
def test_a_block_without_a_finite_value_stops_the_knobs(lost: str, stub, loop) -> None:
    plain = loop()
    attached = plain.attach(stub(RATES, *[[0.1, 0.1]] * 40), total_steps=400)
    plain.run(attached, 20)
    state, values = attached.state_dict(), attached.values
    what = {"weights": "weights of opt_d"}.get(lost, lost)
    changes: dict[str, dict[str, Any]] = {
        "d_loss": {"d_loss": math.nan},
        "score_real": {"score_real": torch.full((64,), math.inf)},
        "weights": {"g_loss": 0.0, "d_loss": 0.0, "score_real": torch.zeros(4), "score_fake": torch.zeros(4)},
    }
    if lost == "weights":
        next(plain.d.parameters()).data[0] = math.nan
    with pytest.warns(UserWarning, match=f"diverged in the 10 steps up to step 30: no finite .*{what}"):
        plain.run(attached, 10, **changes[lost])
    assert attached.diverged
    plain.run(attached, 10, g_loss=0.0, d_loss=0.0)
    assert attached.values == values
    attached.load_state_dict(state)
    assert not attached.diverged
    if lost != "weights":
        plain.run(attached, 10)
        assert attached.values != values


def test_beyond_the_last_step_settings_stay(stub, loop) -> None:
    plain = loop()
    attached = plain.attach(stub(RATES, *[[0.1, 0.1]] * 99), total_steps=45, steps_per_decision=10)
    plain.run(attached, 45)
    values = attached.values
    assert attached.n_decisions == 5
    with pytest.warns(UserWarning, match="more than total_steps=45 times") as caught:
        plain.run(attached, 20)
    assert len(caught) == 1
    assert attached.values == values


def test_probabilities_are_told_from_logits(stub, loop) -> None:
    plain = loop()
    attached = plain.attach(stub(RATES), total_steps=400)
    probabilities = torch.linspace(0.1, 0.9, 64)
    with pytest.warns(UserWarning, match=r"as probabilities do; .* pass score\.logit") as caught:
        plain.run(attached, 20, score_real=probabilities, score_fake=probabilities / 2)
    assert len(caught) == 1


def test_optimizers_that_do_not_step_are_noticed(stub, loop) -> None:
    plain = loop()
    attached = plain.attach(stub(RATES), total_steps=400)
    plain.run(attached, 10)
    before = attached.statistics
    plain.opt_g.step = lambda: None
    with pytest.warns(UserWarning, match="opt_g and opt_d did not both step"):
        plain.run(attached, 10)
    assert attached.statistics.d_step_ratio == before.d_step_ratio > 0
    assert attached.statistics.d_loss != before.d_loss


def test_long_blocks_are_reduced_as_they_come() -> None:
    """And hold what short ones do."""
    record, rows = Record(), torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    for row in rows:
        record.step(g_loss=row[0], d_loss=row[1], score_real=row[2:], score_fake=row[:2])
    assert sum(len(series._pending) for series in record._series.values()) <= 4 * 128
    statistics = record.summary(Statistics(), (torch.tensor(1.0), torch.tensor(1.0)), (1, 1)).statistics
    assert statistics.g_loss == pytest.approx(float(rows[:, 0].mean()), abs=1e-5)
    assert statistics.d_loss_std == pytest.approx(float(rows[:, 1].std(correction=0)), rel=1e-5)
    assert statistics.score_real == pytest.approx(float(rows[:, 2:].mean()), abs=1e-5)
    assert statistics.sign_fake == pytest.approx(float(rows[:, :2].sign().mean()), abs=1e-5)


KINDS: dict[str, dict[str, Any]] = {
    "points": {},
    "embed": {"embed": lambda x: x * 2},
    "penalty": {"steps_per_decision": 23},  # a penalty is due at the first step after the first block
}


@pytest.mark.parametrize(
    ("kind", "knob", "n_steps"),
    [("points", "instance_noise", 50), ("embed", "instance_noise", 50), ("penalty", "r1_gamma", 23)],
)
def test_a_resumed_run_goes_on_as_if_uninterrupted(
    kind: str, knob: str, n_steps: int, stub, loop, tmp_path
) -> None:
    """Stopped at the end of a block."""
    knobs = ("g_update_ratio", "d_lr", knob, "beta1")
    moves = [[0.2, -0.1, 1.0, 0.1]] + [[-0.05, 0.0, 0.02, -0.02]] * 39

    def start(lr: float = 1e-3) -> tuple[Any, Any, AttachedController]:
        plain, player = loop(lr=lr), stub(knobs, *moves)
        return plain, player, plain.attach(player, **KINDS[kind])

    plain, player, attached = start()
    plain.run(attached, n_steps)
    torch.save(
        [net.state_dict() for net in (plain.g, plain.d, plain.opt_g, plain.opt_d)]
        + [plain.rng.get_state(), attached.state_dict()],
        tmp_path / "checkpoint.pt",
    )
    plain.run(attached, n_steps)
    again, second, resumed = start(lr=0.5)
    *states, rng, state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    for part, values in zip((again.g, again.d, again.opt_g, again.opt_d), states, strict=True):
        part.load_state_dict(values)
    again.rng.set_state(rng)
    resumed.load_state_dict(state)
    again.run(resumed, n_steps)
    assert resumed.values == attached.values
    assert (second.seen[-1] == player.seen[-1]).all()
    for ours, theirs in zip((again.g, again.d), (plain.g, plain.d), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    json.dumps({key: value for key, value in state.items() if key not in ("samples", "penalty")})


def test_a_state_of_other_knobs_or_budget_is_refused(stub, loop) -> None:
    plain = loop()
    state = plain.attach(stub(RATES)).state_dict()
    with pytest.raises(ValueError, match=r"made with knobs=\['g_lr', 'd_lr'\], not \['d_lr'\]"):
        plain.attach(stub(("d_lr",))).load_state_dict(state)
    with pytest.raises(ValueError, match="made with total_steps=1000, not 500"):
        plain.attach(stub(RATES), total_steps=500).load_state_dict(state)


def play(attached: AttachedController, reports: list[dict[str, Any]]) -> None:
    for report in reports:
        attached.step(**report)


def test_memory_is_bounded_while_no_fakes_are_given(stub, loop) -> None:
    """As many real samples are kept as will be compared, the first; the spread is that of all."""
    plain = loop()
    attached = plain.attach(stub(RATES), total_steps=2000)
    reports = [plain.report() | {"fake": None} for _ in range(60)]
    with pytest.warns(UserWarning, match="fake not given"):
        play(attached, reports)
    state = attached.state_dict()["samples"]
    assert torch.equal(state["real"], torch.cat([report["real"] for report in reports])[:512])
    assert state["spread"]["n"] == 60 * plain.batch_size
    plain.run(attached, 50)
    assert attached.n_decisions


def test_a_few_positive_logits_are_no_probabilities(stub, loop, recwarn) -> None:
    plain = loop()
    attached = plain.attach(stub(RATES), total_steps=80, steps_per_decision=2)
    plain.run(attached, 8, score_real=torch.full((64,), 0.5), score_fake=torch.full((64,), 0.4))
    assert not recwarn.list
