"""Files of latent factors: ``factors.json`` and ``factors.html``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreshock.data.system.disk import written_together


def save_factors(content: Mapping[str, Any], folder: Path, command: str) -> Path:
    """Write both files; earlier ones stay until the new ones are complete."""
    from foreshock.reports.factors.page import FactorReport

    with written_together(folder, ("factors.html", "factors.json")) as parts:
        parts["factors.json"].write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
        parts["factors.html"].write_bytes(FactorReport(content, command).to_html().encode())
    return folder
