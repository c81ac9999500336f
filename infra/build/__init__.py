"""Scripts that the Makefile runs: bytecode, gradual deployment, dependency audit, reference."""
