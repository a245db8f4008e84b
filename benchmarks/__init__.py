"""Products of agents, instances and seeds: what the published figures come from. Not shipped in the wheel."""

import gan_gym  # noqa: F401  (first of all: it sets how OpenMP's threads wait, which is read when torch is loaded)
