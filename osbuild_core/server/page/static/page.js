// Keeps the page as things are, and does what its buttons say. The server writes all HTML: nothing here makes any
// out of text.

import { prepareActions } from "./actions.js";
import { ask } from "./ask.js";
import { LogView } from "./log.js";
import { morph } from "./morph.js";
import { follow } from "./stream.js";
import { forgetToken, hasToken, prepareToken } from "./token.js";
import { prepareTicking } from "./ticking.js";

const main = document.getElementById("main");
const SOON = 300; // milliseconds between an event and a look at what it changed
const RETRY = 5000;
const LOG_END = 65536; // bytes of a log that is long when it is first seen

let view = null; // the log
let logPath = null; // of a compose: its file, read from `offset` on; 0: it has not been there yet
let offset = 0;
let decoder = null;
let isReading = false;
let isRead = false; // to its end
let followed = null; // of a build: its events, after the one numbered `after`
let after = 0;
let ended = null; // what was followed to its end: a page from before does not begin it again
let stream = null;
let refreshing = null;
let isAskedAgain = false;
let timer = null;

function say(text) {
  const problem = document.getElementById("problem");
  if (problem.textContent !== text) problem.textContent = text;
  problem.hidden = text === "";
}

// Take over what the server says now; if asked meanwhile, once more afterwards.
function refresh() {
  if (refreshing !== null) {
    isAskedAgain = true;
    return refreshing;
  }
  refreshing = load().finally(() => {
    refreshing = null;
    if (isAskedAgain) {
      isAskedAgain = false;
      refresh();
    }
  });
  return refreshing;
}

async function load() {
  let text = "";
  try {
    const reply = await ask(location.href, { headers: { Accept: "text/html" } });
    const theirs = new DOMParser().parseFromString(await reply.text(), "text/html");
    if (theirs.getElementById("main") === null) throw new Error(`it says ${reply.status}`);
    if (reply.status === 401 && hasToken()) {
      forgetToken();
      text = "The token is not valid, or not any more.";
    }
    morph(main, theirs.getElementById("main"));
    morph(document.getElementById("who"), theirs.getElementById("who"));
    document.title = theirs.title;
  } catch (error) {
    text = `The service does not answer (${error.message}).`;
  }
  say(text);
  adopt();
}

// Begin with what a new state of the page asks for.
function adopt() {
  for (const element of document.querySelectorAll("[data-script]")) {
    if ("disabled" in element) element.disabled = false;
    element.hidden = false;
  }
  const log = document.getElementById("log");
  if (log !== null && view?.element !== log) view = new LogView(log);
  const build = main.dataset.follow;
  if (build !== undefined && build !== ended) {
    if (followed === null) {
      followed = build;
      after = Number(main.dataset.after);
    }
    startStream();
  }
  if (main.dataset.log !== undefined && logPath === null) {
    logPath = main.dataset.log;
    offset = Number(main.dataset.offset);
    decoder = new TextDecoder();
    if (offset === 0) readLog();
  }
  schedule();
}

function schedule() {
  clearTimeout(timer);
  const seconds = Number(main.dataset.live);
  if (seconds > 0) timer = setTimeout(tick, seconds * 1000);
}

async function tick() {
  if (document.hidden || (main.dataset.live === undefined && main.dataset.follow === undefined)) return;
  await refresh();
  await readLog();
}

// Read what a log has got since. Once more when the page says that nothing is to come: lines may have been late.
async function readLog() {
  if (logPath === null || view === null || isReading || isRead) return;
  isReading = true;
  const isLast = main.dataset.busy === undefined;
  const range = offset > 0 ? `bytes=${offset}-` : `bytes=-${LOG_END}`;
  try {
    const reply = await ask(logPath, { headers: { Range: range } });
    if (reply.ok) {
      let bytes = new Uint8Array(await reply.arrayBuffer());
      const place = /^bytes (\d+)-/.exec(reply.headers.get("Content-Range") ?? "");
      const end = (place === null ? 0 : Number(place[1])) + bytes.length;
      if (place === null) bytes = bytes.subarray(offset);
      offset = end;
      view.append(decoder.decode(bytes, { stream: true }));
    }
    isRead = isLast;
  } catch {
    // The next look at the page says it.
  } finally {
    isReading = false;
  }
}

let soon = null;

function refreshSoon() {
  soon ??= setTimeout(() => {
    soon = null;
    refresh();
  }, SOON);
}

async function startStream() {
  if (document.hidden || followed === null || stream !== null) return;
  stream = new AbortController();
  const mine = stream;
  let isTroubled = false;
  try {
    await follow(followed, after, {
      signal: mine.signal,
      onTrouble(text) {
        if (text === "" && isTroubled) refreshSoon();
        isTroubled = text !== "";
        say(text);
      },
      onEvent(event) {
        after = event.id;
        if (event.kind === "output") view?.append(String(event.data.text ?? ""));
        else refreshSoon();
      },
    });
    ended = followed;
    followed = null;
    refreshSoon();
  } catch (error) {
    if (!mine.signal.aborted) {
      say(`The build cannot be followed (${error.message}).`);
      setTimeout(refresh, RETRY);
    }
  } finally {
    if (stream === mine) stream = null;
  }
}

function stopStream() {
  stream?.abort();
  stream = null;
}

// A tab that nobody looks at holds no connection: browsers have few for a server.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    stopStream();
    clearTimeout(timer);
  } else {
    tick();
  }
});
addEventListener("pagehide", stopStream);
addEventListener("pageshow", (event) => {
  if (event.persisted) startStream();
});

prepareActions({ refresh, say });
prepareTicking();
prepareToken({
  onChange() {
    say("");
    stopStream();
    refresh();
  },
  say,
});
adopt();
if (hasToken()) refresh();
