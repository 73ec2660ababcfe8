"""``python -m foreshock.gallery`` is ``foreshock gallery``."""

import sys

from foreshock.cli.root import main

if __name__ == "__main__":
    main(["gallery", *sys.argv[1:]])
