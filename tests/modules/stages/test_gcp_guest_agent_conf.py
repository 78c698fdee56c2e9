import configparser
from pathlib import Path

from .harness import apply, mode_of, refuse


def load(path: Path) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(path.read_text())
    return {name: dict(parser[name]) for name in parser.sections()}


def test_a_new_file(tree: Path) -> None:
    config = {
        "Accounts": {"groups": ["adm", "video"], "useradd_cmd": "useradd -m {user}"},
        "InstanceSetup": {"set_boto_config": False, "set_host_keys": True},
    }
    apply("gcp.guest-agent.conf", tree, {"config": config})
    path = tree / "etc/default/instance_configs.cfg.distro"
    assert load(path) == {
        "Accounts": {"groups": "adm,video", "useradd_cmd": "useradd -m {user}"},
        "InstanceSetup": {"set_boto_config": "false", "set_host_keys": "true"},
    }
    assert mode_of(path) == 0o644


def test_what_is_there_stays(tree: Path) -> None:
    (tree / "etc/default").mkdir(parents=True)
    path = tree / "etc/default/instance_configs.cfg"
    path.write_text("# ours\n[Daemons]\nclock_skew_daemon = true\nnetwork_daemon = true\n")
    config = {"Daemons": {"network_daemon": False}, "MetadataScripts": {"run_dir": "/run"}}
    apply("gcp.guest-agent.conf", tree, {"config_scope": "instance", "config": config})
    assert path.read_text() == (
        "# ours\n[Daemons]\nclock_skew_daemon = true\nnetwork_daemon=false\n\n[MetadataScripts]\nrun_dir=/run\n"
    )


def test_a_value_cannot_bring_another_line(tree: Path) -> None:
    config = {"Accounts": {"groups": ["adm\n[Daemons]"]}}
    assert "groups has to be one line" in refuse("gcp.guest-agent.conf", tree, {"config": config})
    assert list(tree.iterdir()) == []
