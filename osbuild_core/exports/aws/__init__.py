"""What exports to AWS share: clients, errors, the clock, files that go up, what is kept for the next run."""
