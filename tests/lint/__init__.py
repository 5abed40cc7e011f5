"""What `make lint` asks beyond ruff and mypy."""
