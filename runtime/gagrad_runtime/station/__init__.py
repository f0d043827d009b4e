"""A device on its own: frames come in, verdicts and explanations are kept. See docs/watch.md."""
