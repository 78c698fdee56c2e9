"""The log of servers and workers: lines for people, or JSON for machines. Nothing secret is ever in ``data``."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


class Lines(logging.Formatter):
    """One line for people: time, level, message, and the data as ``name=value``."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        data = " ".join(f"{name}={value}" for name, value in getattr(record, "data", {}).items())
        text = f"{at} {record.levelname.lower()} {record.getMessage()}" + (f" {data}" if data else "")
        text = "".join(c if c.isprintable() else "?" for c in text)
        return text + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


class Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "data", {}),
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str)


def set_up(form: str) -> None:
    """Log to standard error in ``form``: ``text`` or ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if form == "json" else Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("osbuild_core").setLevel(logging.INFO)
