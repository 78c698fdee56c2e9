"""Services of others: whatever they print, however they end."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.integration.foreign.conftest import Appliance, motd, notes

pytestmark = pytest.mark.root

NOISY = """#!/usr/bin/env python3
\"\"\"Texts, with a lot to say\"\"\"
import os, sys
os.write(1, b"before anything\\n\\xff\\xfe is not text\\nhalf a line")
from osbuild import inputs

class Texts(inputs.InputService):
    def map(self, store, origin, refs, target, options):
        os.write(2, b", the other half\\n")
        for n in range({lines}):
            os.write(1 + n % 2, b"%d " % n + b"x" * 1000 + b"\\n")
        os.write(1, "Grüße".encode()[:3])
        os.write(1, "Grüße".encode()[3:] + b"\\r\\nend without a newline")
        for ref in refs:
            open(os.path.join(target, ref), "w").close()
        return {{"path": target, "data": {{"files": {{ref: {{"title": "t"}} for ref in refs}}}}}}

    def unmap(self):
        print(", but here it is\\nunmapped")

if __name__ == "__main__":
    Texts.from_args(sys.argv[1:]).main()
"""
LABEL = "input/notes (org.example.texts): "


def test_what_a_service_prints_is_in_the_log_line_by_line(appliance: Appliance) -> None:
    appliance.add("inputs/org.example.texts", NOISY.format(lines=2))
    log = appliance.log_of(appliance.stages(notes("tree:///")))
    lines = [line.removeprefix(LABEL) for line in log.splitlines() if line.startswith(LABEL)]
    assert lines == [
        "before anything",
        "\ufffd\ufffd is not text",
        "half a line, the other half",
        "0 " + "x" * 1000,
        "1 " + "x" * 1000,
        "Grüße",
        "end without a newline, but here it is",
        "unmapped",
    ]


def test_ten_megabytes_are_all_in_the_log(appliance: Appliance) -> None:
    appliance.add("inputs/org.example.texts", NOISY.format(lines=10_000))
    log = appliance.log_of(appliance.stages(notes("tree:///")))
    numbers = [line.removeprefix(LABEL).split(" ")[0] for line in log.splitlines() if line.endswith("xxx")]
    assert numbers == [str(n) for n in range(10_000)]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "#!/usr/bin/python3\nimport no_such_package\n",
            "service.gone",
            "ModuleNotFoundError: No module named 'no_such_package'",
        ),
        ("#!/bin/sh\necho no licence >&2\nexit 7\n", "service.gone", "(no licence)"),
        ("#!/usr/bin/no-such-interpreter\n", "service.gone", "No such file"),
        ("no shebang at all\n", "service.gone", "Exec format error"),
        ("#!/bin/sh\nkill -9 $$\n", "service.gone", "ended before it answered"),
    ],
)
def test_a_service_that_does_not_start(appliance: Appliance, text: str, code: str, message: str) -> None:
    appliance.add("inputs/org.example.texts", text, {"additionalProperties": True})
    found, said = appliance.error(appliance.stages(notes("tree:///")))
    assert found == code
    assert said.startswith("input/notes (org.example.texts): ")
    assert message in said


SERVICE = """#!/usr/bin/python3
\"\"\"Texts that go wrong\"\"\"
import os, sys
from osbuild import inputs

class Texts(inputs.InputService):
    def map(self, store, origin, refs, target, options):
        {map}
        return {{"path": target, "data": {{"files": {{}}}}}}

    def unmap(self):
        {unmap}

if __name__ == "__main__":
    Texts.from_args(sys.argv[1:]).main()
"""


@pytest.mark.parametrize(
    ("do", "undo", "code", "message"),
    [
        ("raise ValueError('first\\nsecond')", "pass", "service.failed", "first"),
        ("raise KeyError", "pass", "service.failed", "KeyError"),
        ("os._exit(3)", "pass", "service.gone", "ended before it answered 'map'"),
        ("pass", "raise RuntimeError('cannot undo')", "service.exit", "RuntimeError: cannot undo"),
        ("pass", "os._exit(5)", "service.exit", "ended with status 5"),
        ("return {'data': {}}", "pass", "service.protocol", "replied no path"),
        ("return {'path': '/etc'}", "pass", "service.protocol", "outside"),
        ("self.sock.send('text')", "pass", "protocol", "unexpected message"),
        ("self.sock._sock.send(b'no json')", "pass", "protocol", "JSON"),
    ],
)
def test_a_service_that_fails(appliance: Appliance, do: str, undo: str, code: str, message: str) -> None:
    appliance.add("inputs/org.example.texts", SERVICE.format(map=do, unmap=undo))
    found, said = appliance.error(appliance.stages(motd(), notes("tree:///")))
    assert said.startswith("input/notes (org.example.texts)")
    assert message in said
    assert code in found


C_SERVICE = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* An input that gives an empty directory: where that is, is the value of "target". */
int main(int argc, char **argv) {
    static char packet[1 << 20], target[4096], reply[8192];
    int fd = -1;
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--service-fd") == 0) fd = atoi(argv[i + 1]);
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    puts("written in C");
    fflush(stdout);
    for (;;) {
        ssize_t size = recv(fd, packet, sizeof packet - 1, 0);
        if (size <= 0) return 0;
        packet[size] = 0;
        char *found = strstr(packet, "\"target\"");
        if (!found || sscanf(found, "\"target\" : \"%4095[^\"]\"", target) != 1) return 9;
        snprintf(reply, sizeof reply,
                 "{\"type\": \"reply\", \"data\":"
                 " {\"reply\": {\"path\": \"%s\", \"data\": {\"files\": {}}}}}", target);
        send(fd, reply, strlen(reply), 0);
    }
}
"""


def test_a_compiled_service(appliance: Appliance, tmp_path: Path) -> None:
    (tmp_path / "service.c").write_text(C_SERVICE)
    program = appliance.library / "inputs" / "org.example.texts"
    subprocess.run(["gcc", "-o", program, tmp_path / "service.c"], check=True)
    meta = {"summary": "An empty directory", "description": "", "schema_2": {"additionalProperties": True}}
    program.with_name("org.example.texts.meta.json").write_text(json.dumps(meta))
    log = appliance.log_of(appliance.stages(notes("tree:///")))
    assert f"{LABEL}written in C\n" in log
    assert appliance.leftovers() == []


def test_a_service_runs_on_what_its_first_line_names(appliance: Appliance, tmp_path: Path) -> None:
    """Not on the Python of the program, which may lack packages that are installed for the machine's own."""
    interpreter = tmp_path / "interpreter"
    interpreter.write_text('#!/bin/sh\nSEEN_BY=interpreter exec /usr/bin/python3 "$@"\n')
    interpreter.chmod(0o755)
    text = SERVICE.format(map="print(os.environ.get('SEEN_BY'), sys.prefix)", unmap="pass")
    appliance.add("inputs/org.example.texts", text.replace("/usr/bin/python3", str(interpreter)))
    assert f"{LABEL}interpreter /usr\n" in appliance.log_of(appliance.stages(notes("tree:///")))
    appliance.add("inputs/org.example.texts", text)
    assert f"{LABEL}None /usr\n" in appliance.log_of(appliance.stages(motd(), notes("tree:///")))
