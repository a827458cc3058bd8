// The list: what is there, what waits, what failed; adding recordings and watching them become transcripts.
import { $, ask, attempt, clock, h, meet, path, refusalOf, say, session, signIn, whoever } from "/static/talk.js";

const LIVELY = 2500; // milliseconds between looks while something is under way
const CALM = 8000; // and while nothing is
const AT_ONCE = 2; // files sent at a time
const PAGE = 50; // rows asked for at a time
const MOST = 200; // rows that are kept up to date
const STATES = { "": "All", working: "Working", waiting: "Waiting", failed: "Failed", done: "Done" };

const number = new Intl.NumberFormat("en");
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const ago = (seconds) => {
  const age = Math.max(0, Date.now() / 1000 - seconds);
  if (age < 45) return "just now";
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (age >= size) return relative.format(-Math.round(age / size), unit);
  }
  return relative.format(-1, "minute");
};
const bytes = (size) => {
  for (const [unit, one] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (size >= one) return `${(size / one).toFixed(size >= 10 * one ? 0 : 1)} ${unit}`;
  }
  return `${size} bytes`;
};
const hours = (seconds) => (seconds < 3600 ? `${Math.max(1, Math.round(seconds / 60))} min` : `${(seconds / 3600).toFixed(1)} h`);
const many = (count, one, more) => `${number.format(count)} ${count === 1 ? one : more}`;

// ---- the list

let rows = [];
let lively = false;
let asked = 0; // how often the list was asked for: an older answer never replaces a newer one
const nodes = new Map(); // element by row, so that what has the focus or is open stays
let state = "";

const retry = (row, button) => attempt(async () => {
  button.disabled = true;
  try {
    await ask("POST", `/api/failures/${row.failure.event}/retry`);
    say("Sent again. It goes from here once a hub has come through with it.");
    retried.add(row.failure.event);
    await look();
  } finally {
    button.disabled = false;
  }
});
const retried = new Set();
const discard = (row, button) => attempt(async () => {
  button.disabled = true;
  try {
    await ask("DELETE", `/api/failures/${row.failure.event}`);
    say("The failure is forgotten.");
    await look();
  } finally {
    button.disabled = false;
  }
});

const facts = (row) => {
  const [approach, ...model] = row.pair.split(".");
  const told = [
    approach, model.join("."),
    row.duration !== undefined && clock(row.duration),
    row.language,
    row.no_speech ? "no speech" : row.words !== undefined && many(row.words, "word", "words"),
    row.speakers > 1 && `${row.speakers} speakers`,
    row.state !== "done" && row.size > 0 && bytes(row.size),
  ];
  return h("p", { class: "facts" }, ...told.filter(Boolean).map((fact) => h("span", {}, h("bdi", {}, fact))));
};
const pill = (row) => {
  const sent = row.failure && retried.has(row.failure.event) && row.state === "failed";
  const words = { waiting: "Waiting", working: row.stage || "Working", done: "Done", failed: sent ? "Sent again" : "Failed" };
  return h("span", { class: `pill ${sent ? "waiting" : row.state}` }, words[row.state] ?? row.state);
};
const why = (row) => h(
  "div", { class: "why" },
  h("p", {}, h("bdi", {}, row.failure.message), " ", h("code", {}, row.failure.code)),
  row.failure.hint && h("p", { class: "hint" }, h("bdi", {}, row.failure.hint)),
  session.signed_in && h(
    "p", { class: "acts" },
    h("button", { type: "button", class: "button", onclick: (event) => retry(row, event.currentTarget) }, "Retry"),
    h("button", { type: "button", class: "button", onclick: (event) => discard(row, event.currentTarget) }, "Discard"),
  ),
);
const bar = (part, label) => h("progress", { max: "1", value: String(part), "aria-label": label });
const item = (row) => {
  const folder = row.key.split("/").slice(2, -1).join(" / ");
  const name = h("bdi", {}, row.name || "a message that could not be read");
  return h(
    "li", { class: `row ${row.state}` },
    h("div", { class: "what" },
      row.state === "done" ? h("a", { class: "name", href: `/t/${path(row.key)}` }, name) : h("span", { class: "name" }, name),
      folder && h("p", { class: "folder" }, h("bdi", {}, folder)),
      facts(row)),
    h("time", { datetime: new Date(row.time * 1000).toISOString(), title: new Date(row.time * 1000).toLocaleString() }, row.time ? ago(row.time) : ""),
    pill(row),
    row.state === "working" && bar(row.part ?? 0, `${row.name}: ${row.stage}`),
    row.failure && why(row),
  );
};

