"""Models that Stable-Baselines3 saved are read without running anything that is in them."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

import gan_gym  # noqa: F401
from agents import Controller
from agents.algorithms import find
from agents.controller import policy_arguments
from agents.sb3_zip import ALGOS_BY_MODULE


def saved(path: Path, algo: str = "ppo", **kwargs) -> Path:
    algorithm = find(algo)
    env = gym.make("GridGAN-v0", **kwargs)
    if algorithm.discrete:
        env = gym.wrappers.TransformAction(env, lambda i: np.zeros(4, np.float32), gym.spaces.Discrete(81))
    algorithm.load()(algorithm.policy, env, policy_kwargs=policy_arguments(algo), device="cpu", seed=1).save(
        path
    )
    return path


def changed(source: Path, target: Path, **members: bytes | None) -> Path:
    """Copy a zip with members replaced, or left out where they are `None`."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = members.get(name.split(".")[0], old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


@pytest.mark.parametrize("algo", ["ppo", "a2c", "trpo", "sac", "td3", "ddpg", "recurrent_ppo", "tqc"])
def test_acts_as_the_model_did(tmp_path, algo) -> None:
    controller = Controller.load(saved(tmp_path / "model.zip", algo))
    assert controller.algo == algo
    model = find(algo).load().load(tmp_path / "model.zip", device="cpu")
    observations = np.random.default_rng(0).uniform(-1, 1, (5, len(controller.mean))).astype(np.float32)
    for observation in observations:
        expected, _ = model.policy.predict(observation, deterministic=True)
        np.testing.assert_allclose(controller.predict(observation)[0], np.clip(expected, -1, 1), atol=1e-6)
    controller.save(tmp_path / "kept")
    again = Controller.load(tmp_path / "kept")
    assert np.array_equal(again.predict(observations[0])[0], controller.predict(observations[0])[0])


def test_another_activation_is_refused(tmp_path) -> None:
    """Its weights have the same shapes, and would act otherwise than the model did."""
    relu = policy_arguments("ppo") | {"activation_fn": torch.nn.ReLU}
    PPO("MlpPolicy", gym.make("GridGAN-v0"), policy_kwargs=relu, device="cpu").save(tmp_path / "model.zip")
    with pytest.raises(ValueError, match=r"ReLU.*, not Tanh; train with policy_kwargs=policy_arguments"):
        Controller.load(tmp_path / "model.zip")


def test_a_run_is_controlled_by_it(gan_gym_command, patch_folder, tmp_path, capsys) -> None:
    data = ["--data", patch_folder, "--image_size", 16, "--batch_size", 8]
    flags = [*data, "--out", tmp_path / "run", "--controller", saved(tmp_path / "model.zip"), "--dry_run"]
    assert gan_gym_command("train", *flags) == 0
    assert "model.zip" in capsys.readouterr().out
    (tmp_path / "model.zip").write_text("text")
    assert gan_gym_command("train", *flags) == 2
    assert "model.zip" in capsys.readouterr().err


def test_every_policy_of_ours_is_known() -> None:
    modules = {
        find(name).load().policy_aliases[find(name).policy].__module__ for name in ALGOS_BY_MODULE.values()
    }
    assert modules == set(ALGOS_BY_MODULE)


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_no_pickle_in_it_is_run(tmp_path) -> None:
    model, mark = saved(tmp_path / "model.zip"), tmp_path / "executed"
    with zipfile.ZipFile(model) as archive:
        data = json.loads(archive.read("data"))
    bomb = pickle.dumps(Bomb(mark))
    armed = {
        "__module__": "stable_baselines3.common.policies",
        ":serialized:": base64.b64encode(bomb).decode(),
    }
    mined = json.dumps({**data, "policy_class": armed, "lr_schedule": armed}).encode()
    Controller.load(changed(model, tmp_path / "data.zip", data=mined))
    weights = io.BytesIO()
    torch.save({"weights": Bomb(mark)}, weights)
    for number, content in enumerate((bomb, weights.getvalue())):
        with pytest.raises(ValueError, match="no usable model"):
            Controller.load(changed(model, tmp_path / f"{number}.zip", policy=content))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"data": None}, "no usable model of Stable-Baselines3 .*There is no item named 'data'"),
        ({"policy": None}, "no usable model"),
        ({"data": b"[" * 100_000}, "no usable model"),
        ({"data": b"{}"}, "no usable model .*policy_class"),
        ({"data": b'{"policy_class": {"__module__": "os"}}'}, "holds a policy of os; give one of"),
        ({"data": b" " * (64 * 2**20 + 1)}, "bytes; 67108864 at most are read"),
        ({"policy": b""}, "no usable model"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused_in_one_line(tmp_path, members, message) -> None:
    model = saved(tmp_path / "model.zip")
    with pytest.raises(ValueError, match=message) as error:
        Controller.load(changed(model, tmp_path / "other.zip", **members))
    assert "\n" not in str(error.value)


def test_other_files_and_other_knobs_are_refused(tmp_path) -> None:
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(ValueError, match=r"no usable model .*not a zip"):
        Controller.load(tmp_path / "text.zip")
    with pytest.raises(ValueError, match="there is no file"):
        Controller.load(tmp_path / "none.zip")
    with pytest.raises(ValueError, match="was made for other knobs than g_lr, d_lr"):
        Controller.load(saved(tmp_path / "two.zip", knobs=("g_lr", "d_lr")))
