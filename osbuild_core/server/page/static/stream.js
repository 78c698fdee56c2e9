// Server-sent events over fetch: EventSource cannot send a token but in the address.

import { answered, ask } from "./ask.js";

const FIRST_PAUSE = 500; // milliseconds
const LONGEST_PAUSE = 15000;
const BREATH = 256 * 1024; // characters after which the page gets a turn

// Call onEvent({id, kind, data}) for every event after the one numbered `after`, until the one of the kind "end".
// Goes on where it was after a break; throws where the service refuses.
export async function follow(path, after, { signal, onEvent, onTrouble }) {
  let pause = FIRST_PAUSE;
  for (;;) {
    try {
      const reply = await ask(`${path}?after=${after}`, { headers: { Accept: "text/event-stream" }, signal });
      if (reply.status >= 400 && reply.status < 500) {
        await answered(reply).catch((error) => {
          throw new Refused(error.message);
        });
      }
      if (!reply.ok) throw new Error(`the service says ${reply.status}`);
      onTrouble("");
      for await (const event of eventsOf(reply.body)) {
        after = event.id;
        pause = FIRST_PAUSE;
        if (event.kind === "refused") {
          // What passes is found out by asking again.
          if (event.data.status < 500) throw new Refused(event.data.message);
          break;
        }
        onEvent(event);
        if (event.kind === "end") return;
      }
    } catch (error) {
      if (signal.aborted || error instanceof Refused) throw error;
      onTrouble("The connection is lost; trying again.");
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (signal.aborted) throw new Error("stopped");
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

class Refused extends Error {}

async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let taken = 0;
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const event = eventOf(block);
        if (event !== null) yield event;
      }
      taken += value.length;
      if (taken > BREATH) {
        taken = 0;
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function eventOf(block) {
  const found = { id: null, kind: "message", data: [] };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon < 1) continue; // a comment: still here
    const value = line.slice(colon + 1).replace(/^ /, "");
    const name = line.slice(0, colon);
    if (name === "id") found.id = Number(value);
    else if (name === "event") found.kind = value;
    else if (name === "data") found.data.push(value);
  }
  if (found.id === null || found.data.length === 0) return null;
  return { ...found, data: JSON.parse(found.data.join("\n")) };
}
