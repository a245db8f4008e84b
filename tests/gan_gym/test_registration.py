from __future__ import annotations

import importlib
import subprocess
import sys

import gymnasium as gym
import pytest

import gan_gym

IDS = [f"{name}-v0" for name in gan_gym.ENVIRONMENTS]


def test_importing_the_package_loads_no_torch() -> None:
    code = (
        "import gan_gym, sys, gymnasium as gym;"
        "gym.spec('HistoGAN-v0').to_json();"
        "print(sorted({'torch', 'timm', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_registration_can_be_repeated() -> None:
    before = {env_id: gym.spec(env_id) for env_id in IDS}
    importlib.reload(gan_gym)
    assert all(gym.spec(env_id) is before[env_id] for env_id in IDS)


@pytest.mark.parametrize("env_id", IDS)
def test_ids_name_their_module_and_have_no_outside_limit(env_id: str) -> None:
    spec = gym.spec(env_id)
    assert isinstance(spec.entry_point, str)
    assert isinstance(spec.vector_entry_point, str)
    assert spec.max_episode_steps is None
    assert gym.make(f"gan_gym:{env_id}").unwrapped.spec.id == env_id


def test_unknown_id_is_answered_with_the_nearest() -> None:
    with pytest.raises(gym.error.NameNotFound, match="Did you mean: `GridGAN`"):
        gym.make("GridGANN-v0")
