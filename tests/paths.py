"""Where the repository and the market data beside it lie, whatever folder a test is in."""

from pathlib import Path

ROOT = next(folder for folder in Path(__file__).resolve().parents if (folder / "pyproject.toml").is_file())
SHARED = ROOT.parent / "shared" / "data"
