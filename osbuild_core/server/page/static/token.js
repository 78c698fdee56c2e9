// The token: known to this tab only, until that is closed.

const NAME = "osbuild-core-token";

export function token() {
  return sessionStorage.getItem(NAME);
}

export function hasToken() {
  return token() !== null;
}

export function forgetToken() {
  sessionStorage.removeItem(NAME);
  show();
}

function show() {
  const form = document.getElementById("sign-in");
  if (form === null) return;
  form.hidden = hasToken();
  document.getElementById("sign-out").hidden = !hasToken();
}

export function prepareToken({ onChange, say }) {
  const form = document.getElementById("sign-in");
  if (form === null) return; // nobody is asked for one
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const field = document.getElementById("token");
    const given = field.value.trim();
    if (!/^[\x21-\x7e]+$/.test(given)) {
      say("That is no token.");
      return;
    }
    field.value = "";
    sessionStorage.setItem(NAME, given);
    show();
    onChange();
  });
  document.getElementById("sign-out").addEventListener("click", () => {
    forgetToken();
    onChange();
  });
  show();
}
