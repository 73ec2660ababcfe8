"""``python -m foreshock`` is the command line."""

from foreshock.cli.root import main

if __name__ == "__main__":
    main()
