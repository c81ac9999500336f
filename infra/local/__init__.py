"""Runs the real template on a laptop: SAM deploys it to MiniStack, without Docker or AWS."""
