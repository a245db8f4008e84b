from __future__ import annotations

import pytest
import torch

from gan_gym.gan import NETWORKS, build_networks, family

SIZES = [(8, 8), (24, 40), (32, 32), (64, 32)]
POINTS = [name for name in NETWORKS if family(name) == "points"]
IMAGES = [name for name in NETWORKS if family(name) == "images"]
CASES = [(name, (2,)) for name in POINTS] + [(name, (3, *size)) for name in IMAGES for size in SIZES]


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_shapes_and_range(name: str, shape: tuple[int, ...]) -> None:
    generator, discriminator = build_networks(name, shape, seed=0)
    z = torch.randn(2, generator.z_dim, generator=torch.Generator().manual_seed(0))
    samples = generator(z)
    assert samples.shape == (2, *shape)
    assert len(shape) == 1 or samples.abs().max() <= 1
    assert discriminator(samples).shape == (2,)


@pytest.mark.parametrize("name", NETWORKS)
def test_joint_discriminators_score_each_sample_alone(name: str) -> None:
    """And the others say `joint = False`, so that the trainer shows them real and generated data apart."""
    shape = (2,) if name in POINTS else (3, 16, 16)
    _, discriminator = build_networks(name, shape, seed=0)
    x = torch.randn(6, *shape, generator=torch.Generator().manual_seed(1))
    together = discriminator(x)
    apart = torch.cat([discriminator(half) for half in x.split(3)])
    alone = torch.allclose(together, apart, rtol=1e-4, atol=1e-6)
    assert getattr(discriminator, "joint", True) == alone


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("size", [(12, 16), (16, 20), (4, 8), (0, 8)])
def test_refuses_sizes_that_are_no_multiple_of_8(name: str, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        build_networks(name, (3, *size), seed=0)


@pytest.mark.parametrize(
    ("name", "shape"),
    [(name, (3, 8, 8)) for name in POINTS] + [("light", (2,)), ("residual", (2,))],
)
def test_refuses_the_wrong_kind_of_sample(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=name):
        build_networks(name, shape, seed=0)


@pytest.mark.parametrize(
    ("name", "shape"), [("mlp", (2,)), ("pacgan", (2,)), ("light", (3, 8, 8)), ("residual", (3, 8, 8))]
)
def test_weights_are_a_function_of_the_seed_alone(name: str, shape: tuple[int, ...]) -> None:
    before = torch.get_rng_state()
    first, again, other = (
        [t for network in build_networks(name, shape, seed) for t in network.state_dict().values()]
        for seed in (5, 5, 6)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown networks 'ligth'; did you mean 'light'"):
        build_networks("ligth", (3, 8, 8), seed=0)


def test_the_published_pair_has_the_published_sizes() -> None:
    """PacGAN, arXiv 1712.04086: G four layers of 400 ReLUs and BN, D three layers of 200 maxout(5) units."""
    generator, discriminator = build_networks("pacgan", (2,), seed=0)
    sizes = [
        [tuple(weight.shape) for weight in network.parameters() if weight.ndim == 2]
        for network in (generator, discriminator)
    ]
    assert sizes == [
        [(400, 2), (400, 400), (400, 400), (400, 400), (2, 400)],
        [(1000, 2), (1000, 200), (1000, 200), (1, 200)],
    ]
    scales = [weight for weight in generator.parameters() if weight.shape == (400,)]
    assert len(scales) == 8, "a scale and a shift for each normalised layer"


def test_a_larger_pair_is_larger() -> None:
    small, large = (
        [sum(weight.numel() for weight in network.parameters()) for network in build_networks(name, (2,), 0)]
        for name in ("mlp", "mlp_large")
    )
    assert all(b > 4 * a for a, b in zip(small, large, strict=True))


def test_spectral_normalisation_bounds_every_layer_by_one() -> None:
    """Up to what ten power iterations leave, for weights as they are drawn."""
    _, discriminator = build_networks("light_spectral", (3, 16, 16), seed=0)
    layers = [m for m in discriminator.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(layers) == 3
    for layer in layers:
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(
            1, abs=0.05
        )


@pytest.mark.parametrize("name", ["light", "light_layer", "light_spectral"])
def test_a_patch_that_repeats_is_seen_by_batch_statistics_alone(name: str) -> None:
    _, discriminator = build_networks(name, (3, 16, 16), seed=0)
    x = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    repeated = x[:1].expand(4, -1, -1, -1)
    assert torch.allclose(discriminator(x)[0], discriminator(repeated)[0], atol=1e-6) == (name != "light")
