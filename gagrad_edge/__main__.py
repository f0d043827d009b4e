"""``python -m gagrad_edge`` is the program ``gagrad-edge``."""

from gagrad_edge.entry import main

if __name__ == "__main__":
    main()
