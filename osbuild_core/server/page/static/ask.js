// Asks the service, with the token where there is one.

import { token } from "./token.js";

export async function ask(path, options = {}) {
  const url = new URL(path, location.href);
  if (url.origin !== location.origin) throw new Error("that is another service");
  const headers = new Headers(options.headers);
  const mine = token();
  if (mine !== null) headers.set("Authorization", `Bearer ${mine}`);
  return fetch(url, { ...options, headers, cache: "no-store", redirect: "error", referrerPolicy: "no-referrer" });
}

// Return the document of an answer. Throws with what the service says where it refuses.
export async function answered(reply) {
  let document = null;
  try {
    document = await reply.json();
  } catch {
    if (reply.ok) throw new Error("that is no answer of the service");
  }
  if (!reply.ok) throw new Error(document?.message ?? `the service says ${reply.status}`);
  return document;
}
