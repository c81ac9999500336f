"""Scripts that the Makefile runs: architecture, bytecode, deployment, release, reference."""
