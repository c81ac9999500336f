"""What is AWS: clients with their time budgets, queue messages, DynamoDB values."""
