// The gallery of one slide: choosing, classifying by key or touch, undo, notes, signature.
"use strict";

const page = document.getElementById("slide");
const base = `/api/slides/${encodeURIComponent(page.dataset.session)}`;
const tiles = [...document.querySelectorAll(".tiles .tile")];
const chosen = new Set();
const panel = document.getElementById("panel");
const panelBody = document.getElementById("panel-body");
const letters = new Map();
for (const button of document.querySelectorAll("#palette [data-letter]")) {
  if (button.dataset.letter) letters.set(button.dataset.letter, button.dataset.label);
}
let current = null;
let open = null; // cell or field in the panel: {cell} or {field}
let work = Promise.resolve();

const last = () => Number(page.dataset.last);
const signed = () => page.dataset.signed === "yes";
const running = () => page.dataset.running === "yes";

// One request after another, in the order of the keys.
function then(action) {
  work = work.then(action).catch((error) => {
    if (error.code !== "no_name" || error.message) say(error.message, error.code !== "no_name");
  });
  return work;
}

function tileOf(id) { return document.getElementById(`cell-${id}`); }

function dressed(cell) {
  const tile = tileOf(cell.id);
  if (!tile) return;
  tile.dataset.label = cell.label;
  tile.classList.toggle("changed", cell.changed);
  tile.classList.toggle("flagged", cell.flagged);
  tile.classList.toggle("looked", cell.looked_at);
  tile.querySelector(".name").textContent = cell.name;
  tile.querySelector(".sure").textContent = cell.sure;
  tile.querySelector(".dot circle").setAttribute("fill", cell.colour);
  tile.querySelector(".was").textContent = cell.changed ? t("program: {name}", { name: cell.program }) : "";
  const about = [t("cell {n}, {name}", { n: cell.id, name: cell.name })];
  if (cell.changed) about.push(t("program: {name}", { name: cell.program }));
  if (cell.flagged) about.push(t("flagged"));
  tile.setAttribute("aria-label", about.join(t(", ")));
}

// Takes over what an action changed; scroll and focus stay where they are.
function took(done) {
  done.cells.forEach(dressed);
  document.getElementById("summary").innerHTML = done.summary;
  document.getElementById("state").innerHTML = done.state;
  if (done.by_hand !== null) {
    if (current && current.classList.contains("hand")) makeCurrent(null);
    document.getElementById("by-hand-list").innerHTML = done.by_hand;
    document.getElementById("by-hand").hidden = !done.by_hand.trim();
  }
  page.dataset.last = done.last;
  page.dataset.signed = done.signed ? "yes" : "";
  buttons();
}

function act(name, body) {
  return then(async () => {
    if (running()) throw new Refused("running", t("This slide is being counted now. Review it when the count is over."));
    await needReviewer();
    took(await post(`${base}/${name}`, { ...body, last: last() }));
  });
}

function buttons() {
  document.getElementById("sign").hidden = signed();
  document.getElementById("amend").hidden = !signed();
  for (const id of ["undo", "note"]) document.getElementById(id).hidden = signed();
  for (const id of ["undo", "note", "sign", "amend"]) document.getElementById(id).disabled = running();
}

// Choosing

function makeCurrent(tile, focus = true) {
  if (current) { current.tabIndex = -1; current.classList.remove("current"); }
  current = tile;
  if (!tile) return told();
  tile.tabIndex = 0;
  tile.classList.add("current");
  if (focus) {
    tile.focus({ preventScroll: true });
    const box = tile.getBoundingClientRect();
    const low = innerHeight - document.getElementById("palette").offsetHeight;
    if (box.top < document.querySelector(".top").offsetHeight || box.bottom > low) tile.scrollIntoView({ block: "center" });
  }
  told();
}

function toggle(tile, on = !chosen.has(tile)) {
  tile.setAttribute("aria-selected", String(on));
  if (on) chosen.add(tile); else chosen.delete(tile);
  told();
}

function clear() { [...chosen].forEach((tile) => toggle(tile, false)); }

function targets() {
  if (panel.open && open && open.cell) return [open.cell];
  const some = chosen.size ? tiles.filter((tile) => chosen.has(tile)) : current ? [current] : [];
  return some.map((tile) => Number(tile.dataset.id));
}

function told() {
  const some = targets();
  document.getElementById("selected").textContent = some.length > 1 ? t("{n} cells chosen:", { n: some.length })
    : some.length ? (some[0] < 0 ? t("Cell added by hand:") : t("Cell {n}:", { n: some[0] })) : t("No cell chosen.");
  document.getElementById("palette").classList.toggle("idle", some.length === 0);
}

function range(to) {
  const from = tiles.indexOf(current || to);
  const until = tiles.indexOf(to);
  for (let i = Math.min(from, until); i <= Math.max(from, until); i += 1) toggle(tiles[i], true);
}

