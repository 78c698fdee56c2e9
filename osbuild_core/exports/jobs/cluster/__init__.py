"""Builds on a cluster: the executor that hands pipelines to a scheduler, as jobs that build one each.

Only :mod:`osbuild_core.exports.jobs.cluster.slurm` knows Slurm; the others know a small interface
(:mod:`osbuild_core.exports.jobs.cluster.scheduler`).
"""
