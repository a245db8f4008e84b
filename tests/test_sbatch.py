"""The Slurm templates, with stand-ins for `gan-gym`, `scontrol`, `srun` and `ray`."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "examples" / "train.sbatch"


@pytest.fixture
def cluster(tmp_path: Path):
    """Run the script where `gan-gym` does what the test says and both write down how they were called."""

    def run(gan_gym: str, signalled: bool = False) -> tuple[int, list[str]]:
        programs, log = tmp_path / "bin", tmp_path / "log"
        programs.mkdir(exist_ok=True)
        log.write_text("")
        for name, body in (("gan-gym", gan_gym), ("scontrol", "")):
            (programs / name).write_text(f'#!/bin/bash\necho "{name} $*" >> "{log}"\n{body}\n')
            (programs / name).chmod(0o755)
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "SLURM_JOB_ID": "42"}
        process = subprocess.Popen(
            ["bash", SCRIPT, "my data", str(tmp_path / "my run"), "--seed", "3"], env=environment
        )
        if signalled:
            while "gan-gym" not in log.read_text():
                time.sleep(0.05)
            time.sleep(0.3)
            process.send_signal(signal.SIGUSR1)
        return process.wait(timeout=30), log.read_text().splitlines()

    return run


STOPS = "trap 'sleep 0.5; exit 85' USR1; while true; do sleep 0.1; done"


def test_a_run_that_is_done_is_not_queued_again(cluster, tmp_path) -> None:
    code, calls = cluster("exit 0")
    assert (code, calls) == (0, [f"gan-gym train --data my data --out {tmp_path / 'my run'} --seed 3"])


def test_a_signal_reaches_the_run_and_queues_it_again(cluster) -> None:
    code, calls = cluster(STOPS, signalled=True)
    assert (code, calls[1:]) == (85, ["scontrol requeue 42"])


def test_the_next_job_resumes(cluster, tmp_path) -> None:
    (tmp_path / "my run").mkdir()
    (tmp_path / "my run" / "config.yaml").touch()
    code, calls = cluster("exit 0")
    assert (code, calls) == (0, [f"gan-gym train --out {tmp_path / 'my run'} --resume"])


@pytest.mark.parametrize("code", [1, 2])
def test_an_error_is_not_tried_again(cluster, code) -> None:
    assert cluster(f"exit {code}")[0] == code
    assert not any(call.startswith("scontrol") for call in cluster(f"exit {code}")[1])


@pytest.fixture
def machines(tmp_path: Path):
    """Run the template for a Ray cluster on two machines; return its exit code and what was called."""

    def run(gan_gym: str) -> tuple[int, list[str]]:
        programs, log = tmp_path / "bin", tmp_path / "log"
        programs.mkdir(exist_ok=True)
        log.write_text("")
        bodies = {
            "gan-gym": gan_gym,
            "scontrol": '[ "$1" = show ] && printf "one\\ntwo\\n"',
            "srun": "",
            "ray": f'[ "$1" = status ] && grep ^srun "{log}" | sed "s/.*/ 1 node_x/"',
        }
        for name, body in bodies.items():
            token = "${#RAY_AUTH_TOKEN} $RAY_AUTH_MODE"
            (programs / name).write_text(f'#!/bin/bash\necho "{name} $* | {token}" >> "{log}"\n{body}\n')
            (programs / name).chmod(0o755)
        environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "42",
            "SLURM_JOB_NODELIST": "one,two",
            "SLURM_CPUS_PER_TASK": "16",
            "RAY_POLL_S": "0.1",
        }
        script = SCRIPT.with_name("fit_controller_ray.sbatch")
        out = str(tmp_path / "my controller")
        process = subprocess.run(["bash", script, out, "--env", "mixture"], env=environment, timeout=30)
        return process.returncode, log.read_text().splitlines()

    return run


def test_a_cluster_with_a_token_is_started_and_used(machines, tmp_path) -> None:
    code, calls = machines("exit 0")
    assert code == 0
    assert all(call.endswith("| 64 token") for call in calls)
    started = sorted(call for call in calls if call.startswith("srun"))
    assert len(started) == 2
    assert "-w one ray start --head --port=6379 --num-cpus=0" in started[0]
    assert "-w two ray start --address=one:6379 --num-cpus=16" in started[1]
    (training,) = (call for call in calls if call.startswith("gan-gym"))
    asked = f"gan-gym fit-controller --out {tmp_path / 'my controller'} --ray one:6379 --env mixture |"
    assert training.startswith(asked)
    assert not any("requeue" in call for call in calls)


def test_a_training_that_was_stopped_is_queued_again_and_resumed(machines, tmp_path) -> None:
    code, calls = machines("exit 85")
    assert code == 85
    assert any(call.startswith("scontrol requeue 42") for call in calls)
    (tmp_path / ".my controller.fit").mkdir()
    _, calls = machines("exit 0")
    assert any(call.startswith("gan-gym") and "--resume" in call for call in calls)
