// Codes that let other devices in.
"use strict";

document.getElementById("make").addEventListener("click", async () => {
  try {
    const made = await post("/api/tokens", {});
    const code = document.getElementById("code");
    code.innerHTML = made.svg;
    code.firstElementChild.setAttribute("role", "img");
    code.firstElementChild.setAttribute("aria-label", t("QR code with the address"));
    const text = document.createElement("p");
    const shown = document.createElement("code");
    shown.textContent = made.address;
    text.append(shown);
    code.append(text);
  } catch (error) {
    say(error.message, true);
  }
});
document.getElementById("leave").addEventListener("click", async () => {
  await post("/api/leave", {}).catch(() => {});
  location.assign("/enter");
});
