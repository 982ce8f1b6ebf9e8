"""From photos to a survey: poses, surface, orthophoto, and how good they are."""
