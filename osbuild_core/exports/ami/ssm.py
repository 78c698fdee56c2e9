"""Parameters of the Systems Manager that name an AMI in each of its regions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from osbuild_core.exports.aws.errors import aws_code
from osbuild_core.exports.aws.tags import tag_list

if TYPE_CHECKING:
    from osbuild_core.exports.ami.config import SsmParameter

_CHUNK = 10
"""Names that GetParameters takes."""


def values(client: Any, names: Iterable[str]) -> dict[str, str]:
    """Return the values of the parameters that there are."""
    wanted = list(dict.fromkeys(names))
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _CHUNK):
        answer = client.get_parameters(Names=wanted[start : start + _CHUNK])
        found |= {one["Name"]: one["Value"] for one in answer["Parameters"]}
    return found


def put(client: Any, parameters: Iterable[SsmParameter], image_id: str, tags: Mapping[str, str]) -> list[str]:
    """Let the parameters name ``image_id``; return what was done with each.

    One that names another image is left alone, unless it may be overwritten.
    """
    wanted = list(parameters)
    there = values(client, [one.name for one in wanted])
    done = []
    for one in wanted:
        before = there.get(one.name)
        if before == image_id:
            continue
        if before is not None and not one.allow_overwrite:
            done.append(f"parameter {one.name} kept: it names {before}")
            continue
        request: dict[str, Any] = {
            "Name": one.name,
            "Description": one.description or "",
            "Value": image_id,
            "Type": "String",
            "DataType": "aws:ec2:image",
        }
        # Tags can be given to a new parameter only.
        request |= {"Overwrite": True} if before is not None else {"Tags": tag_list(tags)}
        try:
            client.put_parameter(**request)
        except Exception as error:
            # A request that was repeated, since its answer was lost, finds what it has made itself.
            if aws_code(error) != "ParameterAlreadyExists" or values(client, [one.name]) != {
                one.name: image_id
            }:
                raise
        done.append(f"parameter {one.name} set")
    return done


def remove(client: Any, parameters: Iterable[SsmParameter], image_id: str) -> list[str]:
    """Delete those of the parameters that name ``image_id``; return what was done."""
    there = values(client, [one.name for one in parameters])
    names = sorted(name for name, value in there.items() if value == image_id)
    for start in range(0, len(names), _CHUNK):
        client.delete_parameters(Names=names[start : start + _CHUNK])
    return [f"parameter {name} deleted" for name in names]
