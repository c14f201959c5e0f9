"""What names the platform's own model, as settings have it: a search compares with it, and it may change meanwhile."""

import hashlib

from config import Section


def fingerprint(*sections: Section) -> str:
    """Returns a short hash of sections of platform.yaml, the same on every machine."""
    text = "\n".join(section.model_dump_json() for section in sections)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
