"""The airspace: how fast zones come in."""
