"""Every message on every wire; standard library only."""
