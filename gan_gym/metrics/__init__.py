"""Offline evaluation of generated images, through networks that the reward never uses."""

from gan_gym.metrics.evaluation import METRICS, Evaluation, EvaluationSettings, evaluate, evaluate_images
from gan_gym.metrics.extractors import Extractor, FrozenExtractor, embed, load_extractor
from gan_gym.metrics.frechet import fid
from gan_gym.metrics.kid import kid
from gan_gym.metrics.memorisation import Memorisation, memorisation
from gan_gym.metrics.metric import Metric
from gan_gym.metrics.neighbours import density_coverage, precision_recall

__all__ = [
    "METRICS",
    "Evaluation",
    "EvaluationSettings",
    "Extractor",
    "FrozenExtractor",
    "Memorisation",
    "Metric",
    "density_coverage",
    "embed",
    "evaluate",
    "evaluate_images",
    "fid",
    "kid",
    "load_extractor",
    "memorisation",
    "precision_recall",
]
