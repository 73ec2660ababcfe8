"""``python -m foreshock.model_comparison`` is ``foreshock benchmark models``."""

import sys

from foreshock.cli.root import main

if __name__ == "__main__":
    main(["benchmark", "models", *sys.argv[1:]])
