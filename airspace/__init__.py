"""Airspace (空域): zones with rules, leave to use them, and a verdict with every reason."""
