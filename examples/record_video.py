"""Record one GAN training run as a video: pip install moviepy, then python examples/record_video.py.

Every env step gives a frame: generated beside real samples over the traces of quality, losses and knobs. It
needs no display. Another environment: `python examples/record_video.py RingGAN-v0`.
"""

import sys

import gymnasium as gym
from gymnasium.wrappers import RecordVideo

import gan_gym  # noqa: F401  (registers the environments)
from agents import Controller

name = sys.argv[1] if len(sys.argv) > 1 else "GridGAN-v0"
controller = Controller.load("pretrained")
env = RecordVideo(gym.make(name, knobs=controller.knobs, render_mode="rgb_array"), "videos", name_prefix=name)
observation, _ = env.reset(seed=0)
state, ended = None, False
while not ended:
    action, state = controller.predict(observation, state)
    observation, _, ended, _, info = env.step(action)
env.close()
print(f"quality {info['quality']:.2f}; the video is in videos/")
