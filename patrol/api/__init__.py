"""The HTTP rim."""
