"""A client of Slurm over its own programs: sbatch, squeue, scontrol, scancel, sacct and the completion log.

``client.Slurm`` is what callers use; ``states`` says what the states of Slurm mean here. Nothing is linked, nothing
is configured: which cluster it is, the environment says (``SLURM_CONF``), as for the programs themselves.
"""
