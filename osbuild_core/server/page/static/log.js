// Shows the end of a log, however long it is and however fast it grows.

const CHUNK = 16 * 1024; // characters of one piece; pieces out of sight are not laid out
const KEPT = 64; // pieces
const PAUSE = 100; // milliseconds: what came meanwhile is shown at once

const ESCAPES = /\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\r(?=\n)/g;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

export function plain(text) {
  return text.replace(ESCAPES, "").replace(CONTROLS, "");
}

export class LogView {
  #pre;
  #pending = [];
  #size = 0;
  #timer = null;
  #isFull = false;

  constructor(element) {
    this.element = element;
    this.#pre = element.querySelector("pre");
    const text = this.#pre.textContent;
    this.#pre.replaceChildren();
    this.#pending.push(text);
    this.#show();
  }

  append(text) {
    if (text === "") return;
    this.#pending.push(text);
    this.#size += text.length;
    // Only the end is kept: nothing waits here that would not be shown.
    while (this.#pending.length > 1 && this.#size - this.#pending[0].length > CHUNK * KEPT) {
      this.#size -= this.#pending.shift().length;
      this.#cut();
    }
    this.#timer ??= setTimeout(() => this.#show(), PAUSE);
  }

  #show() {
    this.#timer = null;
    const whole = this.#pending.join("");
    if (whole.length > CHUNK * KEPT) this.#cut();
    const text = plain(whole.slice(-CHUNK * KEPT));
    this.#pending = [];
    this.#size = 0;
    const isFollowing = document.getElementById("log-follow")?.checked ?? true;
    this.#add(text);
    while (this.#pre.childElementCount > KEPT) {
      this.#pre.firstElementChild.remove();
      this.#cut();
    }
    if (isFollowing) this.element.scrollTop = this.element.scrollHeight;
  }

  // A piece ends where a line does, unless the line alone is longer than a piece.
  #add(text) {
    for (let start = 0; start < text.length; ) {
      const piece = this.#piece();
      let end = Math.min(text.length, start + CHUNK - piece.length);
      if (end < text.length) {
        this.#isFull = true;
        const line = text.lastIndexOf("\n", end - 1) + 1;
        if (line > start) end = line;
        else if (piece.data.endsWith("\n")) continue;
      }
      piece.appendData(text.slice(start, end));
      start = end;
    }
  }

  #piece() {
    const last = this.#pre.lastElementChild;
    if (last !== null && !this.#isFull && last.firstChild.length < CHUNK) return last.firstChild;
    const added = document.createElement("div");
    const text = document.createTextNode("");
    added.append(text);
    this.#pre.append(added);
    this.#isFull = false;
    return text;
  }

  #cut() {
    const note = document.getElementById("log-cut");
    if (note !== null) note.hidden = false;
  }
}
