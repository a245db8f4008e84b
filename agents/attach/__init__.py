"""Controllers in training loops that are not this package's own: see `AttachedController`."""

from agents.attach.attached import AttachedController

__all__ = ["AttachedController"]
