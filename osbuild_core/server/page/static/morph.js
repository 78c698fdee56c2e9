// Makes an element like another one, changing only what differs: focus, selection, scrolling and what was typed stay.
// What has `data-keep` is left alone. Elements are told apart by their ids.

export function morph(mine, theirs) {
  if (mine.nodeName !== theirs.nodeName || mine.id !== theirs.id) {
    mine.replaceWith(document.importNode(theirs, true));
  } else if (mine.nodeType !== Node.ELEMENT_NODE) {
    if (mine.nodeValue !== theirs.nodeValue) mine.nodeValue = theirs.nodeValue;
  } else if (!mine.hasAttribute("data-keep")) {
    morphAttributes(mine, theirs);
    morphChildren(mine, theirs);
  }
}

function isOurs(element, name) {
  // What the script has turned on, and what the user has opened.
  if (name === "disabled" || name === "hidden") return element.hasAttribute("data-script");
  return name === "open" && element.nodeName === "DETAILS";
}

function morphAttributes(mine, theirs) {
  for (const { name } of [...mine.attributes]) {
    if (!theirs.hasAttribute(name) && !isOurs(mine, name)) mine.removeAttribute(name);
  }
  for (const { name, value } of theirs.attributes) {
    if (mine.getAttribute(name) !== value && !isOurs(mine, name)) mine.setAttribute(name, value);
  }
}

function morphChildren(mine, theirs) {
  const named = new Map([...mine.children].filter((child) => child.id !== "").map((child) => [child.id, child]));
  const kept = new Set([...theirs.children].filter((child) => child.id !== "").map((child) => child.id));
  let next = mine.firstChild;
  for (const wanted of [...theirs.childNodes]) {
    let found = null;
    if (wanted.id) found = named.get(wanted.id) ?? null;
    else if (next !== null && !next.id && next.nodeName === wanted.nodeName) found = next;
    if (found === null) {
      mine.insertBefore(document.importNode(wanted, true), next);
    } else {
      // What is gone goes first: an element that is moved loses its focus and where it was scrolled to.
      while (next !== null && next !== found && !kept.has(next.id)) next = removed(next);
      if (found === next) next = next.nextSibling;
      else mine.insertBefore(found, next);
      morph(found, wanted);
    }
  }
  while (next !== null) next = removed(next);
}

// Remove a node; return the one after it.
function removed(node) {
  const after = node.nextSibling;
  node.remove();
  return after;
}
