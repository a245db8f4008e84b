"""Procedural histology: noise, stains, nuclei, and one painter a tissue."""
