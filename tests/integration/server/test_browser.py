"""The web page in a real browser: it lives, does what its buttons say, and runs nothing that others wrote."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.integration.server.running import Service, service
from tests.integration.server.stages import library
from tests.integration.server.test_builds import manifest, mkdir
from tests.integration.server.test_page import HOSTILE
from tests.integration.server.test_who_may import ACCESS, make_tokens

PROGRAM = "chromium-headless-shell"
PATIENCE = 30_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which(PROGRAM)
    if found is None:
        pytest.skip(f"{PROGRAM} is not installed")
    with sync_playwright() as driver:
        # Its own sandbox is not to be had as root; what it shows here is ours.
        started = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


class Tab:
    """A tab that notes what went wrong in it and what it asked for."""

    def __init__(self, browser: Browser) -> None:
        self.context = browser.new_context(accept_downloads=True)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        self.problems: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def _note(self, kind: str, text: str) -> None:
        # What the service refuses is in the console, too; the page says it.
        if kind in ("error", "warning") and "Failed to load resource" not in text:
            self.problems.append(text)


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    made = Tab(browser)
    yield made
    made.context.close()
    assert made.problems == []


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("browser")
    with service(directory, {"library": str(library(directory))}) as found:
        yield found


def submit(tab: Tab, served: Service, document: str, exports: str) -> None:
    tab.page.goto(f"{served.url}/ui/new")
    tab.page.get_by_label("Manifest (JSON)").fill(document)
    tab.page.get_by_label("Exports").fill(exports)
    tab.page.get_by_role("button", name="Submit the build").click()


@pytest.mark.root
def test_a_build_lives(tab: Tab, served: Service) -> None:
    page = tab.page
    tree = manifest(mkdir("/first"), {"type": "org.osbuild.sleeper"})
    tree["pipelines"][0]["name"] = HOSTILE
    page.goto(f"{served.url}/ui/new")
    page.get_by_role("button", name="Put the example from below in").click()
    assert json.loads(page.get_by_label("Manifest (JSON)").input_value())["version"] == "2"
    expect(page.get_by_label("Exports")).to_have_value("tree")
    submit(tab, served, "{", "")
    expect(page.get_by_role("alert").filter(has_text="The manifest is no JSON")).to_be_visible()
    submit(tab, served, json.dumps(tree), "nothing")
    expect(
        page.get_by_role("alert").filter(has_text="there is no pipeline or export 'nothing'")
    ).to_be_visible()
    submit(tab, served, json.dumps(tree), "")
    page.wait_for_url("**/ui/builds/*")
    # From here on nothing is loaded: the page follows.
    page.evaluate("window.stayed = true")
    stages = page.locator(".stages li")
    expect(stages.nth(0)).to_contain_text("done")
    expect(stages.nth(1)).to_contain_text("running")
    expect(page.locator("#log")).to_contain_text("asleep <script>alert(1)</script> red")
    expect(page.get_by_role("heading", level=3)).to_contain_text(HOSTILE)
    ticking = stages.nth(1).locator(".took")
    before = ticking.inner_text()
    expect(ticking).not_to_have_text(before)
    button = page.get_by_role("button", name="Cancel this build")
    page.once("dialog", lambda dialog: dialog.dismiss())
    button.click()
    expect(stages.nth(1)).to_contain_text("running")
    page.once("dialog", lambda dialog: dialog.accept())
    button.click()
    expect(page.get_by_role("status")).to_contain_text("failed")
    expect(page.locator(".reason")).to_contain_text("Canceled by unknown")
    expect(stages.nth(1)).to_contain_text("stopped")
    expect(button).to_have_count(0)
    assert page.evaluate("window.stayed") is True
    assert page.title().endswith("failed · osbuild-core")
    page.get_by_role("link", name="Builds", exact=True).click()
    expect(page.get_by_role("table")).to_contain_text("failed")
    # A list lives, too.
    id = served.post("/builds", {"manifest": manifest(mkdir("/second")), "exports": ["tree"]}).json()["id"]
    expect(page.locator(f"#build-{id}")).to_contain_text("done")
    assert page.evaluate("document.scripts.length") == 1


@pytest.mark.root
def test_a_long_log_is_no_trouble(tab: Tab, browser: Browser, served: Service) -> None:
    page = tab.page
    # There is one worker, so that what comes after this one begins when we are looking.
    first = served.post("/builds", {"manifest": manifest({"type": "org.osbuild.sleeper"})}).json()["id"]
    stages = [{"type": "org.osbuild.talker", "options": {"lines": lines}} for lines in (100_000, 1)]
    id = served.post("/builds", {"manifest": manifest(*stages)}).json()["id"]
    page.goto(f"{served.url}/ui/builds/{id}")
    expect(page.get_by_role("status")).to_contain_text("wait")
    assert served.delete(f"/builds/{first}").status_code == 202
    log = page.locator("#log")
    expect(page.get_by_role("status")).to_contain_text("done")
    expect(log).to_contain_text("line 0 xxx")
    # inner_text() would have what is in sight only.
    text = log.text_content() or ""
    # 10 MB went through; what is kept is its end.
    assert 500_000 < len(text) < 1_200_000
    assert text.count("that was the last line") == 2
    assert text.index("line 99999 ") < text.index("that was the last line") < text.rindex("line 0 ")
    assert page.evaluate("document.querySelectorAll('#log *').length") < 100
    expect(page.get_by_text("Only its end is shown")).to_be_visible()
    # Loaded anew, it begins with the end and does not fetch the rest.
    tab.asked.clear()
    page.reload()
    expect(log).to_contain_text("that was the last line")
    assert len(log.text_content() or "") < 100_000
    assert not [url for url in tab.asked if url.endswith(("/log", "/events"))]
    with page.expect_download() as whole:
        page.get_by_role("link", name="Save the whole log").click()
    assert whole.value.suggested_filename == f"build-{id}.log"
    assert whole.value.path().stat().st_size > 9_000_000
    # Without scripts it can be read.
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{served.url}/ui/builds")
    plain.get_by_role("link", name=str(id), exact=True).click()
    expect(plain.get_by_role("status")).to_contain_text("2 of 2 stages")
    expect(plain.locator("#log")).to_contain_text("that was the last line")
    context.close()


def test_a_compose_from_its_form_to_its_end(tab: Tab, served: Service) -> None:
    page = tab.page
    page.goto(f"{served.url}/")
    # With the keyboard alone.
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.goto(f"{served.url}/ui/new")
    page.get_by_label("Source", exact=True).fill("http://packages.test/slow-2")
    page.get_by_role("textbox", name="Packages").fill("ed  bash")
    page.get_by_label("no_deps").check()
    page.get_by_role("button", name="Ask for the compose").press("Enter")
    page.wait_for_url("**/ui/composes/*")
    page.evaluate("window.stayed = true")
    expect(page.get_by_role("status")).to_contain_text("generating")
    expect(page.locator("#log")).to_contain_text("still at it")
    expect(page.get_by_role("status")).to_contain_text("done")
    link = page.get_by_role("link", name="compose/Temporary/odcs-")
    assert (link.get_attribute("href") or "").endswith(".repo")
    expect(page.locator("dl")).to_contain_text("no_deps")
    expect(page.locator("dl")).to_contain_text("ed bash")
    expiry = page.locator("dt:text-is('Expires') + dd")
    before = expiry.inner_text()
    page.get_by_label("Seconds to live").fill("259200")
    page.get_by_role("button", name="Renew").click()
    expect(expiry).not_to_have_text(before)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove this compose").click()
    expect(page.locator("#reason")).to_contain_text("Compose is generated successfully")
    page.wait_for_function("document.querySelector('#problem').hidden")
    assert page.evaluate("window.stayed") is True
    id = served.wait(served.create("hostile")["id"])["id"]
    page.goto(f"{served.url}/ui/composes/{id}")
    expect(page.locator(".reason")).to_contain_text(HOSTILE)
    assert page.evaluate("document.scripts.length") == 1
    # What is written cannot run even where it would get into the page.
    page.evaluate("document.body.append(Object.assign(document.createElement('div'), {id: 'put'}))")
    page.evaluate("document.getElementById('put').innerHTML = '<img src=x onerror=\"window.ran = true\">'")
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran === undefined")
    assert any("Content Security Policy" in problem for problem in tab.problems)
    tab.problems.clear()


@pytest.mark.root
def test_a_token_stays_in_its_tab(tab: Tab, browser: Browser, tmp_path: Path) -> None:
    page = tab.page
    settings: dict[str, Any] = {"authentication": ["token"], "access": ACCESS}
    settings["library"] = str(library(tmp_path))
    with service(tmp_path, settings) as running:
        # Playwright has a loop of its own in this thread.
        with ThreadPoolExecutor(1) as thread:
            tokens = thread.submit(make_tokens, running.data, {"builder": {}}).result()
        page.goto(f"{running.url}/ui/builds")
        expect(page.get_by_role("heading", level=1)).to_have_text("Unauthorized")
        page.get_by_label("Token").fill("obc_nonsense")
        page.get_by_role("button", name="Use", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("The token is not valid")
        page.get_by_label("Token").fill(tokens["builder"])
        page.get_by_label("Token").press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Builds")
        expect(page.get_by_text("signed in as builder")).to_be_visible()
        submit(tab, running, json.dumps(manifest({"type": "org.osbuild.sleeper"})), "")
        page.wait_for_url("**/ui/builds/*")
        # Not one that is over before the page could follow it.
        expect(page.locator("#log")).to_contain_text("asleep")
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Cancel this build").click()
        expect(page.get_by_role("status")).to_contain_text("failed")
        assert any("/events?after=" in url for url in tab.asked)
        assert not any("obc_" in url for url in tab.asked)
        with page.expect_download() as download:
            page.get_by_role("link", name="Save the whole log").click()
        assert download.value.suggested_filename == "build-1.log"
        kept = page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
        assert kept == [0, 1, ""]
        other = tab.context.new_page()
        other.goto(f"{running.url}/ui/builds")
        expect(other.get_by_role("heading", level=1)).to_have_text("Unauthorized")
        page.get_by_role("button", name="Forget the token").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Unauthorized")
        assert page.evaluate("sessionStorage.length") == 0
        expect(page.locator("#log")).to_have_count(0)
