"""Train a GAN alone: networks, losses, augmentation and the trainer. Knows neither gymnasium nor agents."""

from gan_gym.gan.draws import Source
from gan_gym.gan.losses import LOSSES, GANLoss
from gan_gym.gan.networks import NETWORKS, Discriminator, Generator, Networks, build_networks, family
from gan_gym.gan.settings import Settings
from gan_gym.gan.spread import Spread
from gan_gym.gan.statistics import Statistics
from gan_gym.gan.trainer import GANTrainer, TrainerConfig

__all__ = [
    "LOSSES",
    "NETWORKS",
    "Discriminator",
    "GANLoss",
    "GANTrainer",
    "Generator",
    "Networks",
    "Settings",
    "Source",
    "Spread",
    "Statistics",
    "TrainerConfig",
    "build_networks",
    "family",
]
