"""Print `.env.example` with a new secret for every empty value; standard library only."""

from __future__ import annotations

import base64
import re
import secrets
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / ".env.example"


def filled(example: str) -> str:
    """Return the example's text with its empty values filled."""
    return re.sub(r"(?m)^(\w+)=$", lambda line: f"{line[1]}={fresh(line[1])}", example)


def fresh(name: str) -> str:
    """Return a secret that needs no quotes in a URI, in JSON, or in the file."""
    if name == "AIRFLOW_FERNET_KEY":
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_hex(64 if name == "AIRFLOW_JWT_SECRET" else 24)


if __name__ == "__main__":
    print(filled(EXAMPLE.read_text()), end="")
