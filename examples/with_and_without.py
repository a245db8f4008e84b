"""Draw the same GANs left alone and under control: python examples/with_and_without.py picture.png [SEED].

Each row is one GAN of the test instances: real samples, what it makes with the settings it started with, and
what it makes with the shipped controller on its optimizers.
"""

import sys

import gymnasium as gym
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import gan_gym  # noqa: F401  (registers the environments)
from agents.acting import decide
from agents.baselines import find_agent
from gan_gym.render import draw_samples

IDS = ("GridGAN-v0", "RingGAN-v0", "HistoGAN-v0")
AGENTS = {"constant": "left alone", "pretrained": "under control"}


def train(env_id, agent, seed):
    """Train one GAN to the end of its budget; return real and generated samples, and how good they are."""
    env = gym.make(env_id, instances="test").unwrapped
    observation, info = env.reset(seed=seed)
    state = None
    while not info["end"]:
        action, state = decide(agent, env, observation, info, state)
        observation, _, _, _, info = env.step(action)
    return env.problem.shown, env.trainer.sample(env.latents), info


path, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
figure = Figure(figsize=(9, 3.1 * len(IDS)), dpi=110, layout="constrained")
FigureCanvasAgg(figure)
for env_id, axes in zip(IDS, figure.subplots(len(IDS), 3), strict=True):
    for axis, (name, title) in zip(axes[1:], AGENTS.items(), strict=True):
        real, generated, info = train(env_id, find_agent(name), seed)
        draw_samples(axis, generated[: len(real)], real)
        axis.set_title(f"{title}: quality {info['quality']:.2f}, {info['end']}", fontsize=9)
    draw_samples(axes[0], real, real)
    axes[0].set_title(f"{env_id}, real", fontsize=9)
figure.savefig(path)
