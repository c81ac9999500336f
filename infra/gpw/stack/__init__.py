"""The stack that gpw works on: target, tables, queues, permissions, errors."""
