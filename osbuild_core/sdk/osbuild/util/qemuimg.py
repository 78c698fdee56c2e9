"""Disk images in the formats of virtual machines, made with qemu-img(1)."""

from osbuild.util.program import run


def convert(source, target, options):
    """Convert the raw image ``source`` and write it to ``target``.

    ``options`` has the ``type`` of the format and its settings, as the option ``format`` of org.osbuild.qemu.
    Raises ProgramError.
    """
    kind = options["type"]
    run(["qemu-img", "convert", "-f", "raw", "-O", kind] + _FORMATS[kind](options) + [source, target])


def _qcow2(options):
    words = []
    if options.get("compression", True):
        words.append("-c")
    if options.get("compat"):
        words += ["-o", "compat=" + options["compat"]]
    return words


def _vmdk(options):
    words = []
    if options.get("compression", False):
        words.append("-c")
    settings = ["{}={}".format(key, options[key]) for key in ("subformat", "adapter_type") if key in options]
    if "compat6" in options:
        settings.append("compat6=" + _on_off(options["compat6"]))
    if settings:
        words += ["-o", ",".join(settings)]
    return words


def _vpc(options):
    force_size = _on_off(options.get("force_size", True))
    return ["-o", "subformat={},force_size={}".format(options.get("subformat", "fixed"), force_size)]


def _nothing(_options):
    return []


def _on_off(value):
    return "on" if value else "off"


_FORMATS = {"qcow2": _qcow2, "vdi": _nothing, "vhdx": _nothing, "vmdk": _vmdk, "vpc": _vpc}
