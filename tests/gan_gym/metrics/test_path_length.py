"""The path length against a generator whose paths are known."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import Tensor

from gan_gym.metrics import Decoder, path_length
from gan_gym.metrics.path_length import EPSILON

Z = 64


class Pixels:
    """The pixels themselves as features, in double precision."""

    name, sha256 = "pixels", "0" * 64

    def __call__(self, images: Tensor) -> Tensor:
        return images.flatten(1).double()


def to_image(z: Tensor) -> Tensor:
    return z.reshape(len(z), 1, 8, 8).double()


def normal(n: int, seed: int) -> Tensor:
    return torch.randn(n, Z, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_generator_that_shows_its_latent_has_the_squared_angle_between_latents():
    # d = |u(t + e) - u(t)|^2 is (angle e)^2; two normal latents in many dimensions stand at right angles,
    # up to a normal angle of variance 1/Z. Lengths of a and b differ by 9 %, which bends the speed.
    figure = path_length(Decoder(to_image, Z), Pixels(), n_pairs=400)
    assert figure.value == pytest.approx((torch.pi / 2) ** 2 + 1 / Z, rel=0.03)
    assert figure.low < figure.value < figure.high
    assert figure.to_json()["n_pairs"] == 400
    assert figure.to_json()["epsilon"] == EPSILON


def test_one_image_has_no_length_and_a_rougher_generator_a_longer_one():
    constant = path_length(Decoder(lambda z: to_image(torch.ones_like(z)), Z), Pixels())
    assert constant.value == pytest.approx(0.0, abs=1e-9)
    smooth, rough = (
        path_length(Decoder(lambda z, f=f: to_image((f * z.double()).sin() + 2), Z), Pixels()) for f in (1, 5)
    )
    assert rough.low > smooth.high


def test_a_jump_in_one_of_two_hundred_steps_is_left_out_as_published():
    calls = []

    def jumps_once(z: Tensor) -> Tensor:
        z = z.double().clone()
        if not calls:
            z[-1] = -z[-1]
        calls.append(len(z))
        return to_image(z)

    usual = path_length(Decoder(to_image, Z), Pixels(), n_pairs=200)
    assert path_length(Decoder(jumps_once, Z), Pixels(), n_pairs=200).value == pytest.approx(
        usual.value, rel=0.02
    )


def test_interval_shrinks_with_the_pairs_and_everything_is_seeded():
    few, many = (path_length(Decoder(to_image, Z), Pixels(), n_pairs=n) for n in (100, 1600))
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(sqrt(16), rel=0.5)
    before = torch.get_rng_state()
    assert path_length(Decoder(to_image, Z), Pixels(), n_pairs=100) == few
    assert path_length(Decoder(to_image, Z), Pixels(), n_pairs=100, seed=1) != few
    assert torch.equal(before, torch.get_rng_state())


def test_features_that_are_not_finite_give_a_reason():
    figure = path_length(Decoder(lambda z: to_image(z) * float("nan"), Z), Pixels())
    assert "not finite" in figure.reason
