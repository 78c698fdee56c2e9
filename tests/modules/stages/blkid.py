"""What blkid finds on an image."""

import subprocess
from pathlib import Path


def probe(image: Path) -> dict[str, str]:
    """Return what is known of the file system on ``image``: TYPE, UUID, LABEL and so on."""
    command = ["blkid", "--probe", "--output", "export", str(image)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", maxsplit=1) for line in text.splitlines())
