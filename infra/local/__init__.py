"""The real template on a laptop: MiniStack as the cloud, SAM as the deployer, no Docker, no AWS."""
