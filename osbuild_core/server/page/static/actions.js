// What buttons and forms do: one call of the API each, and then a look at what came of it.

import { answered, ask } from "./ask.js";
import { hasToken } from "./token.js";

const LARGEST_FILE = 512 * 1024 * 1024; // bytes that a browser is to hold

const root = () => document.body.dataset.root;
const words = (form, name) => form.elements[name].value.split(/\s+/).filter((word) => word !== "");

const BODIES = {
  "new-compose": (form) => {
    const source = { type: form.elements.type.value };
    const what = form.elements.source.value.trim();
    if (what !== "") source.source = what;
    for (const name of ["packages", "builds"]) {
      if (words(form, name).length > 0) source[name] = words(form, name);
    }
    const body = { source };
    if (words(form, "arches").length > 0) body.arches = words(form, "arches");
    if (form.elements.seconds_to_live.value !== "") {
      body.seconds_to_live = Number(form.elements.seconds_to_live.value);
    }
    const flags = [...form.querySelectorAll("input[name=flags]:checked")].map((box) => box.value);
    if (flags.length > 0) body.flags = flags;
    return body;
  },
  "new-build": (form) => {
    let manifest;
    try {
      manifest = JSON.parse(form.elements.manifest.value);
    } catch (error) {
      throw new Error(`The manifest is no JSON: ${error.message}`);
    }
    // What the command line example has as a whole is taken as well.
    const isWhole = manifest !== null && typeof manifest === "object" && "manifest" in manifest;
    const exports = words(form, "exports");
    if (!isWhole) return { manifest, exports };
    return exports.length > 0 ? { ...manifest, exports } : manifest;
  },
  "": (form) => ({ seconds_to_live: Number(form.elements.seconds_to_live.value) }),
};

async function call(element, body) {
  const options = { method: element.dataset.method };
  if (body !== undefined) {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  return answered(await ask(root() + element.dataset.path, options));
}

async function press(button, { refresh, say }) {
  if (!confirm(button.dataset.confirm)) return;
  button.disabled = true;
  let problem = "";
  try {
    await call(button);
  } catch (error) {
    problem = error.message;
  }
  button.disabled = false;
  await refresh();
  if (problem !== "") say(problem);
}

async function send(form, { refresh, say }) {
  const place = form.querySelector("[data-answer]");
  const tell = (text) => {
    if (place === null) {
      say(text);
    } else {
      place.textContent = text;
      place.hidden = text === "";
    }
  };
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  tell("");
  try {
    const made = await call(form, BODIES[form.id](form));
    const target = `${root()}${form.dataset.then}${made.id}`;
    if (location.pathname === target) await refresh();
    else location.assign(target);
  } catch (error) {
    tell(error.message);
  } finally {
    button.disabled = false;
  }
}

async function copy(button) {
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    const label = button.firstChild;
    label.nodeValue = "Copied";
    setTimeout(() => (label.nodeValue = "Copy"), 2000);
  } catch {
    // Without the right to: marked, so that one key copies it.
    getSelection().selectAllChildren(code);
  }
}

// A link cannot send a token.
async function save(link, { say }) {
  try {
    const reply = await ask(link.href);
    if (!reply.ok) await answered(reply);
    if (Number(reply.headers.get("Content-Length")) > LARGEST_FILE) {
      await reply.body.cancel();
      throw new Error("The file is too large for this page: fetch it with curl");
    }
    const url = URL.createObjectURL(await reply.blob());
    const saved = Object.assign(document.createElement("a"), { href: url, download: link.dataset.file });
    saved.click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  } catch (error) {
    say(error.message);
  }
}

export function prepareActions(page) {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-method], button[data-copy]");
    if (button !== null) {
      if (button.dataset.copy === undefined) press(button, page);
      else copy(button);
      return;
    }
    const link = event.target.closest("a[data-file]");
    if (link !== null && hasToken() && new URL(link.href).origin === location.origin) {
      event.preventDefault();
      save(link, page);
    }
  });
  document.addEventListener("submit", (event) => {
    if (event.target.dataset.method === undefined) return;
    event.preventDefault();
    send(event.target, page);
  });
  document.getElementById("use-example")?.addEventListener("click", (event) => {
    const { manifest, exports } = JSON.parse(document.getElementById("example").textContent);
    event.target.form.elements.manifest.value = JSON.stringify(manifest, null, 2);
    event.target.form.elements.exports.value = exports.join(" ");
  });
  document.getElementById("manifest-file")?.addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (file !== undefined) event.target.form.elements.manifest.value = await file.text();
  });
}
