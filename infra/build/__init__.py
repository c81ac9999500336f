"""What the Makefile runs around a build: bytecode, gradual deploys, the audit of dependencies."""
