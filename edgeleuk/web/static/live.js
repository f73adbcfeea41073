// View of a running count: its picture, its tally, and the same requests that its keys make.
"use strict";

const frame = document.getElementById("frame");
const tally = document.getElementById("tally");
let number = 0;
let shownHtml = "";

const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

async function frames() {
  for (;;) {
    if (document.hidden) { await sleep(500); continue; }
    try {
      const response = await fetch(`/live/frame.jpg?after=${number}`);
      if (response.status === 401) { location.assign("/enter"); return; }
      if (response.status === 200) {
        number = Number(response.headers.get("x-frame"));
        const old = frame.src;
        frame.src = URL.createObjectURL(await response.blob());
        frame.hidden = false;
        if (old.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(old), 1000);
      }
      await sleep(response.status === 200 ? 80 : 500);
    } catch {
      document.getElementById("word").textContent = t("no connection");
      await sleep(1500);
    }
  }
}

async function states() {
  for (;;) {
    if (!document.hidden) {
      try {
        const state = await answered(fetch("/api/live"));
        if (!state.starting) show(state);
      } catch (error) {
        document.getElementById("word").textContent = error.message;
        await sleep(1500);
      }
    }
    await sleep(600);
  }
}

function show(state) {
  document.getElementById("word").textContent = state.text;
  document.getElementById("message").textContent = state.message;
  document.getElementById("pause").textContent = state.paused ? t("Go on") : t("Pause");
  document.getElementById("count").hidden = !state.manual;
  document.getElementById("next").hidden = !state.next_slide;
  if (state.html !== shownHtml) {
    shownHtml = state.html;
    tally.innerHTML = state.html;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-command], [data-artefact]");
  if (!button) return;
  const body = button.dataset.command ? { command: button.dataset.command } : { command: "artefact", cell: Number(button.dataset.artefact) };
  try {
    await post("/api/live/commands", body);
  } catch (error) {
    say(error.message, true);
  }
});

const nextDialog = document.getElementById("ask-next");
document.getElementById("next").addEventListener("click", () => {
  document.getElementById("next-input").value = "";
  document.getElementById("next-problem").textContent = "";
  nextDialog.showModal();
});
document.getElementById("next-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await post("/api/live/commands", { command: "next_slide", text: document.getElementById("next-input").value });
    nextDialog.close();
  } catch (error) {
    document.getElementById("next-problem").textContent = error.message;
  }
});
frames();
states();
