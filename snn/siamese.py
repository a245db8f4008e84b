"""The Siamese network: one backbone and one head, applied to both sides of a pair."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from snn.backbones import DEFAULT_BACKBONE, Backbone, create_backbone
from snn.names import brief
from snn.storage import model_folder, read_model, write_model


class SiameseNet(nn.Module):
    """Embed images on the unit sphere, so that similar images lie close together.

    The two branches of a Siamese network (Bromley et al. 1993; Hadsell et al. 2006,
    https://ieeexplore.ieee.org/document/1640964) share all weights, so the network is one function, applied
    twice.

    Args:
        backbone: any timm name.
        embedding_dim: D, the dimensions of the embedding.
        depth: how many feature levels of the backbone are kept; `None` for all of it.
        pretrained: as in `create_backbone`.
        min_size: images with a smaller side are enlarged to it, in pixels.
        seed: seed of the head's (and any random backbone's) weights.

    Example:
        >>> model = SiameseNet(pretrained=False)
        >>> model(torch.zeros(4, 3, 32, 32)).shape
        torch.Size([4, 96])
    """

    def __init__(
        self,
        backbone: str = DEFAULT_BACKBONE,
        embedding_dim: int = 96,
        depth: int | None = 3,
        pretrained: bool | str | Path = True,
        min_size: int = 32,
        seed: int = 0,
    ) -> None:
        super().__init__()
        numbers = {
            "embedding_dim": embedding_dim,
            "min_size": min_size,
            "depth": 1 if depth is None else depth,
        }
        for name, value in numbers.items():
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name}={brief(value)}; give a whole number")
        if not isinstance(backbone, str):
            raise TypeError(f"backbone={brief(backbone)}; give the name of a timm network")
        if embedding_dim < 2:
            raise ValueError(
                f"embedding_dim={embedding_dim}: an embedding on a sphere needs at least 2 dimensions"
            )
        if min_size < 8:
            raise ValueError(f"min_size={min_size}: the network sees nothing below 8 pixels; use 8 or more")
        self._config: dict[str, Any] = {
            "backbone": backbone,
            "embedding_dim": embedding_dim,
            "depth": depth,
            "min_size": min_size,
        }
        self.min_size = min_size
        self.provenance: dict[str, Any] = {}
        """Where the weights come from: command, data, figures; saved beside them."""
        self.backbone: Backbone = create_backbone(backbone, pretrained=pretrained, seed=seed, depth=depth)
        n_features = self.backbone.n_features
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed also seeds GPUs
            self.head = nn.Sequential(nn.LayerNorm(n_features), nn.Linear(n_features, embedding_dim))
        self.eval().to(memory_format=torch.channels_last)  # a third faster on CPUs

    @property
    def config(self) -> dict[str, Any]:
        """The JSON-able arguments that rebuild this network (its weights aside)."""
        return dict(self._config)

    @property
    def embedding_dim(self) -> int:
        """Dimensions of the embedding."""
        return int(self._config["embedding_dim"])

    def forward(self, x: Tensor) -> Tensor:
        """Return embeddings `(N, D)` of unit length for images `x`, float `(N, 3, H, W)` in [-1, 1].

        Raises:
            ValueError: if `x` is no batch of RGB images of at least 8 × 8 pixels.
        """
        if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < 8 or not x.is_floating_point():
            raise ValueError(
                f"images must be a float tensor (N, 3, H, W) in [-1, 1] with H, W >= 8; got {x.dtype} "
                f"{tuple(x.shape)}; convert uint8 images with snn.to_float"
            )
        return normalize(self.head(self.backbone(self.enlarged(x))), dim=1)

    def enlarged(self, x: Tensor) -> Tensor:
        """Return images as the backbone gets them: at least `min_size` high and wide."""
        height, width = x.shape[2:]
        if min(height, width) >= self.min_size:
            return x
        scale = self.min_size / min(height, width)
        size = (round(height * scale), round(width * scale))
        return interpolate(x, size, mode="bilinear", align_corners=False)

    def embed(self, x: Tensor) -> Tensor:
        """Return embeddings of `x`, the same as calling the network."""
        return self.forward(x)

    def similarity(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the similarity `(N,)` in [0, 1] of images `a` and `b`, pair by pair: (1 + cosine) / 2."""
        cosine = (self.embed(a) * self.embed(b)).sum(dim=1)
        return ((1 + cosine) / 2).clamp(0, 1)

    def save(
        self,
        folder: str | Path,
        *,
        provenance: Mapping[str, Any] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Write `model.safetensors` and `model.json` into `folder`.

        Args:
            folder: is made if it does not exist.
            provenance: free JSON-able notes that are added to `self.provenance`: command, data, figures.
            dtype: how weights are stored; `torch.float16` halves the file, and loading turns it back into
                float32.
        """
        self.provenance = {**self.provenance, **(provenance or {})}
        write_model(Path(folder), self.config, self.state_dict(), self.provenance, dtype)

    @classmethod
    def load(cls, folder: str | Path | None = None) -> SiameseNet:
        """Load what `save` wrote; needs neither a hub nor the packages with pretrained weights.

        Args:
            folder: a folder, the name of a shipped model (`"tissue"`, `"digits"`), or `None` for `"tissue"`.

        Raises:
            ValueError: if the folder holds no model, or its files are damaged, changed or of another version.
        """
        path = model_folder(folder)
        config, state, provenance = read_model(path)
        try:
            model = cls(**{**config, "pretrained": False})
            model.load_state_dict(state, strict=True)
        except (TypeError, ValueError, RuntimeError) as error:
            problem = str(error).splitlines()[-1].strip()[:400]
            raise ValueError(
                f"the weights in {path} do not fit the network that model.json describes ({problem}); "
                "fit it again"
            ) from error
        model.provenance = provenance
        return model


def load_default() -> SiameseNet:
    """Load the Siamese network fitted on the embedded tissue, the default reward model."""
    return SiameseNet.load(None)


def to_float(images: Tensor) -> Tensor:
    """Turn uint8 images (0..255) into the networks' float images in [-1, 1]."""
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be uint8 (0..255); got {images.dtype}")
    return images.float().div_(127.5).sub_(1)


@torch.inference_mode()
def embed_images(model: nn.Module, images: Tensor, *, batch_size: int = 256, device: str = "cpu") -> Tensor:
    """Embed uint8 `images` `(N, 3, H, W)` in batches; returns `(N, D)` on `device`."""
    return torch.cat([model(to_float(batch.to(device))) for batch in torch.split(images, batch_size)])
