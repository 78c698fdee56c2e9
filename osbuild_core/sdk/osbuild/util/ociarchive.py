"""OCI archives: container images as one tar file, in the image layout of the Open Container Initiative."""

import hashlib
import json
import os
import subprocess
import tarfile
import time

from osbuild.util.program import ProgramError

_CONFIG = "application/vnd.oci.image.config.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"

_DEFAULT_COMMAND = ["sh"]
_DEFAULT_ENVIRONMENT = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]

# Images name processors as Go does: (architecture, variant) for the machine names of distributions.
_ARCHITECTURES = {
    "aarch64": ("arm64", None),
    "armhf": ("arm", "v7"),
    "armv7hl": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "i386": ("386", None),
    "i686": ("386", None),
    "loongarch64": ("loong64", None),
    "ppc64el": ("ppc64le", None),
    "x86_64": ("amd64", None),
}

_BLOCK = 1 << 20


def write(path, layers, architecture, config=None, variant=None, annotations=None):
    """Write a container image to the new file ``path``.

    ``layers`` are the directories that its layers are made of, the lowest first; what a later one has covers
    what an earlier one has. ``architecture`` is a name of uname(1), of a distribution, or of Go. ``config`` has
    the settings of containers as the option ``config`` of org.osbuild.oci-archive has them; ``annotations``
    (strings by name) go into the image's manifest.

    Owners, modes, links, file capabilities and other extended attributes are kept, SELinux contexts are not: a
    container gets its own. The same layers give the same bytes where SOURCE_DATE_EPOCH is in the environment,
    which is then the time of the image and the latest time of a file. Raises ProgramError where tar or gzip of
    the build root is missing or fails, ValueError for settings that an image cannot have, and OSError.
    """
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    architecture, implied = _ARCHITECTURES.get(architecture, (architecture, None))
    platform = {"architecture": architecture, "os": "linux"}
    if variant or implied:
        platform["variant"] = variant or implied
    image = dict(platform)
    image["created"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    image["config"] = container_settings(config or {})

    with open(path, "wb+") as file:
        archive = _Archive(file, epoch)
        packed = [archive.add_layer(layer) for layer in layers]
        image["rootfs"] = {"type": "layers", "diff_ids": [diff_id for _, diff_id in packed]}
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": archive.add_document(_CONFIG, image),
        }
        manifest["layers"] = [descriptor for descriptor, _ in packed]
        if annotations:
            manifest["annotations"] = annotations
        entry = dict(archive.add_document(_MANIFEST, manifest), platform=platform)
        archive.add_file("index.json", {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [entry]})
        archive.add_file("oci-layout", {"imageLayoutVersion": "1.0.0"})
        archive.finish()


def container_settings(options):
    """Return the settings of containers as an image has them, for the option ``config`` of a module.

    Raises ValueError for a label that is no string.
    """
    settings = {"Cmd": _DEFAULT_COMMAND, "Env": _DEFAULT_ENVIRONMENT}
    for name, value in options.items():
        if name in ("ExposedPorts", "Volumes"):
            settings[name] = {item: {} for item in value}
        elif name == "StopSiganl":
            # Manifests have to misspell it.
            settings["StopSignal"] = value
        else:
            settings[name] = value
    for name, value in settings.get("Labels", {}).items():
        if not isinstance(value, str):
            raise ValueError("config.Labels: the label {!r} has to be a string".format(name))
    return settings


