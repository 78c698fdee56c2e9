"""Container images of a stage's inputs, by the skopeo and podman programs."""

import contextlib
import json
import os
import subprocess
import tempfile

from osbuild.util.host import get_container_storage
from osbuild.util.mnt import MountGuard, MountPermissions, umount

_LISTS = (
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
_STORAGE = "/run/osbuild/containers/storage"
_RUN = "/run/containers/storage"


def is_manifest_list(data):
    """Tell whether the manifest ``data``, a dict, is a list of manifests, one for each platform."""
    kind = data.get("mediaType")
    # The type may be left out; then the list itself tells.
    return kind in _LISTS or (kind is None and data.get("manifests") is not None)


def manifest_digest(path):
    """Return the digest of the manifest of the image at ``path``, a directory as skopeo's dir: has it."""
    command = ["skopeo", "manifest-digest", os.path.join(path, "manifest.json")]
    return subprocess.check_output(command, encoding="utf-8").strip()


def parse_manifest_list(manifests):
    """Return {digest of an image's manifest: file name of the list it is in} for an input of such lists."""
    found = {}
    for name in manifests["data"]["files"]:
        with open(os.path.join(manifests["path"], name), encoding="utf-8") as file:
            for manifest in json.load(file)["manifests"]:
                found[manifest["digest"]] = name
    return found


def parse_containers_input(inputs):
    """Return the images of the input ``images`` as {checksum: image}, for :func:`container_source`.

    Each is a dict with ``filepath``, ``data`` (what the input says of it), ``checksum`` and ``manifest-list``, the
    path of its list in the input ``manifest-lists``, None where there is none. Raises RuntimeError where a list is of
    none of the images.
    """
    images = inputs["images"]
    lists = inputs.get("manifest-lists")
    known = parse_manifest_list(lists) if lists else {}
    unused = set(lists["data"]["files"]) if lists else set()
    found = {}
    for checksum, data in images["data"]["archives"].items():
        name, kept_in = checksum, None
        if data["format"] == "containers-storage":
            name = "storage"
        path = os.path.join(images["path"], name)
        if data["format"] == "dir" and lists:
            listed = known.get(manifest_digest(path))
            if listed is not None:
                unused.discard(listed)
                kept_in = os.path.join(lists["path"], listed)
        found[checksum] = {"filepath": path, "manifest-list": kept_in, "data": data, "checksum": checksum}
    if unused:
        raise RuntimeError("lists of manifests without an image: {}".format(", ".join(sorted(unused))))
    return found


def merge_manifest(list_manifest, destination):
    """Make the file ``list_manifest`` the manifest of the image at ``destination``, the old one being one of its own.

    So the image can still be found by the digest of the list that it was pulled by.
    """
    own = os.path.join(destination, "manifest.json")
    algorithm, colon, digest = manifest_digest(destination).partition(":")
    if not (algorithm and colon and digest):
        raise RuntimeError("skopeo gave no digest for {}".format(own))
    os.rename(own, os.path.join(destination, digest + ".manifest.json"))
    subprocess.run(["cp", "--reflink=auto", "--archive", "--", list_manifest, own], check=True)


@contextlib.contextmanager
def container_source(image):
    """Yield (name, source) of ``image``, the source as skopeo takes it; it can be read as long as this lasts."""
    data = image["data"]
    kinds = {"dir": _unpacked, "oci-archive": _unpacked, "containers-storage": _stored}
    if data["format"] not in kinds:
        raise RuntimeError("unknown format of a container image: {!r}".format(data["format"]))
    with kinds[data["format"]](image) as source:
        yield data["name"], source


@contextlib.contextmanager
def _unpacked(image):
    with tempfile.TemporaryDirectory() as folder:
        # Its own name has a colon, which skopeo would take for the beginning of a tag.
        path = os.path.join(folder, "image")
        if image["data"]["format"] == "dir" and image["manifest-list"]:
            subprocess.run(["cp", "--archive", "--reflink=auto", "--", image["filepath"], path], check=True)
            merge_manifest(image["manifest-list"], path)
        else:
            os.symlink(image["filepath"], path)
        yield "{}:{}".format(image["data"]["format"], path)


@contextlib.contextmanager
def _stored(image):
    driver = image["data"]["storage"].get("driver", "overlay")
    # A place of its own, as programs write to the storage that they read from, even if it is bound read-only.
    os.makedirs(_STORAGE, exist_ok=True)
    with MountGuard() as guard:
        guard.mount(image["filepath"], _STORAGE, permissions=MountPermissions.READ_WRITE)
        yield "containers-storage:[{}@{}+{}]{}".format(
            driver, _STORAGE, _RUN, image["checksum"].partition(":")[2]
        )
        layers = os.path.join(_STORAGE, driver)
        if os.path.ismount(layers):
            # Programs mount it on itself and leave it so, at times busy.
            umount(layers, lazy=True)


@contextlib.contextmanager
def container_mount(image, remove_signatures=False):
    """Yield the directory where the files of ``image`` can be read as long as this lasts. Raises RuntimeError."""
    tag = "tmp-container-mount-{}".format(os.urandom(6).hex())
    options = ["--remove-signatures"] if remove_signatures else []
    with contextlib.ExitStack() as stack:
        _, source = stack.enter_context(container_source(image))
        os.makedirs("/var/tmp", mode=0o1777, exist_ok=True)
        subprocess.run(["skopeo", "copy"] + options + [source, "containers-storage:" + tag], check=True)
        stack.callback(subprocess.run, ["podman", "rmi", tag], check=True)
        command = ["podman", "image", "mount", tag]
        done = subprocess.run(command, encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise RuntimeError("podman cannot mount the image: {}".format(done.stderr.strip()))
        stack.callback(subprocess.run, ["podman", "image", "umount", tag], check=True)
        yield done.stdout.strip()


get_host_storage = get_container_storage
"""In a stage: the settings of the build root."""