const identity = (row) => row.key || row.failure?.event || row.name;
const show = (fresh) => {
  const kept = [];
  for (const row of fresh) {
    const id = identity(row);
    const drawn = JSON.stringify([row, session.signed_in, retried.has(row.failure?.event), row.time ? ago(row.time) : ""]);
    let known = nodes.get(id);
    if (!known || known.drawn !== drawn) {
      const held = known?.node.contains(document.activeElement) ? document.activeElement.textContent : "";
      const node = item(row);
      if (known) known.node.replaceWith(node);
      known = { node, drawn };
      nodes.set(id, known);
      if (held) [...node.querySelectorAll("button, a")].find((one) => one.textContent === held)?.focus();
    }
    kept.push(known.node);
  }
  const list = $("rows");
  kept.forEach((node, at) => { if (list.children[at] !== node) list.insertBefore(node, list.children[at] ?? null); });
  while (list.children.length > kept.length) list.lastChild.remove();
  const there = new Set(fresh.map(identity));
  for (const id of nodes.keys()) if (!there.has(id)) nodes.delete(id);
  rows = fresh;
};

const query = () => ({ text: $("text").value.trim(), state, approach: $("only-approach").value, model: $("only-model").value });
const isNarrow = () => Object.values(query()).some(Boolean);
const address = (offset, limit) => {
  const sought = new URLSearchParams({ offset, limit });
  for (const [name, value] of Object.entries(query())) if (value) sought.set(name, value);
  return `/api/recordings?${sought}`;
};

const emptiness = () => {
  const box = $("empty");
  if (isNarrow()) {
    box.replaceChildren(h("p", {}, "Nothing here matches."), h("button", { type: "button", class: "button", onclick: clear }, "Show all"));
  } else {
    box.replaceChildren(
      h("p", {}, "No recordings yet."),
      h("p", { class: "hint" }, session.signed_in ? "Drop some onto this page, or upload a folder with " : "They come from here once you sign in, or from a folder with ", h("code", {}, "lfk sync FOLDER"), "."),
    );
  }
};
const clear = () => {
  $("text").value = "";
  $("only-approach").value = $("only-model").value = "";
  state = "";
  look();
};

const look = async () => {
  const mine = ++asked;
  let told;
  try {
    told = await ask("GET", address(0, Math.min(MOST, Math.max(PAGE, rows.length))));
  } catch (problem) {
    trouble(problem);
    return;
  }
  if (mine !== asked) return;
  trouble(null);
  $("rows").setAttribute("aria-busy", "false");
  // What was shown beyond the part that is kept up to date stays as it was.
  const beyond = rows.length > MOST && told.more ? rows.slice(MOST).filter((row) => !told.rows.some((one) => identity(one) === identity(row))) : [];
  show([...told.rows, ...beyond]);
  lively = told.counts.working + told.counts.waiting > 0;
  $("more").hidden = !told.more;
  $("empty").hidden = rows.length > 0;
  if (!rows.length) emptiness();
  $("held").textContent = told.total > told.held ? `The newest ${number.format(told.held)} of ${number.format(told.total)} are listed.` : "";
  for (const button of $("states").children) {
    const own = button.dataset.state;
    const count = own ? told.counts[own] : Object.values(told.counts).reduce((sum, one) => sum + one, 0);
    button.querySelector("small").textContent = number.format(count);
    button.setAttribute("aria-pressed", String(own === state));
  }
};
$("more").addEventListener("click", () => attempt(async () => {
  const told = await ask("GET", address(rows.length, PAGE));
  const there = new Set(rows.map(identity));
  asked += 1;
  show([...rows, ...told.rows.filter((row) => !there.has(identity(row)))]);
  $("more").hidden = !told.more;
}));
const trouble = (problem) => {
  $("trouble").hidden = !problem;
  if (problem) $("trouble").textContent = problem.text;
};

