"""Adapters of the reconstruction port."""
