"""Alembic's migrations of the schema; each goes up and down."""
