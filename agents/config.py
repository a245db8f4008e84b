"""The options of every command: each dataclass is configuration, command line and documentation at once.

Imports no torch, so that `gan-gym --help` and wrong options answer at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gan_gym.data.resolution import Resolution

BadImage = Literal["skip", "fail", "convert"]
LAST_SEED = 2**32 - 1
"""Largest seed: NumPy's global generator, which Stable-Baselines3 seeds, takes none beyond it."""


def _at_least(config: object, least: int, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and value < least:
            raise ValueError(f"{name} is {value}; give a whole number >= {least}")


def _check_seeds(seed: int, n_seeds: int = 1) -> None:
    if not 0 <= seed <= LAST_SEED:
        raise ValueError(f"seed is {seed}; give a whole number from 0 to {LAST_SEED}")
    if seed + n_seeds - 1 > LAST_SEED:
        raise ValueError(
            f"seeds is {n_seeds} from seed {seed} on; give a lower seed: the last may be at most {LAST_SEED}"
        )


@dataclass(frozen=True)
class TrainConfig:
    """Train a GAN on your patches under control: data check, MFT-SNN, training, evaluation, report."""

    data: str | None = None
    """Folder of patches (class folders become labels), of large regions or of slides, or an .npz; needed."""
    out: str | None = None
    """Folder of the run; it must not exist, except with --resume; needed."""
    controller: str | None = None
    """`pretrained` (the default), a baseline's name, the folder of a trained controller, or a zip of
    Stable-Baselines3."""
    learn: str | None = None
    """An algorithm that learns online in this very run (ppo, sac, ...), from scratch or from --controller."""
    n_images: int = 80_000
    """Images the GAN sees in all, rounded up to whole env steps."""
    image_size: int | str = 64
    """Pixels, `S` or `HxW`, multiples of 8; patches are resized to it, regions and slides are cut."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    resume: bool = False
    """Continue a run that was stopped; the other options come from its folder."""
    dry_run: bool = False
    """Check data and options, say what would be done and how long it takes, and write nothing."""
    batch_size: int = 32
    """Real patches per update."""
    inner_steps: int | None = None
    """GAN updates between two decisions of the controller; 50 unless given, 10 with --learn."""
    networks: str = "auto"
    """`auto` (residual on a GPU, light elsewhere), light, light_layer (for wgan_gp), light_spectral,
    light_weak_d or residual."""
    loss: str = "non_saturating"
    """non_saturating, hinge, least_squares, wgan_gp or relativistic."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What the GAN is computed in; `bfloat16` is for GPUs."""
    compile: bool = False
    """Compile whole updates first, half a minute: pays for small MLPs on a CPU, not for images."""
    knobs: list[str] | None = None
    """Knobs that a baseline or --learn may turn (with --learn also reward_weight unless given); a trained
    controller brings its own."""
    reward_model: str = "refine"
    """`refine`: the MFT-SNN that ships, refined on your data; `fit`: fitted on your data from ImageNet
    weights; `shipped`: as it ships; or the folder of a fitted one."""
    on_bad_image: BadImage = "skip"
    """What to do with unusable images: leave them out, refuse, or convert them where that is possible."""
    mpp: float = Resolution.mpp
    """Micrometres per pixel of patches cut from slides; 0.5 is about 20x."""
    slide_mpp: float | None = None
    """Micrometres per pixel of the full resolution of slides that do not say their own."""
    held_out: float = 0.2
    """Share of the patches kept from training, for evaluation; split by slide or patient where known."""
    evaluate: bool = True
    """Whether to evaluate at the end with the independent extractor."""

    def __post_init__(self) -> None:
        _at_least(self, 1, "n_images", "batch_size", "inner_steps")
        _check_seeds(self.seed)
        Resolution(self.mpp, self.slide_mpp)
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}; give a share between 0 and 1")


