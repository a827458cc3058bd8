// What the web adds to a transcript's page: names for speakers, links, signing in. Playing is page.js's business.
import { $, ask, attempt, h, meet, path, say, session, whoever } from "/static/talk.js";

const more = document.querySelector(".more");
const key = path(more.dataset.key);

// ---- menus close as menus do

for (const menu of document.querySelectorAll(".menu")) {
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
}

// ---- names

let seen = null;
const name = $("name"), dialog = $("names");
const fill = async () => {
  const told = await ask("GET", `/api/speakers/${key}`);
  seen = told.seen;
  $("name-fields").replaceChildren(...told.speakers.map((label) => h(
    "label", {}, h("span", {}, h("bdi", {}, label)),
    h("input", { value: told.names[label] ?? "", "data-label": label, placeholder: label, maxlength: "60", autocomplete: "off", dir: "auto" }),
  )));
};
name?.addEventListener("click", () => attempt(async () => {
  $("wrong-name").hidden = true;
  await fill();
  dialog.showModal();
  dialog.querySelector("input")?.focus();
}));
dialog.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const names = Object.fromEntries([...dialog.querySelectorAll("input")].map((input) => [input.dataset.label, input.value]));
  try {
    await ask("PUT", `/api/speakers/${key}`, { names, seen });
    location.reload();
  } catch (problem) {
    $("wrong-name").hidden = false;
    $("wrong-name").textContent = problem.text ?? String(problem);
    if (problem.status === 412) {
      await attempt(fill);
      $("wrong-name").textContent = "Somebody else has named speakers meanwhile. These are the names as they are now.";
    }
  }
});
whoever(() => { if (name) name.hidden = !session.signed_in; });

// ---- links

const copy = async (text) => {
  try {
    await navigator.clipboard.writeText(text); // not there without TLS, but on this machine
    say("Copied.");
  } catch {
    say("This browser does not let pages copy here: copy the link itself.");
  }
};
const entry = (label, link) => h("div", { class: "link" }, h("a", { href: link, rel: "noreferrer" }, label), h("button", { type: "button", class: "button", onclick: () => copy(link) }, "Copy"));
$("links").addEventListener("toggle", () => {
  if (!$("links").open) return;
  attempt(async () => {
    const { links, seconds } = await ask("GET", `/api/links/${key}`);
    const made = Object.entries(links).filter(([, link]) => /^https?:\/\//.test(link));
    $("links-sheet").replaceChildren(
      entry("this page", location.origin + location.pathname),
      ...made.map(([label, link]) => entry(label, link)),
      h("p", { class: "under" }, made.length
        ? `Links to the store work for ${Math.round(seconds / 60)} minutes, for anybody, and show speakers as they were found.`
        : "This store makes no links of its own; the page's address works for whoever reaches it."),
    );
  });
});

meet().catch((problem) => say(problem.text));
