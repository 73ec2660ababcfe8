"""``python -m foreshock`` is the command line."""

from foreshock.cli.main import main

if __name__ == "__main__":
    main()
