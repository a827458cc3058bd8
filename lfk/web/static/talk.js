// What both pages share: talking to the server, signing in, and making elements. No markup is ever made from text.

export const $ = (id) => document.getElementById(id);

/** An element with attributes, listeners (names that begin with "on") and children; text stays text. */
export const h = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
};

/** What the server refused, or why it could not be reached. */
export class Refusal extends Error {
  constructor(status, { code = "", message = "", hint = "" } = {}) {
    super(message);
    Object.assign(this, { status, code, hint });
  }
  get text() {
    return this.hint ? `${this.message} – ${this.hint}` : this.message;
  }
}

export const session = { word: "", signed_in: false, can_sign_in: false };

export const refusalOf = (status, text) => {
  try {
    return new Refusal(status, JSON.parse(text).error);
  } catch {
    return new Refusal(status, { message: status ? `The server answered ${status}.` : "The server cannot be reached." });
  }
};

/** Ask the server; the answer's JSON, or null where it has none. */
export const ask = async (method, url, content) => {
  const headers = { "X-CSRF-Token": session.word };
  if (content !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(url, { method, headers, body: content === undefined ? undefined : JSON.stringify(content) });
  } catch {
    throw refusalOf(0, "");
  }
  if (!answer.ok) throw refusalOf(answer.status, await answer.text());
  return answer.status === 204 ? null : answer.json();
};

/** A key as part of an address. */
export const path = (key) => key.split("/").map(encodeURIComponent).join("/");

export const clock = (seconds) => {
  const whole = Math.max(0, Math.round(seconds));
  const two = (n) => String(n).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
};

let fading = 0;
/** A word at the bottom of the page, for a few seconds. */
export const say = (text) => {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => { $("toast").hidden = true; }, 6000);
};

const changed = [];
/** Call `tell` now, as soon as it is known who is there, and whenever that changes. */
export const whoever = (tell) => changed.push(tell);

export const meet = async () => {
  Object.assign(session, await ask("GET", "/api/session"));
  for (const tell of changed) tell();
};

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

/** Ask for the token. */
export const signIn = () => {
  $("token").value = "";
  $("wrong").hidden = true;
  $("sign-in").showModal();
};

$("sign-in").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await ask("POST", "/api/session", { token: $("token").value });
    await meet();
    $("sign-in").close();
  } catch (problem) {
    $("wrong").textContent = problem.text ?? String(problem);
    $("wrong").hidden = false;
    $("token").select();
  }
});

whoever(() => {
  const button = session.signed_in
    ? h("button", { type: "button", class: "button", onclick: () => ask("DELETE", "/api/session").then(meet).catch((problem) => say(problem.text)) }, "Sign out")
    : session.can_sign_in && h("button", { type: "button", class: "button", onclick: signIn }, "Sign in");
  $("visitor").replaceChildren(...(button ? [button] : [h("span", { class: "note" }, "read-only")]));
});

/** Do something that changes something; a session that is over is begun again by hand. */
export const attempt = async (action) => {
  try {
    return await action();
  } catch (problem) {
    if (problem.status === 401) {
      await meet().catch(() => {});
      signIn();
    } else {
      say(problem.text ?? String(problem));
    }
    return undefined;
  }
};
