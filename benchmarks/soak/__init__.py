"""Long fault tests. Each is a program that prints a table and writes its section of docs/soak.md."""
