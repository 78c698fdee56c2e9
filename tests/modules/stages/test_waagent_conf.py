from pathlib import Path

from .harness import apply, mode_of, refuse

CONFIG = """\
# Provisioning.Enabled=y
Provisioning.UseCloudInit=n

ResourceDisk.Format=y
ResourceDisk.Filesystem=ext4
"""


def test_settings_change_in_place(tree: Path) -> None:
    (tree / "etc").mkdir()
    path = tree / "etc/waagent.conf"
    path.write_text(CONFIG)
    path.chmod(0o600)
    config = {"Provisioning.UseCloudInit": True, "ResourceDisk.Format": False, "Provisioning.Enabled": False}
    apply("waagent.conf", tree, {"config": config})
    assert path.read_text() == (
        "# Provisioning.Enabled=y\nProvisioning.UseCloudInit=y\n\n"
        "ResourceDisk.Format=n\nResourceDisk.Filesystem=ext4\nProvisioning.Enabled=n\n"
    )
    assert mode_of(path) == 0o600


def test_no_agent(tree: Path) -> None:
    assert "is the agent installed?" in refuse("waagent.conf", tree, {"config": {}})
