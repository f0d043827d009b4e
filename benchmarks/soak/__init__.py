"""Long fault tests: each is a program that prints a table and writes its section of docs/soak.md."""
