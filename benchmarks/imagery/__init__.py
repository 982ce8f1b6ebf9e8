"""What imagery is measured by: every bar of it, on real photos, planted structures and simulated towns."""
