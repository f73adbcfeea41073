// The list of slides: verdict and review of each, asked for one after another as its row comes into view.
"use strict";

const waiting = new Set();
let asking = false;

async function ask() {
  if (asking) return;
  asking = true;
  while (waiting.size) {
    const row = waiting.values().next().value;
    waiting.delete(row);
    const [verdict, review] = [row.querySelector(".mark"), row.querySelector(".review-state")];
    try {
      const told = await answered(fetch(`/slides/${encodeURIComponent(row.dataset.session)}/standing`));
      verdict.textContent = told.title;
      verdict.classList.add(told.code);
      review.textContent = told.review;
    } catch {
      review.textContent = t("verdict: open the slide");
    }
  }
  asking = false;
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) {
      seen.unobserve(entry.target);
      waiting.add(entry.target);
    }
  }
  ask();
});
for (const row of document.querySelectorAll(".slides a[data-session]")) seen.observe(row);
