from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from agents import Controller
from agents.controller import build_policy
from agents.environments import discrete_actions

KNOBS = ("g_lr", "d_lr", "instance_noise")
ROWS = 31


def untrained(algo: str = "ppo", knobs: tuple[str, ...] = KNOBS) -> Controller:
    n_rows = ROWS - 2 * (len(KNOBS) - len(knobs))
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=n_rows), rng.uniform(0.5, 2, n_rows)
    return Controller(algo, build_policy(algo, knobs), knobs, mean, std, {"made": "here"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    untrained().save(tmp_path / "controller")
    return tmp_path / "controller"


def refuse(folder: Path, match: str) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        Controller.load(folder)
    assert "\n" not in str(caught.value)


def rewrite(folder: Path, **changes: object) -> None:
    head = json.loads((folder / "controller.json").read_text())
    head |= changes
    head = {key: value for key, value in head.items() if value is not None}
    (folder / "controller.json").write_text(json.dumps(head))


def resign(folder: Path) -> None:
    rewrite(folder, sha256=hashlib.sha256((folder / "policy.safetensors").read_bytes()).hexdigest())


def test_a_controller_is_json_and_safetensors(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["controller.json", "policy.safetensors"]
    json.loads((folder / "controller.json").read_text())
    load_file(folder / "policy.safetensors")


def test_knobs_card_and_normaliser_survive(folder: Path) -> None:
    first, again = untrained(), Controller.load(folder)
    assert (again.algo, again.knobs, again.card) == (first.algo, first.knobs, first.card)
    np.testing.assert_array_equal(again.mean, first.mean)
    np.testing.assert_array_equal(again.std, first.std)
    assert again.observations[-6:] == (
        *(f"{knob}_position" for knob in KNOBS),
        *(f"{knob}_last_action" for knob in KNOBS),
    )


def test_observations_are_normalised_as_in_training() -> None:
    controller = untrained()
    observation = np.random.default_rng(1).uniform(-1, 1, ROWS).astype(np.float32)
    seen = (observation - controller.mean) / controller.std
    expected, _ = controller.policy.predict(seen, deterministic=True)
    np.testing.assert_allclose(controller.predict(observation)[0], np.clip(expected, -1, 1), rtol=1e-6)


def test_moves_of_a_discrete_policy_are_actions() -> None:
    action, _ = untrained("dqn").predict(np.zeros(ROWS, np.float32))
    assert action.shape == (3,)
    assert action.tolist() in discrete_actions(3).tolist()


def test_the_state_of_a_recurrent_policy_goes_through_json() -> None:
    controller = untrained("recurrent_ppo")
    rows = np.random.default_rng(2).uniform(-1, 1, (6, ROWS)).astype(np.float32)
    state = copied = None
    for row in rows:
        action, state = controller.predict(row, state)
        same, copied = controller.predict(row, copied)
        copied = json.loads(json.dumps(copied))
        np.testing.assert_array_equal(action, same)
    forgotten, _ = controller.predict(rows[-1])
    assert not np.array_equal(forgotten, action)


@pytest.mark.parametrize("shape", [(30,), (4, 33), ()])
def test_observations_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="reads 31 rows: make the environment with knobs="):
        untrained().predict(np.zeros(shape, np.float32))


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path / "nothing", "unknown controller .* give a folder with a controller.json")


def test_a_changed_byte_is_noticed(folder: Path) -> None:
    data = bytearray((folder / "policy.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "policy.safetensors").write_bytes(data)
    refuse(folder, "does not match its sha256")


@pytest.mark.parametrize("length", [0, 7, 200])
def test_truncated_weights_are_refused(folder: Path, length: int) -> None:
    path = folder / "policy.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    refuse(folder, "sha256")
    resign(folder)
    refuse(folder, "policy.safetensors is unusable")


def test_a_renamed_pickle_is_not_executed(folder: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    (folder / "policy.safetensors").write_bytes(pickle.dumps(Bomb()))
    resign(folder)
    refuse(folder, "policy.safetensors is unusable")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format": 99}, "has format 99, this version reads 3"),
        ({"format": None}, "lacks format"),
        ({"sha256": None}, "lacks sha256"),
        ({"card": "text"}, "lacks card"),
        ({"knobs": [["g_lr"]]}, "lacks knobs"),
        ({"observations": [{}]}, "lacks observations"),
        ({"knobs": ["g_lrr"]}, "did you mean 'g_lr'"),
        ({"algo": "pppo"}, "did you mean 'ppo'"),
        ({"algo": "sac"}, "policy.safetensors is unusable"),
        ({"knobs": ["g_lr", "d_lr"]}, "other observations .*instance_noise_position"),
        ({"knobs": ["d_lr", "g_lr", "instance_noise"]}, "their order differ"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(folder: Path, changes: dict[str, object], match: str) -> None:
    rewrite(folder, **changes)
    refuse(folder, match)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "[" * 100_000, "\udcff"])
def test_a_head_that_is_no_object_is_refused(folder: Path, text: str) -> None:
    (folder / "controller.json").write_bytes(text.encode(errors="surrogateescape"))
    refuse(folder, "controller.json")


def test_missing_weights_are_refused(folder: Path) -> None:
    (folder / "policy.safetensors").unlink()
    refuse(folder, "policy.safetensors is missing")


@pytest.mark.parametrize("missing", ["observation.mean", "policy.log_std"])
def test_missing_tensors_are_refused(folder: Path, missing: str) -> None:
    tensors = load_file(folder / "policy.safetensors")
    del tensors[missing]
    save_file(tensors, folder / "policy.safetensors")
    resign(folder)
    refuse(folder, missing.removeprefix("policy."))


def test_a_normaliser_of_another_size_is_refused(folder: Path) -> None:
    tensors = load_file(folder / "policy.safetensors")
    tensors["observation.mean"] = np.zeros(3, np.float32)
    save_file(tensors, folder / "policy.safetensors")
    resign(folder)
    refuse(folder, r"shape \(3,\)")


def test_a_copy_elsewhere_is_the_same(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    row = np.linspace(-1, 1, ROWS, dtype=np.float32)
    first, second = Controller.load(folder), Controller.load(tmp_path / "copy")
    np.testing.assert_array_equal(first.predict(row)[0], second.predict(row)[0])