@dataclass(frozen=True)
class DemoConfig:
    """Embedded tissue -> MFT-SNN -> controlled GAN -> report, in minutes on two cores, without downloads."""

    out: str = "demo-run"
    """Folder of the run; it must not exist."""
    n_images: int = 80_000
    """Images the GAN sees in all."""
    controller: str | None = None
    """`pretrained` (the default), a baseline's name, the folder of a trained controller, or a zip of
    Stable-Baselines3."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""

    def __post_init__(self) -> None:
        _at_least(self, 1, "n_images")
        _check_seeds(self.seed)


@dataclass(frozen=True)
class FitSNNConfig:
    """Fit the reward model alone: a Siamese network, by contrastive multistage progressive fine-tuning."""

    data: str | None = None
    """Folder of patches, regions or slides, or an .npz; needed (`embedded` is the embedded tissue)."""
    out: str | None = None
    """Folder of the model; it must not exist; needed."""
    image_size: int | str = 64
    """Pixels, `S` or `HxW`, multiples of 8."""
    preset: str = "fast"
    """`fast`: small, for rewards on a CPU; `paper`: the VGG-16 autoencoder that the paper names; `standard`:
    a plain Siamese network, one stage with everything unfrozen, to compare `fast` with."""
    stages: str | None = None
    """YAML file of stages, in place of the preset's; --print_stages writes one to begin from."""
    print_stages: bool = False
    """Print the stages as YAML, and do nothing else."""
    start: Literal["preset", "imagenet", "random", "shipped"] = "preset"
    """Weights to start from: the preset's own (ImageNet's, or random ones for `paper`), or, for `fast`, those
    of the fitted network that ships, which is refined in a fraction of the steps."""
    weights: str | None = None
    """safetensors file with weights of the preset's backbone to start from, with timm's keys."""
    resume: bool = False
    """Continue a fit that was stopped; give the other options as they were."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    batch_size: int = 64
    """Fewest usable patches."""
    on_bad_image: BadImage = "skip"
    """What to do with unusable images: leave them out, refuse, or convert them where that is possible."""
    mpp: float = Resolution.mpp
    """Micrometres per pixel of patches cut from slides; 0.5 is about 20x."""
    slide_mpp: float | None = None
    """Micrometres per pixel of the full resolution of slides that do not say their own."""
    held_out: float = 0.2
    """Share of the patches kept for verification; split by slide or patient where these are known."""

    def __post_init__(self) -> None:
        _at_least(self, 2, "batch_size")
        _check_seeds(self.seed)
        Resolution(self.mpp, self.slide_mpp)
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}; give a share between 0 and 1")


@dataclass(frozen=True)
class FitControllerConfig:
    """Train a controller on cheap GANs."""

    env: str = "GridGAN-v0"
    """Environment's id; or a mixture of them side by side: `points` (four grids), `images` (stacked digits
    and the embedded tissue), or `mixture`, both."""
    algo: str = "ppo"
    """a2c ddpg dqn ppo sac td3, or with sb3-contrib ars crossq qrdqn recurrent_ppo tqc trpo."""
    out: str | None = None
    """Folder of the controller; it must not exist; needed."""
    total_timesteps: int = 56_000
    """Env steps at most, those of the imitated rule left out; four validations in a row that are no better
    end it sooner."""
    imitate: str | None = None
    """A baseline that sets knobs (tuned_schedule, say), whose moves the policy begins with; ppo only."""
    n_envs: int | None = None
    """GANs trained side by side; as many as train fast and learn well unless given."""
    knobs: list[str] | None = None
    """Knobs it turns; the default set unless given."""
    seed: int = 0
    """Seed of everything random."""
    seeds: int = 1
    """Controllers trained, with seeds from `seed` on; all are kept, and the best on validation instances is
    the one in `out` itself."""
    ray: str | None = None
    """Train the GANs on a Ray cluster: `local` starts one here, `auto` is this machine's, or HOST:PORT."""
    workers: int | None = None
    """Workers on the cluster (for each kind of a mixture); one a CPU core of it unless given."""
    resume: bool = False
    """Continue a training that was stopped; give the other options as they were."""

    def __post_init__(self) -> None:
        _at_least(self, 1, "total_timesteps", "seeds", "n_envs", "workers")
        if self.workers is not None and self.ray is None:
            raise ValueError(
                f"workers is {self.workers}, but there is no cluster to put them on; give --ray too"
            )
        _check_seeds(self.seed, self.seeds)


@dataclass(frozen=True)
class GenerateConfig:
    """Generate patches with the generator of a run."""

    run: str | None = None
    """Folder of the run; needed."""
    n: int = 1000
    """Number of patches."""
    out: str | None = None
    """Folder of the PNGs; it must not exist; needed."""
    seed: int = 0
    """Seed of the latents."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""

    def __post_init__(self) -> None:
        _at_least(self, 1, "n")
        _check_seeds(self.seed)


@dataclass(frozen=True)
class EvaluateConfig:
    """Compare generated with real patches, through a network that no reward has ever seen."""

    real: str | None = None
    """Folder or .npz of real patches; a run's own held-out patches unless given."""
    fake: str | None = None
    """Folder or .npz of generated patches; give this or --run."""
    run: str | None = None
    """Folder of a run whose generator is evaluated."""
    json: str | None = None
    """File to write the figures to."""
    extractor: str = "tf_efficientnet_lite2"
    """Frozen network that measures: a timm name, or NAME=FILE.safetensors for one with local weights."""
    image_size: int | str | None = None
    """Size both sides are brought to; that of the generated patches unless given."""
    on_bad_image: BadImage | None = None
    """What to do with unusable images of --real and --fake: skip, fail or convert; as the run did with --run,
    else skip, unless given."""
    n: int = 1000
    """Patches generated with --run."""
    seed: int = 0
    """Seed of the latents and intervals."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""

    def __post_init__(self) -> None:
        _at_least(self, 2, "n")
        _check_seeds(self.seed)


@dataclass(frozen=True)
class ReportConfig:
    """Write report.html and summary.md of a run."""

    run: str | None = None
    """Folder of the run; needed."""


@dataclass(frozen=True)
class CheckDataConfig:
    """Say what in a folder is usable, what is not, and why."""

    data: str
    """Folder of patches, regions or slides, or an .npz."""
    image_size: int | str = 64
    """Patch size; it decides whether large images are regions that patches are cut from."""
    mpp: float = Resolution.mpp
    """Micrometres per pixel of patches cut from slides; 0.5 is about 20x."""
    slide_mpp: float | None = None
    """Micrometres per pixel of the full resolution of slides that do not say their own."""

    def __post_init__(self) -> None:
        Resolution(self.mpp, self.slide_mpp)


@dataclass(frozen=True)
class DoctorConfig:
    """Show versions, device and disk, and what is missing."""