for (const [value, label] of Object.entries(STATES)) {
  $("states").append(h("button", { type: "button", "data-state": value, "aria-pressed": String(value === ""), onclick: () => { state = value; rows = []; look(); } }, `${label} `, h("small", {}, "")));
}
let typing = 0;
$("text").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => { rows = []; look(); }, 150); });
for (const id of ["only-approach", "only-model"]) $(id).addEventListener("change", () => { rows = []; look(); });
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, dialog")) return;
  event.preventDefault();
  $("text").focus();
  $("text").select();
});

// ---- adding

const queue = [];
let sending = 0;
const suffixOf = (name) => name.slice(name.lastIndexOf(".") + 1).toLowerCase();

const card = (file) => {
  const text = h("p", { class: "facts" }, "in line");
  const progress = bar(0, file.name);
  const close = h("button", { type: "button", class: "close", "aria-label": `Stop and remove ${file.name}` }, "×");
  const name = h("span", { class: "name" }, h("bdi", {}, file.name));
  const node = h("li", { class: "row sending-row" }, h("div", { class: "what" }, name, text), close, progress);
  const one = { file, node, text, progress, name, key: "", over: false, request: null };
  close.addEventListener("click", () => {
    one.over = true;
    one.request?.abort();
    node.remove();
    cards.delete(one);
  });
  $("sending").append(node);
  cards.add(one);
  return one;
};
const cards = new Set();
const tell = (one, text, kind = "") => {
  one.text.textContent = text;
  one.node.classList.toggle("failed", kind === "failed");
  one.node.classList.toggle("done", kind === "done");
  one.progress.hidden = kind !== "";
};

const tellsApart = () => session.telling_speakers_apart?.includes($("approach").value) ?? false;
const offer = () => { $("who-speaks").hidden = !tellsApart(); };
$("approach").addEventListener("change", offer);
/** What is asked for whatever is added now. */
const wishes = () => {
  const asked = { approach: $("approach").value, model: $("model").value };
  if ($("language").value) asked.language = $("language").value;
  if (tellsApart() && $("speakers").value) asked.num_speakers = $("speakers").value;
  return asked;
};

const add = (files) => {
  if (!session.signed_in) {
    if (session.can_sign_in) signIn();
    else say("This page only shows: LFK_WEB_TOKEN is not set.");
    return;
  }
  if (tellsApart() && !$("speakers").reportValidity()) return;
  const asked = wishes();
  for (const file of files) {
    const one = card(file);
    if (!session.suffixes.includes(suffixOf(file.name))) tell(one, `${file.name.includes(".") ? `.${suffixOf(file.name)}` : "A name without a suffix"} is not the name of a recording`, "failed");
    else if (file.size === 0) tell(one, "The file is empty.", "failed");
    else if (file.size > session.max_upload) tell(one, `The file has ${bytes(file.size)}; at most ${bytes(session.max_upload)} are taken.`, "failed");
    else queue.push({ one, asked });
  }
  pump();
};
const pump = () => {
  while (sending < AT_ONCE && queue.length) {
    const next = queue.shift();
    if (next.one.over) continue;
    sending += 1;
    send(next).catch((problem) => failed(next.one, problem)).finally(() => { sending -= 1; pump(); });
  }
};
const failed = (one, problem) => {
  if (one.over) return;
  tell(one, problem.text ?? String(problem), "failed");
  if (problem.status === 401) meet().then(signIn, () => {});
};
// XMLHttpRequest, as fetch does not tell how far an upload is.
const send = ({ one, asked }) => new Promise((good, bad) => {
  const request = one.request = new XMLHttpRequest();
  request.open("PUT", `/api/recordings?${new URLSearchParams({ name: one.file.name, ...asked })}`);
  request.setRequestHeader("X-CSRF-Token", session.word);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.upload.addEventListener("progress", (event) => {
    one.progress.value = event.loaded / event.total;
    tell(one, event.loaded < event.total ? `sending ${Math.round(100 * event.loaded / event.total)} % of ${bytes(event.total)}` : "being stored");
  });
  request.addEventListener("load", () => {
    if (request.status !== 201) {
      bad(refusalOf(request.status, request.responseText));
      return;
    }
    const done = JSON.parse(request.responseText);
    one.key = done.key;
    one.before = done.before;
    one.note = done.known ? "was here already; " : done.name !== one.file.name ? `kept as ${done.name}; ` : "";
    tell(one, `${one.note}waiting for a hub`);
    one.progress.removeAttribute("value");
    good();
    look();
    watch();
  });
  request.addEventListener("error", () => bad(refusalOf(0, "")));
  request.addEventListener("abort", () => good());
  request.send(one.file);
});

