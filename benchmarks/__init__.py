"""Benchmarks: `make bench NAME=…` runs one, prints its table and writes `benchmarks/results/NAME.json`."""
