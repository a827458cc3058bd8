"use strict";
// Plays the recording beside the transcript. Builds no markup from text, so nothing in a transcript can become code.
(() => {
  const STEP = 5; // seconds that the arrow keys jump
  const LINGER = 0.3; // seconds that a word stays marked when silence follows
  const MOST_HITS = 5000; // more marks than this tell a reader nothing
  const $ = (id) => document.getElementById(id);
  const media = $("media"), player = $("player"), seek = $("seek"), find = $("find"), tally = $("tally"), follow = $("follow");
  const main = document.querySelector("main");
  const blocks = [...main.querySelectorAll(".block")];

  // Words in order of the page, and again in order of time (people may speak at once).
  const words = [...main.querySelectorAll("[data-t]")].map((node) => {
    const [start, end] = node.dataset.t.split(" ").map((ms) => Number(ms) / 1000);
    return { node, start, end, block: node.closest(".block") };
  });
  const timed = [...words].sort((a, b) => a.start - b.start);

  const clock = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    const two = (n) => String(n).padStart(2, "0");
    return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  };
  const length = () => (Number.isFinite(media.duration) ? media.duration : Number(main.dataset.seconds));

  // ---- the recording: named in the address, else where the page says, else chosen by the reader

  const permitted = (text) => {
    try {
      const url = new URL(text, location.href);
      return ["http:", "https:", "file:"].includes(url.protocol) ? url.href : "";
    } catch {
      return "";
    }
  };
  const address = () => {
    // A presigned link is full of & and =, so in the fragment everything behind audio= belongs to it.
    const [, time = "", rest = ""] = /^#(?:t=([\d.]+))?&?(?:audio=(.+))?$/.exec(location.hash) ?? [];
    let audio = rest;
    if (rest && !rest.includes("://")) {
      try { audio = decodeURIComponent(rest); } catch { audio = ""; }
    }
    return { time: Number(time), audio: audio || new URLSearchParams(location.search).get("audio") || "" };
  };

  let wanted = null; // where to go once the recording is there: {time, play}
  let chosen = ""; // object URL of a file that the reader chose
  const named = `\u2068${main.dataset.title}\u2069`; // isolated: the name may run right to left
  const say = (text) => { $("say").textContent = text; };

  const picture = (there) => {
    media.hidden = !there;
    document.body.classList.toggle("watching", there);
  };
  let places = []; // where else to look
  const load = (url) => {
    player.classList.remove("waiting", "asked");
    say("");
    media.src = url;
  };
  const missing = (text) => {
    player.classList.add("waiting");
    picture(false);
    say(text);
  };
  const open = (file) => {
    if (chosen) URL.revokeObjectURL(chosen);
    places = [];
    chosen = URL.createObjectURL(file);
    load(chosen);
  };
  media.addEventListener("error", () => {
    const next = places.shift();
    if (next) load(next);
    else missing(chosen ? "This browser cannot play that file." : `To listen, choose ${named} or drop it here.`);
  });
  media.addEventListener("loadedmetadata", () => {
    picture(media.videoWidth > 0);
    seek.max = length();
    if (wanted) {
      media.currentTime = wanted.time;
      if (wanted.play) start();
      wanted = null;
    }
    show();
  });
  $("file").addEventListener("change", (event) => {
    if (event.target.files[0]) open(event.target.files[0]);
  });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      document.body.classList.add("dropping");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });

  // ---- playing

  const start = () => media.play().catch((problem) => {
    if (problem.name === "NotAllowedError") say("Press play to listen.");
  });
  const toggle = () => {
    if (player.classList.contains("waiting")) ask();
    else if (media.paused) start();
    else media.pause();
  };
  const ask = () => {
    player.classList.remove("asked");
    void player.offsetWidth; // restarts the animation
    player.classList.add("asked");
  };
  const go = (time, play = false) => {
    const to = Math.min(Math.max(0, time), length() || time);
    following = true;
    if (media.readyState === 0) {
      wanted = { time: to, play };
      if (player.classList.contains("waiting")) ask();
      show(to);
      return;
    }
    media.currentTime = to;
    if (play) start();
    show(to);
  };
  const byBlock = (direction) => {
    const starts = blocks.map((block) => Number(block.dataset.from) / 1000);
    const now = media.currentTime;
    const next = direction > 0 ? starts.find((at) => at > now + 0.05) : starts.filter((at) => at < now - 1).pop() ?? 0;
    if (next !== undefined) go(next);
  };

  // ---- marking what is being said

  let current = null, active = null, following = true;
  const at = (time) => {
    let low = 0, high = timed.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (timed[middle].start <= time) low = middle + 1;
      else high = middle;
    }
    return timed[low - 1] ?? null;
  };
  const show = (time = media.currentTime) => {
    seek.value = time;
    seek.setAttribute("aria-valuetext", clock(time));
    $("passed").textContent = clock(time);
    $("whole").textContent = clock(length());
    const word = at(time);
    const spoken = word && time < word.end + LINGER ? word.node : null;
    if (spoken !== current) {
      current?.classList.remove("now");
      spoken?.classList.add("now");
      current = spoken;
    }
    const block = word?.block ?? null;
    if (block !== active) {
      active?.classList.remove("now");
      block?.classList.add("now");
      active = block;
    }
    if (word && following) reveal(word.node);
    follow.hidden = following || !word || media.paused;
  };
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const reveal = (node) => {
    const box = node.getBoundingClientRect();
    if (box.top > 90 && box.bottom < innerHeight - player.offsetHeight - 40) return;
    node.scrollIntoView({ block: "center", behavior: calm.matches ? "auto" : "smooth" });
  };
  const tick = () => {
    show();
    if (!media.paused) requestAnimationFrame(tick);
  };
  media.addEventListener("play", () => { player.classList.add("playing"); $("play").setAttribute("aria-label", "Pause"); tick(); });
  media.addEventListener("pause", () => { player.classList.remove("playing"); $("play").setAttribute("aria-label", "Play"); show(); });
  media.addEventListener("seeked", () => show());
  for (const kind of ["wheel", "touchmove"]) addEventListener(kind, () => { following = false; }, { passive: true });
  follow.addEventListener("click", () => { following = true; show(); });

  main.addEventListener("click", (event) => {
    const link = event.target.closest(".time");
    if (link) {
      event.preventDefault();
      go(Number(link.closest(".block").dataset.from) / 1000, true);
      return;
    }
    const node = event.target.closest("[data-t]");
    if (node && getSelection().isCollapsed) go(Number(node.dataset.t.split(" ")[0]) / 1000, true);
  });
  $("play").addEventListener("click", toggle);
  $("back").addEventListener("click", () => go(media.currentTime - STEP));
  $("ahead").addEventListener("click", () => go(media.currentTime + STEP));
  $("rate").addEventListener("change", (event) => { media.playbackRate = media.defaultPlaybackRate = Number(event.target.value); });
  seek.addEventListener("input", () => go(Number(seek.value)));

  // ---- speakers

  const chips = [...document.querySelectorAll(".speakers button")];
  for (const chip of chips) {
    chip.disabled = false;
    chip.addEventListener("click", () => {
      const only = chip.getAttribute("aria-pressed") !== "true";
      for (const other of chips) other.setAttribute("aria-pressed", String(only && other === chip));
      for (const block of blocks) block.classList.toggle("faded", only && block.dataset.speaker !== chip.dataset.speaker);
    });
  }

  // ---- search: without regard to case and accents, across words

  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  let index = null; // the whole text and where in it each word ends
  let hits = [], hit = -1;
  const indexed = () => {
    if (index) return index;
    let text = "";
    const ends = words.map((word) => {
      const before = word.node.previousSibling;
      if (text && (!before || before.nodeType === Node.TEXT_NODE)) text += " ";
      text += plain(word.node.textContent);
      return text.length;
    });
    return (index = { text, ends });
  };
  const search = () => {
    for (const word of hits.flat()) word.node.classList.remove("hit", "found");
    for (const mark of document.querySelectorAll(".mark")) mark.remove();
    hits = [];
    hit = -1;
    const sought = plain(find.value).trim().replace(/\s+/g, " ");
    if (!sought) {
      tally.textContent = "";
      return;
    }
    const { text, ends } = indexed();
    let word = 0;
    for (let from = text.indexOf(sought); from >= 0 && hits.length < MOST_HITS; from = text.indexOf(sought, from + sought.length)) {
      while (ends[word] <= from) word += 1;
      const found = [words[word]];
      for (let more = word; ends[more] < from + sought.length; more += 1) found.push(words[more + 1]);
      hits.push(found);
    }
    for (const found of hits) for (const each of found) each.node.classList.add("hit");
    mark();
    step(1);
  };
  const mark = () => {
    const map = $("map");
    const [, , width, height] = map.getAttribute("viewBox").split(" ").map(Number);
    for (const [first] of hits) {
      const tick = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const place = { class: "mark", x: first.start * 1000, y: 0, width: width / 500, height };
      for (const [name, value] of Object.entries(place)) tick.setAttribute(name, value);
      map.append(tick);
    }
  };
  const step = (direction) => {
    for (const word of hits[hit] ?? []) word.node.classList.remove("found");
    if (!hits.length) {
      tally.textContent = find.value.trim() ? "not found" : "";
      return;
    }
    hit = (hit + direction + hits.length) % hits.length;
    for (const word of hits[hit]) word.node.classList.add("found");
    tally.textContent = `${hit + 1} of ${hits.length}`;
    following = false;
    reveal(hits[hit][0].node);
  };
  find.addEventListener("input", search);
  find.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      step(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      find.value = "";
      search();
      find.blur();
    }
  });

  // ---- keys

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const busy = event.target !== seek && event.target.closest("input, select, textarea");
    if (busy) return;
    const act = {
      " ": event.target.closest("button, a, label") ? null : toggle,
      "/": () => { find.focus(); find.select(); },
      ArrowLeft: () => (event.shiftKey ? byBlock(-1) : go(media.currentTime - STEP)),
      ArrowRight: () => (event.shiftKey ? byBlock(1) : go(media.currentTime + STEP)),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  // ---- begin

  const begin = () => {
    const { time, audio } = address();
    if (time) go(time);
    places = (audio ? [audio] : [main.dataset.audio, main.dataset.beside]).map(permitted).filter(Boolean);
    const url = places.shift();
    if (url && url !== media.src) load(url);
    else if (!url) missing(`That address is not one of a recording. Choose ${named} or drop it here.`);
  };
  document.body.classList.add("ready");
  player.hidden = false;
  $("finder").hidden = false;
  media.defaultPlaybackRate = Number($("rate").value);
  addEventListener("hashchange", begin);
  show(0);
  begin();
})();
