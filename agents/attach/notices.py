"""What a user is told about a loop that reports what it should not; once each."""

from __future__ import annotations

import warnings

from agents.attach.record import Summary

FEWEST_STEPS = 5
"""Steps of a block whose scores are judged: those of fewer may all be positive by chance."""


class Notices:
    """Warnings, each given once."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def warn(self, key: str, message: str) -> None:
        """Warn, unless it was done under this key before."""
        if key not in self._given:
            self._given.add(key)
            warnings.warn(message, stacklevel=5)  # where the loop calls `step`

    def of_block(self, summary: Summary, n_steps: int, last_step: int) -> None:
        """Warn of what was missing or not finite in a block.

        Args:
            summary: of the block.
            n_steps: steps of a block.
            last_step: the block's last step.
        """
        where = f"of the {n_steps} steps up to step {last_step}"
        if summary.never_finite:
            self.warn(
                f"diverged/{last_step}",
                f"the GAN diverged in the {n_steps} steps up to step {last_step}: no finite "
                f"{', '.join(summary.never_finite)}. No knob is turned any more (diverged is True): end the "
                "run, or load a checkpoint and call load_state_dict",
            )
            return
        for name, n in summary.n_missing.items():
            self.warn(name, f"{name} was not given in {n} {where}; what was known last is shown in its place")
        for name, n in summary.n_not_finite.items():
            self.warn(name, f"{name} was not finite in {n} {where}; these are left out")
        if not summary.is_measured:
            self.warn(
                "movement",
                f"opt_g and opt_d did not both step between two calls of step in any {where}; call it once "
                "for every update of both, or gradients and weight changes stay unknown",
            )
        seen = summary.statistics
        if n_steps < FEWEST_STEPS:
            return
        if seen.sign_real == seen.sign_fake == 1 and max(seen.score_real, seen.score_fake) <= 1:
            self.warn(
                "probabilities",
                f"score_real and score_fake lay between 0 and 1 in all {where}, as probabilities do; where D "
                "ends with a sigmoid, pass score.logit(eps=1e-6)",
            )
