"""Patches in memory: from folders, files and slides, drawn by the package, or points in the plane."""
