// Reports the cells that were really on the screen: at least 96 pixels wide, 60 % visible, for a second.
"use strict";

const LOOK = { width: 96, share: 0.6, seconds: 1.0, every: 1500 };

class Looking {
  constructor(send) {
    this.send = send;
    this.timers = new Map();
    this.found = new Set();
    this.told = new Set();
    this.tiles = [];
    // What lies under the bars at the top and at the bottom is not seen.
    new ResizeObserver(() => this.observe()).observe(document.getElementById("palette"));
    setInterval(() => this.flush(), LOOK.every);
    document.addEventListener("visibilitychange", () => { if (document.hidden) this.stop(); else this.again(); });
  }

  watch(tiles) { this.tiles = tiles; this.observe(); }

  observe() {
    if (this.observer) this.observer.disconnect();
    this.stop();
    const top = document.querySelector(".top").offsetHeight;
    const bottom = document.getElementById("palette").offsetHeight;
    this.observer = new IntersectionObserver((seen) => seen.forEach((each) => this.seen(each)), {
      rootMargin: `-${top}px 0px -${bottom}px 0px`,
      threshold: [0, LOOK.share, 1],
    });
    for (const tile of this.tiles) {
      if (!tile.classList.contains("looked") && !this.told.has(Number(tile.dataset.id))) this.observer.observe(tile.querySelector(".crop"));
    }
  }

  // Nothing behind a dialog is looked at.
  get covered() { return document.hidden || document.querySelector("dialog[open]") !== null; }

  seen(entry) {
    const tile = entry.target.closest(".tile");
    const enough = entry.intersectionRatio >= LOOK.share && entry.boundingClientRect.width >= LOOK.width;
    if (enough) this.begin(tile); else this.end(tile);
  }

  begin(tile) {
    const id = Number(tile.dataset.id);
    if (this.told.has(id) || this.timers.has(id) || tile.classList.contains("looked")) return;
    this.timers.set(id, setTimeout(() => {
      this.timers.delete(id);
      const image = tile.querySelector("img");
      if (this.covered || !image.complete || !image.naturalWidth) {
        this.observer.unobserve(image.parentElement);
        setTimeout(() => this.observer.observe(image.parentElement), 400);
        return;
      }
      this.found.add(id);
    }, 1000 * LOOK.seconds));
  }

  end(tile) {
    const id = Number(tile.dataset.id);
    clearTimeout(this.timers.get(id));
    this.timers.delete(id);
  }

  // A cell that was shown large, by itself.
  shown(id) { this.found.add(id); }

  stop() { this.timers.forEach((timer) => clearTimeout(timer)); this.timers.clear(); }

  again() { this.observe(); }

  async flush() {
    const cells = [...this.found].filter((id) => !this.told.has(id));
    if (!cells.length) return;
    if (await this.send(cells)) {
      cells.forEach((id) => { this.told.add(id); this.found.delete(id); });
    }
  }
}
