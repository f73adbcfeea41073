// Sends pictures one after another, and shows what became of each.
"use strict";

const form = document.getElementById("slide-form");
const list = document.getElementById("taken");
const result = document.getElementById("result");
let session = form.dataset.session;
let queue = Promise.resolve();

function query(file) {
  const asked = new URLSearchParams({ name: file.name || "picture.jpg" });
  if (session) {
    asked.set("session", session);
  } else {
    asked.set("slide", document.getElementById("slide").value.trim());
    asked.set("mag", document.getElementById("mag").value);
    const um = document.getElementById("um").value.trim().replace(",", ".");
    if (um) asked.set("um_per_px", um);
  }
  return asked;
}

function rowFor(file) {
  const row = document.createElement("li");
  const image = document.createElement("img");
  image.alt = "";
  const address = URL.createObjectURL(file);
  image.src = address;
  image.addEventListener("load", () => URL.revokeObjectURL(address));
  image.addEventListener("error", () => image.remove());
  const text = document.createElement("div");
  const name = document.createElement("p");
  name.className = "name";
  name.textContent = file.name || t("picture");
  const state = document.createElement("p");
  state.textContent = t("waiting");
  text.append(name, state);
  row.append(image, text);
  list.append(row);
  return { row, state };
}

function send(file, { row, state }) {
  return new Promise((done) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/pictures?${query(file)}`);
    request.setRequestHeader("x-csrf-token", csrf);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) state.textContent = t("sending, {n} %", { n: Math.round((100 * event.loaded) / event.total) });
    });
    request.upload.addEventListener("load", () => { state.textContent = t("looking at it ..."); });
    request.addEventListener("load", () => {
      if (request.status === 401) { location.assign("/enter"); return; }
      let body = {};
      try { body = JSON.parse(request.responseText); } catch { body = {}; }
      if (request.status >= 400 || !body.session) {
        row.classList.add("bad");
        state.textContent = body.error ? body.error.text : t("The server could not take it. Try again.");
        if (body.error && body.error.session) follow(body.error.session);
      } else {
        show(body, row, state);
      }
      done();
    });
    const gone = () => {
      row.classList.add("bad");
      state.textContent = t("The connection broke. Check the network and send it again.");
      done();
    };
    request.addEventListener("error", gone);
    request.addEventListener("timeout", gone);
    request.timeout = 330000;
    state.textContent = t("sending");
    request.send(file);
  });
}

function follow(id) {
  session = id;
  history.replaceState(null, "", `/camera?session=${encodeURIComponent(id)}`);
  for (const each of form.querySelectorAll(".fields input, .fields select")) each.disabled = true;
}

function show(body, row, state) {
  follow(body.session);
  state.textContent = body.text;
  row.classList.toggle("bad", !body.counted);
  result.innerHTML = body.summary;
  const review = document.createElement("a");
  review.className = "button main";
  review.href = `/slides/${encodeURIComponent(session)}`;
  review.textContent = t("Look at the cells");
  result.append(review);
  if (body.remark) say(body.remark);
}

function take(files) {
  for (const file of files) {
    const shown = rowFor(file);
    const most = Number(form.dataset.most);
    if (file.size > most) {
      shown.row.classList.add("bad");
      shown.state.textContent = t("It has {n} MB; {most} MB are taken. Send it smaller.", { n: Math.round(file.size / 1e6), most: Math.round(most / 1e6) });
      continue;
    }
    queue = queue.then(() => send(file, shown));
  }
}

for (const id of ["take", "choose"]) {
  document.getElementById(id).addEventListener("change", (event) => {
    take([...event.target.files]);
    event.target.value = "";
  });
}
form.addEventListener("submit", (event) => event.preventDefault());
