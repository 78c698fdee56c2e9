"""A request that is answered with an error: the status, and one line for who sent it."""

from __future__ import annotations

from http import HTTPStatus


class Refusal(Exception):
    """Answered with ``{"status", "error", "message"}``, the shape that clients of ODCS read."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}

    def document(self) -> dict[str, object]:
        return {"status": self.status, "error": HTTPStatus(self.status).phrase, "message": self.message}
