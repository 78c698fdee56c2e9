from pathlib import Path

import yaml

from .harness import apply, mode_of

FOLDER = "etc/cloud/cloud.cfg.d"


def test_data_sources_are_on_one_line(tree: Path) -> None:
    # Cloud-init's generator reads that line with a shell.
    config = {"datasource_list": ["Azure", "None"]}
    apply("cloud-init", tree, {"filename": "91-sources.cfg", "config": config})
    path = tree / FOLDER / "91-sources.cfg"
    assert path.read_text() == "datasource_list: [Azure, None]\n"
    assert mode_of(path) == 0o644


def test_everything(tree: Path) -> None:
    config = {
        "ssh_pwauth": False,
        "system_info": {"default_user": {"name": "yes\nlock_passwd: false"}},
        "reporting": {"logging": {"type": "log"}, "telemetry": {}},
        "datasource": {"Azure": {"apply_network_config": False, "more": [1, "on", None, {"a": "b: c"}]}},
        "output": {"all": "| tee -a /var/log/cloud-init-output.log"},
        "network": {"config": "disabled"},
    }
    apply("cloud-init", tree, {"filename": "x.cfg", "config": config})
    assert yaml.safe_load((tree / FOLDER / "x.cfg").read_text()) == config
