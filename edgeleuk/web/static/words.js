// Texts in the language of the page. English is the key; the page brings the translations.
"use strict";

const words = JSON.parse(document.querySelector('meta[name="words"]').content);

function t(text, values = {}) {
  return (words[text] || text).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}
