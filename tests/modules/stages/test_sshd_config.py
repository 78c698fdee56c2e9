from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

CONFIG = """\
# PasswordAuthentication yes
Include /etc/ssh/sshd_config.d/*.conf
passwordauthentication yes
#PermitRootLogin prohibit-password
Subsystem sftp /usr/lib/sftp-server
"""


@pytest.fixture
def server(tree: Path) -> Path:
    (tree / "etc/ssh").mkdir(parents=True)
    (tree / "etc/ssh/sshd_config").write_text(CONFIG)
    (tree / "etc/ssh/sshd_config").chmod(0o600)
    return tree


def config_of(tree: Path) -> str:
    return (tree / "etc/ssh/sshd_config").read_text()


def test_in_place_or_at_the_end(server: Path) -> None:
    config = {
        "PasswordAuthentication": False,
        "PermitRootLogin": "prohibit-password",
        "ClientAliveInterval": 180,
    }
    apply("sshd.config", server, {"config": config})
    assert config_of(server) == (
        CONFIG.replace("passwordauthentication yes", "passwordauthentication no")
        + "PermitRootLogin prohibit-password\nClientAliveInterval 180\n"
    )
    assert mode_of(server / "etc/ssh/sshd_config") == 0o600


def test_booleans_are_yes_and_no(server: Path) -> None:
    apply(
        "sshd.config", server, {"config": {"PermitRootLogin": True, "ChallengeResponseAuthentication": False}}
    )
    assert config_of(server) == CONFIG + "PermitRootLogin yes\nChallengeResponseAuthentication no\n"


def test_conditions_are_left_alone(server: Path) -> None:
    condition = "Match User backup\n\tPermitRootLogin yes\n"
    (server / "etc/ssh/sshd_config").write_text(CONFIG + condition)
    apply("sshd.config", server, {"config": {"PermitRootLogin": False}})
    assert config_of(server) == CONFIG + "PermitRootLogin no\n" + condition


def test_a_second_run_changes_nothing(server: Path) -> None:
    options = {"config": {"PermitRootLogin": False, "PasswordAuthentication": True}}
    apply("sshd.config", server, options)
    once = config_of(server)
    apply("sshd.config", server, options)
    assert config_of(server) == once


def test_an_equals_sign_is_a_separator_too(server: Path) -> None:
    (server / "etc/ssh/sshd_config").write_text("PermitRootLogin=yes\n")
    apply("sshd.config", server, {"config": {"PermitRootLogin": False}})
    assert config_of(server) == "PermitRootLogin no\n"


def test_no_server_in_the_tree(tree: Path) -> None:
    assert "is the SSH server installed" in refuse(
        "sshd.config", tree, {"config": {"PermitRootLogin": False}}
    )