let watching = false;
const watch = async () => {
  if (watching) return;
  watching = true;
  try {
    for (;;) {
      const waited = [...cards].filter((one) => one.key && !one.over);
      if (!waited.length) return;
      const part = waited.slice(0, 20);
      const { rows: told } = await ask("GET", `/api/looks?${new URLSearchParams(part.map((one) => ["key", one.key]))}`).catch(() => ({ rows: [] }));
      for (const row of told) {
        const one = part.find((each) => each.key === row.key);
        if (one) follow(one, row);
      }
      await new Promise((next) => setTimeout(next, 1500));
    }
  } finally {
    watching = false;
  }
};
const follow = (one, row) => {
  if (row.state === "done" && row.etag === one.before) return; // of what was asked before; its hub is not there yet
  if (row.state === "done") {
    one.over = true;
    tell(one, `${one.note}transcribed`, "done");
    one.name.replaceChildren(h("a", { href: `/t/${path(row.key)}` }, h("bdi", {}, row.name)));
    setTimeout(look, LIVELY); // the list may be a moment old
  } else if (row.state === "failed") {
    one.over = true;
    tell(one, `${row.failure.message} – ${row.failure.hint}`, "failed");
    setTimeout(look, LIVELY);
  } else if (row.state === "working") {
    if (row.part > 0) one.progress.value = row.part;
    tell(one, `${one.note}${row.stage || "being transcribed"}`);
  }
};

$("files").addEventListener("change", (event) => { add([...event.target.files]); event.target.value = ""; });
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  add([...event.dataTransfer.files]);
});
addEventListener("beforeunload", (event) => { if (sending) event.preventDefault(); });

// ---- how the work goes

const SVG = "http://www.w3.org/2000/svg";
const shape = (tag, attributes) => {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  return node;
};
const drawing = (label, ...shapes) => {
  const svg = shape("svg", { viewBox: "0 0 300 60", preserveAspectRatio: "none", role: "img", "aria-label": label });
  svg.append(...shapes);
  return svg;
};
const scale = (left, right, ...legend) => h("div", { class: "scale" }, h("span", {}, left), h("span", { class: "legend" }, ...legend), h("span", {}, right));

