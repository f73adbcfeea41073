// Lets a browser in. The token stands behind the # of the address, which no browser sends or keeps in a log.
"use strict";

const problem = document.getElementById("enter-problem");

async function enter(token) {
  problem.textContent = "";
  let response;
  try {
    response = await fetch("/api/enter", {
      method: "POST",
      headers: { "content-type": "application/json", "x-csrf-token": "entering" },
      body: JSON.stringify({ token }),
    });
  } catch {
    problem.textContent = t("The server does not answer. Is this device in its network?");
    return;
  }
  if (response.ok) {
    location.replace("/");
    return;
  }
  const body = await response.json().catch(() => ({}));
  problem.textContent = body.error ? body.error.text : t("That did not work. Scan the newest code.");
}

const given = location.hash.slice(1);
if (given) {
  history.replaceState(null, "", "/enter");
  enter(given);
}
document.getElementById("enter-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const typed = document.getElementById("token").value.trim();
  enter(typed.slice(typed.lastIndexOf("#") + 1));
});