function beside(key) {
  if (!current) return tiles[0];
  const at = tiles.indexOf(current);
  const forward = document.documentElement.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
  if (key === forward) return tiles[at + 1];
  if (key === "ArrowLeft" || key === "ArrowRight") return tiles[at - 1];
  if (key === "Home") return tiles[0];
  if (key === "End") return tiles[tiles.length - 1];
  const box = current.getBoundingClientRect();
  const middle = box.left + box.width / 2;
  const down = key === "ArrowDown";
  let best = null;
  let least = Infinity;
  const others = down ? tiles.slice(at + 1) : tiles.slice(0, at).reverse();
  for (const tile of others) {
    const other = tile.getBoundingClientRect();
    const away = down ? other.top - box.bottom : box.top - other.bottom;
    if (away < -4) continue;
    const cost = away * 10 + Math.abs(other.left + other.width / 2 - middle);
    if (cost < least) { least = cost; best = tile; }
    else if (away > 700) break;
  }
  return best;
}

function give(label) {
  const cells = targets();
  if (signed()) { say(t("This result is signed. Amend opens a new revision, which can be changed.")); return; }
  if (!cells.length) { say(t("Choose a cell first: click it, or use the arrow keys.")); return; }
  act("reclassify", { cells, label: label || null }).then(() => { clear(); if (panel.open && open) refresh(); });
}

// The panel of a cell or a field

async function show(what) {
  open = what;
  const path = what.cell ? `/slides/${page.dataset.session}/cells/${what.cell}` : `/slides/${page.dataset.session}/fields/${what.field}`;
  let body;
  try {
    body = await fragment(path);
  } catch (error) {
    say(error.message, true);
    return;
  }
  if (open !== what) return; // closed meanwhile, or something else is to be shown
  panelBody.innerHTML = body;
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
  told();
  if (what.cell) setTimeout(() => { if (panel.open && open === what && !document.hidden) looking.shown(what.cell); }, 1000);
}

function refresh() {
  const at = panel.scrollTop;
  return show(open).then(() => { panel.scrollTop = at; });
}

panel.addEventListener("close", () => { open = null; told(); if (current) current.focus({ preventScroll: true }); looking.again(); });

function clickedField(event) {
  const picture = event.target.closest("#field-picture");
  if (!picture || !open || !open.field) return;
  const box = event.target.closest(".box[data-id]");
  if (box) { show({ cell: Number(box.dataset.id) }); return; }
  if (!document.getElementById("add-choices")) return;
  if (signed()) { say(t("This result is signed. Amend opens a new revision, which can be changed.")); return; }
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
  open.at = { x: point.x, y: point.y };
  const side = 14; // um: a white cell
  const mark = document.getElementById("new-cell");
  mark.setAttribute("x", point.x - side / 2);
  mark.setAttribute("y", point.y - side / 2);
  mark.setAttribute("width", side);
  mark.setAttribute("height", side);
  mark.removeAttribute("hidden");
  document.getElementById("add-help").textContent = t("Which type is it?");
  document.getElementById("add-choices").hidden = false;
}

panelBody.addEventListener("click", (event) => {
  const field = event.target.closest("[data-field]:not(svg)");
  if (field) { show({ field: Number(field.dataset.field) }); return; }
  const add = event.target.closest("[data-add]");
  if (add && open && open.at) {
    const picture = document.getElementById("field-picture");
    const body = {
      label: add.dataset.add, field: open.field,
      x: open.at.x / Number(picture.dataset.across), y: open.at.y / Number(picture.dataset.down),
    };
    act("add", body).then(() => { if (panel.open && open) refresh(); });
    return;
  }
  clickedField(event);
});

// Mouse and touch

let pressed = 0;
let held = false;
for (const tile of tiles) {
  tile.addEventListener("pointerdown", () => {
    held = false;
    clearTimeout(pressed);
    pressed = setTimeout(() => { held = true; toggle(tile); makeCurrent(tile, false); }, 450);
  });
  for (const name of ["pointerup", "pointercancel", "pointermove", "pointerleave"]) {
    tile.addEventListener(name, (event) => {
      if (name !== "pointermove" || Math.abs(event.movementX) + Math.abs(event.movementY) > 6) clearTimeout(pressed);
    });
  }
  tile.addEventListener("contextmenu", (event) => { if (held) event.preventDefault(); });
  tile.addEventListener("click", (event) => {
    if (held) { held = false; return; }
    if (event.shiftKey) range(tile);
    else if (event.ctrlKey || event.metaKey || chosen.size) toggle(tile);
    else if (tile === current && event.detail < 2) { makeCurrent(tile); show({ cell: Number(tile.dataset.id) }); return; }
    makeCurrent(tile);
  });
}
document.querySelector(".side").addEventListener("click", (event) => {
  const field = event.target.closest("[data-field]");
  if (field) show({ field: Number(field.dataset.field) });
});
document.getElementById("palette").addEventListener("click", (event) => {
  const button = event.target.closest("[data-label]");
  if (button) give(button.dataset.label);
});
document.getElementById("by-hand-list").addEventListener("click", (event) => {
  const tile = event.target.closest(".hand");
  if (tile) makeCurrent(tile);
});