class _Archive:
    """A tar file that is written front to back; the header of a member is filled in when its size is known.

    So a layer of many gigabytes is written once, and nowhere else.
    """

    def __init__(self, file, epoch):
        self._file = file
        self._epoch = epoch
        self._blobs = set()  # type: set
        for name in ("blobs", "blobs/sha256"):
            file.write(self._header(name, 0, tarfile.DIRTYPE))

    def add_layer(self, folder):
        """Add the content of ``folder`` as a compressed layer.

        Returns its descriptor and its diff id, the digest of what is compressed.
        """
        start = self._begin()
        diff_id = _pack(folder, self._epoch, self._file.fileno())
        self._file.seek(0, os.SEEK_END)
        size = self._file.tell() - start
        return self._end_blob(_LAYER, start, size), diff_id

    def add_document(self, media_type, document):
        """Add ``document`` as a blob and return its descriptor."""
        start = self._begin()
        return self._end_blob(media_type, start, self._file.write(_json(document)))

    def add_file(self, name, document):
        """Add ``document`` as the file ``name``."""
        start = self._begin()
        self._end(name, start, self._file.write(_json(document)))

    def finish(self):
        """Write what ends a tar file."""
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))
        self._pad(tarfile.RECORDSIZE)

    def _begin(self):
        self._file.write(bytes(tarfile.BLOCKSIZE))
        # A program may write next, by way of the descriptor.
        self._file.flush()
        return self._file.tell()

    def _end_blob(self, media_type, start, size):
        digest = self._digest(start, size)
        if digest in self._blobs:
            self._file.seek(start - tarfile.BLOCKSIZE)
            self._file.truncate()
        else:
            self._blobs.add(digest)
            self._end("blobs/sha256/" + digest, start, size)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": size}

    def _end(self, name, start, size):
        self._file.seek(start - tarfile.BLOCKSIZE)
        self._file.write(self._header(name, size, tarfile.REGTYPE))
        self._file.seek(0, os.SEEK_END)
        self._pad(tarfile.BLOCKSIZE)

    def _pad(self, unit):
        self._file.write(bytes(-self._file.tell() % unit))

    def _digest(self, start, size):
        state = hashlib.sha256()
        self._file.seek(start)
        while size:
            block = self._file.read(min(size, _BLOCK))
            state.update(block)
            size -= len(block)
        return state.hexdigest()

    def _header(self, name, size, kind):
        member = tarfile.TarInfo(name)
        member.size = size
        member.mtime = self._epoch
        member.type = kind
        member.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
        return member.tobuf(tarfile.GNU_FORMAT)


def _json(document):
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("utf-8")


def _pack(folder, epoch, target):
    """Write ``folder`` as a compressed tar to the descriptor ``target``; return the digest before compression."""
    command = ["tar", "--create", "--file=-", "--sort=name", "--numeric-owner", "--format=posix"]
    # Names of headers without the process id, and no times but that of the last change of the content.
    command.append("--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime")
    # Access control lists are taken as the attributes that they are, since that is how runtimes read them.
    command += [
        "--xattrs",
        "--xattrs-include=*",
        "--xattrs-exclude=security.selinux",
        "--no-acls",
        "--no-selinux",
    ]
    if "SOURCE_DATE_EPOCH" in os.environ:
        command += ["--mtime=@{}".format(epoch), "--clamp-mtime"]
    # An empty tree has no members, but tar insists on a list.
    command += ["--directory=" + folder, "--files-from=/dev/null", "--"] + sorted(os.listdir(folder))

    state = hashlib.sha256()
    try:
        with _start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as tar:
            with _start(["gzip", "-n"], stdin=subprocess.PIPE, stdout=target) as gzip:
                for block in iter(lambda: tar.stdout.read(_BLOCK), b""):
                    state.update(block)
                    gzip.stdin.write(block)
    except BrokenPipeError:
        # gzip has ended early; its exit status is looked at below.
        pass
    for name, process in (("gzip", gzip), ("tar", tar)):
        if process.returncode != 0:
            raise ProgramError("{} failed with exit status {}".format(name, process.returncode))
    return "sha256:" + state.hexdigest()


def _start(command, **streams):
    try:
        return subprocess.Popen(command, **streams)
    except OSError as error:
        raise ProgramError(
            "cannot run {} of the build root: {}".format(command[0], error.strerror)
        ) from error
