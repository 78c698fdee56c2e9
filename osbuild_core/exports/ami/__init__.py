"""Finished images become AMIs: uploaded, copied to every region, registered, shared, published.

What awspub does, from the same configuration; see ``docs/ami.md``. boto3 and pydantic (the extra ``aws``) are
imported by what needs them, when it is called.
"""

from osbuild_core.exports.ami.api import cleanup, create, list, plan, publish, unpublish, verify
from osbuild_core.exports.aws.errors import AwsError

__all__ = ["AwsError", "cleanup", "create", "list", "plan", "publish", "unpublish", "verify"]
