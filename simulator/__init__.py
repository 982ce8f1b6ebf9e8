"""A town to fly over, a lens to see it with, and an autopilot to fly: for tests, benchmarks and the demo."""
