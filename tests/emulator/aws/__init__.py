"""An AWS that is stricter than moto's, in a process of its own on loopback.

moto brings the wire (HTTP, parsing, answers from botocore's own models) and S3, SSM, SNS, STS and IAM.
Images, snapshots, import tasks, the EBS direct API and the marketplace catalog are written here, since
moto lets too much pass: see `world` for what there is, `images`, `snapshots`, `imports`, `blocks` and
`marketplace` for what is refused, `gate` for what is done to requests on their way in (latency,
throttling, refusals, lost answers, expired tokens, the hold for tests that kill), and `client` for how
a test starts and asks it.

``python -m tests.emulator.aws --port 0`` prints ``{"url": …}`` and ends with its standard input.
"""
