"""Tests of the service: real server and worker processes, real clients over HTTP."""