// Keys

document.addEventListener("keydown", (event) => {
  const dialog = document.querySelector("dialog[open]");
  if (event.target.closest("input, textarea, select") || (dialog && dialog !== panel)) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !event.altKey) {
    event.preventDefault();
    undo();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const onTile = event.target.closest(".tile") || event.target === document.body || event.target.id === "main";
  if (key === "z") undo();
  else if (letters.has(key)) give(letters.get(key));
  else if (key === "Delete") give("");
  else if (panel.open) return;
  else if (!onTile) return;
  else if (["ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", "Home", "End"].includes(key)) {
    const next = beside(key);
    if (next) { if (event.shiftKey) { if (current) toggle(current, true); toggle(next, true); } makeCurrent(next); }
  } else if (key === " " && current) toggle(current);
  else if (key === "Enter" && current) show({ cell: Number(current.dataset.id) });
  else if (key === "Escape") { if (chosen.size) clear(); else makeCurrent(null); }
  else return;
  event.preventDefault();
});

function undo() {
  if (signed()) { say(t("This result is signed. There is nothing to undo.")); return; }
  act("undo", {}).then(() => { if (panel.open && open) refresh(); });
}

// Notes, signature, amendment

const ask = document.getElementById("ask");
let answer = null;

function question({ title, text, name, yes, pin = false }) {
  document.getElementById("ask-title").textContent = title;
  document.getElementById("ask-text").textContent = text;
  document.getElementById("ask-name").textContent = name;
  document.getElementById("ask-yes").textContent = yes;
  document.getElementById("ask-pin-label").hidden = !pin;
  document.getElementById("ask-pin").value = "";
  document.getElementById("ask-input").value = "";
  document.getElementById("ask-problem").textContent = "";
  ask.showModal();
}

function asked(body, path) {
  answer = async (input, pin) => took(await post(`${base}/${path}`, { ...body(input, pin), last: last() }));
}

document.getElementById("ask-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = document.getElementById("ask-input").value.trim();
  const pin = document.getElementById("ask-pin").value;
  work = work.then(() => answer(input, pin)).then(
    () => { ask.close(); },
    (error) => { document.getElementById("ask-problem").textContent = error.message; },
  );
});

function opens(id, make) {
  document.getElementById(id).addEventListener("click", () => {
    needReviewer().then(make, (error) => say(error.message));
  });
}

const withPins = () => whoButton.dataset.operators !== "";
document.getElementById("undo").addEventListener("click", undo);
opens("note", () => {
  asked((text) => ({ text }), "note");
  question({ title: t("Write a note"), text: t("It is kept with the slide, under your name. No patient name."), name: t("Note"), yes: t("Keep") });
});
opens("sign", () => {
  const seen = last();
  asked((why, pin) => ({ why, pin, seen }), "sign");
  const left = tiles.filter((tile) => !tile.classList.contains("looked"));
  const open = left.filter((tile) => tile.classList.contains("flagged")).length;
  const unknown = left.filter((tile) => tile.dataset.label === "unclassified").length;
  const among = [open && t("{n} flagged", { n: open }), unknown && t("{n} not recognised", { n: unknown })].filter(Boolean).join(t(" and "));
  const unseen = among ? t("{n} of {of} cells were not looked at, {among} among them.", { n: left.length, of: tiles.length, among })
    : t("{n} of {of} cells were not looked at.", { n: left.length, of: tiles.length });
  question({
    title: t("Sign as {name}?", { name: reviewer() }),
    text: `${t("The result is frozen as it stands here; a later change opens a new revision.")}${left.length ? ` ${unseen}` : ""}`,
    name: t("Remark (may be empty)"), yes: t("Sign"), pin: withPins(),
  });
});
opens("amend", () => {
  asked((why) => ({ why }), "amend");
  question({ title: t("Amend the signed result?"), text: t("A new revision begins; the signed one stays as it is."), name: t("Why"), yes: t("Amend") });
});

// What was looked at

const looking = new Looking(async (cells) => {
  if (!reviewer() || signed() || running()) return false;
  let done = false;
  await then(async () => { took(await post(`${base}/look`, { cells, last: last() })); done = true; });
  return done;
});
looking.watch(tiles);
if (tiles.length) { tiles[0].tabIndex = 0; }
buttons();
told();
