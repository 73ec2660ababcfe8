"""``python -m foreshock`` and ``foreshock`` are the command line."""

import signal
import sys


def main() -> None:
    """Run the command line; an interrupt while it is loaded ends it without a word."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler and "pytest" not in sys.modules:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from foreshock.cli.root import main as run

    run()


if __name__ == "__main__":
    main()
