"""The words everyone shares: heights, times, frames, grids, areas, cameras."""
