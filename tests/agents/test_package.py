from __future__ import annotations

import subprocess
import sys

import pytest

import agents


def test_all_names_are_there() -> None:
    assert set(agents.__all__) == {"ALGOS", "BASELINES", "Controller", "evaluate", "make_env", "train"}
    for name in agents.__all__:
        assert getattr(agents, name) is not None
        assert name in dir(agents)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        agents.trian  # noqa: B018


@pytest.mark.parametrize("module", ["agents", "agents.algorithms", "agents.config"])
def test_light_modules_import_no_torch(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('torch', 'stable_baselines3') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
