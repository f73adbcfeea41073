// Requests to the server, messages, and who reviews. No library, nothing from elsewhere.
"use strict";

const csrf = document.querySelector('meta[name="csrf"]').content;
const saidBox = document.getElementById("said");
let saidTimer = 0;

function say(text, bad = false) {
  clearTimeout(saidTimer);
  // Inside an open dialog, since nothing outside one can be seen.
  const dialog = [...document.querySelectorAll("dialog[open]")].pop();
  (dialog || document.body).append(saidBox);
  saidBox.textContent = text;
  saidBox.classList.toggle("bad", bad);
  if (text) saidTimer = setTimeout(() => { saidBox.textContent = ""; }, bad ? 9000 : 3500);
}

class Refused extends Error {
  constructor(code, text) { super(text); this.code = code; }
}

async function answered(request) {
  let response;
  try {
    response = await request;
  } catch {
    throw new Refused("gone", t("The server does not answer. Is edgeleuk serve still running, and this device in its network?"));
  }
  if (response.status === 401) {
    location.assign("/enter");
    throw new Refused("no_session", t("This browser has to be let in again."));
  }
  const type = response.headers.get("content-type") || "";
  const body = type.startsWith("application/json") ? await response.json() : {};
  if (!response.ok) {
    const error = body.error || { code: "fault", text: t("The server could not do that. Load the page again.") };
    throw new Refused(error.code, error.text);
  }
  return body;
}

function post(path, body) {
  return answered(fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-csrf-token": csrf },
    body: JSON.stringify(body),
  }));
}

async function fragment(path) {
  const response = await fetch(path).catch(() => null);
  if (!response || !response.ok) throw new Refused("gone", t("That cannot be shown now. Load the page again."));
  return response.text();
}

const whoButton = document.getElementById("who");
const whoDialog = document.getElementById("ask-who");
let whoWaiting = [];

function reviewer() { return whoButton.dataset.name; }

// Resolves with the reviewer's name; asks for it where it is not known.
function needReviewer(again = false) {
  if (reviewer() && !again) return Promise.resolve(reviewer());
  return new Promise((resolve, reject) => {
    whoWaiting.push({ resolve, reject });
    if (!whoDialog.open) whoDialog.showModal();
    document.getElementById("who-input").focus();
  });
}

whoButton.addEventListener("click", () => { needReviewer(true).catch(() => {}); });
document.getElementById("who-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = document.getElementById("who-problem");
  const pin = document.getElementById("who-pin");
  problem.textContent = "";
  try {
    const done = await post("/api/operator", { name: document.getElementById("who-input").value, pin: pin ? pin.value : "" });
    whoButton.dataset.name = done.name;
    document.getElementById("who-name").textContent = done.name;
    const waiting = whoWaiting;
    whoWaiting = [];
    whoDialog.close();
    waiting.forEach((each) => each.resolve(done.name));
  } catch (error) {
    problem.textContent = error.message;
  }
  if (pin) pin.value = "";
});
whoDialog.addEventListener("close", () => {
  whoWaiting.forEach((each) => each.reject(new Refused("no_name", t("Nothing was changed: no name was given."))));
  whoWaiting = [];
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-close]");
  if (button) button.closest("dialog").close();
});
