"""Offline evaluation of generated images, through networks that the reward never uses."""

from gan_gym.metrics.diversity import diversity
from gan_gym.metrics.downstream import downstream
from gan_gym.metrics.evaluation import METRICS, Evaluation, EvaluationSettings, evaluate, evaluate_images
from gan_gym.metrics.extractors import Extractor, FrozenExtractor, embed, load_extractor
from gan_gym.metrics.feature_cache import cache_folder
from gan_gym.metrics.frechet import fid
from gan_gym.metrics.kid import kid
from gan_gym.metrics.memorisation import Memorisation, memorisation
from gan_gym.metrics.metric import Metric
from gan_gym.metrics.neighbours import density_coverage, precision_recall
from gan_gym.metrics.nuclei import nuclei
from gan_gym.metrics.path_length import Decoder, path_length
from gan_gym.metrics.stain import stain

__all__ = [
    "METRICS",
    "Decoder",
    "Evaluation",
    "EvaluationSettings",
    "Extractor",
    "FrozenExtractor",
    "Memorisation",
    "Metric",
    "cache_folder",
    "density_coverage",
    "diversity",
    "downstream",
    "embed",
    "evaluate",
    "evaluate_images",
    "fid",
    "kid",
    "load_extractor",
    "memorisation",
    "nuclei",
    "path_length",
    "precision_recall",
    "stain",
]