const plotWaiting = (points, away) => {
  if (points.length < 2) {
    $("plot-waiting").replaceChildren(away ? "" : h("p", { class: "under" }, "The plot begins in a moment."));
    return;
  }
  const [first, last] = [points[0][0], points.at(-1)[0]];
  const x = (time) => (300 * (time - first)) / Math.max(1, last - first);
  const line = (at) => {
    const most = Math.max(1, ...points.map((point) => point[at]));
    return points.map((point) => `${x(point[0]).toFixed(1)},${(57 - (52 * point[at]) / most).toFixed(1)}`).join(" ");
  };
  const most = Math.max(...points.map((point) => point[1])), audio = Math.max(...points.map((point) => point[2]));
  $("plot-waiting").replaceChildren(
    drawing(`Files that wait, at most ${most}, and hours of audio, at most ${hours(audio)}`,
      shape("polygon", { class: "area", points: `0,57 ${line(1)} 300,57` }),
      shape("polyline", { class: "line first", points: line(1) }),
      shape("polyline", { class: "line second", points: line(2) })),
    scale(`${hours(Date.now() / 1000 - first)} ago`, "now", h("span", { class: "key first" }, `files ≤ ${number.format(most)}`), h("span", { class: "key second" }, `audio ≤ ${audio ? hours(audio) : "0"}`)),
  );
};
const plotFinished = (steps, seconds) => {
  const most = Math.max(1, ...steps), width = 300 / steps.length;
  $("plot-finished").replaceChildren(
    drawing(`Transcripts finished in steps of ${seconds / 60} minutes, at most ${most}`, ...steps.map((count, at) =>
      shape("rect", { class: count ? "bar-on" : "bar-off", x: at * width + 1, width: width - 2, y: count ? 57 - (52 * count) / most : 56, height: count ? (52 * count) / most : 1 }))),
    scale(`${(steps.length * seconds) / 3600} h ago`, "now", h("span", { class: "key first" }, `≤ ${number.format(most)} in ${seconds / 60} min`)),
  );
};
const feel = async () => {
  let told;
  try {
    told = await ask("GET", "/api/pulse");
  } catch {
    return; // the list says what is out of reach
  }
  $("pulse").hidden = false;
  const away = told.error !== null;
  $("waiting").textContent = told.files === null ? "–" : many(told.files, "file", "files");
  $("waiting-under").textContent = away ? told.error.message
    : told.broker === false ? "no broker can be seen from here"
    : told.files ? [told.audio && `${told.estimate ? "about " : ""}${hours(told.audio)} of audio`, told.left && `done in about ${hours(told.left)}`].filter(Boolean).join(", ")
    : "nothing waits";
  $("waiting-under").classList.toggle("wrong", away);
  plotWaiting(told.points, away);
  const steps = told.finished;
  $("finished").textContent = steps ? many(steps.reduce((sum, one) => sum + one, 0), "file", "files") : "–";
  $("finished-under").textContent = steps ? `in the last ${(steps.length * told.step) / 3600} hours${told.speed ? `, at ${told.speed.toFixed(told.speed < 10 ? 1 : 0)}× real time` : ""}` : "";
  if (steps) plotFinished(steps, told.step);
  const hubs = told.hubs ?? [];
  const engines = hubs.reduce((sum, hub) => sum + hub.engines, 0), running = hubs.reduce((sum, hub) => sum + hub.running, 0);
  $("hubs").textContent = told.hubs ? many(hubs.length, "hub", "hubs") : "–";
  $("hubs-under").textContent = hubs.length ? `${many(running, "job", "jobs")} under way on ${many(engines, "engine", "engines")}` : told.hubs ? "none runs: what is added waits for one" : "";
  $("hub-list").replaceChildren(...hubs.slice(0, 6).map((hub) => h("li", { class: hub.trouble ? "wrong" : "" }, h("bdi", {}, hub.host), h("span", {}, hub.trouble || `${many(hub.running, "job", "jobs")}, ${many(hub.engines, "engine", "engines")}`))));
};

// ---- begin

const languages = () => {
  const called = new Intl.DisplayNames("en", { type: "language" });
  const named = session.languages.map((code) => [called.of(code), code]);
  return named.sort(([one], [other]) => one.localeCompare(other, "en")).map(([name, code]) => h("option", { value: code }, name));
};

whoever(() => {
  $("drop").hidden = false;
  $("drop-writable").hidden = !session.signed_in;
  $("drop-readonly").hidden = session.signed_in;
  $("drop-readonly").replaceChildren(...(session.can_sign_in
    ? [h("button", { type: "button", class: "button main", onclick: signIn }, "Sign in"), " to add recordings, name speakers and retry."]
    : ["This page only shows. Whoever runs it can let people add recordings by setting ", h("code", {}, "LFK_WEB_TOKEN"), "."]));
  $("limit").textContent = `at most ${bytes(session.max_upload)} each`;
  $("files").accept = session.suffixes.map((suffix) => `.${suffix}`).join(",");
  if (!$("approach").options.length) {
    for (const [id, names, chosen] of [["approach", session.approaches, session.approach], ["model", session.models, session.model]]) {
      $(id).append(...names.map((name) => h("option", { selected: name === chosen }, name)));
      $(`only-${id}`).append(...names.map((name) => h("option", { value: name }, name)));
    }
    $("language").append(h("option", { value: session.several_languages }, "several languages"), ...languages());
    $("speakers").max = session.most_speakers;
    offer();
  }
  if (!$("empty").hidden) emptiness();
  show(rows);
});
const round = async () => {
  if (document.visibilityState === "visible") await Promise.all([session.suffixes ? null : meet().catch(trouble), look(), feel()]);
  setTimeout(round, lively ? LIVELY : CALM);
};
round();
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") look(); });
