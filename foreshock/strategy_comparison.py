"""``python -m foreshock.strategy_comparison`` is ``foreshock benchmark strategies``."""

import sys

from foreshock.cli.root import main

if __name__ == "__main__":
    main(["benchmark", "strategies", *sys.argv[1:]])
