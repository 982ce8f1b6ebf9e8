"""The bars of change detection."""
