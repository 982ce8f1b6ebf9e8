"""What changed between two surveys of one area: aligned pairs in, candidates with reasons out."""
