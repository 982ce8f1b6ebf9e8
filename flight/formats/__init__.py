"""Mission files: one module per format, each with `write` and `read`."""
