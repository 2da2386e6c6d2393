// Copy buttons, and forms that a double click sends once. Without this file the values are still there to be selected and
// copied by hand.
"use strict";

const announcer = document.getElementById("announcer");

async function write(text) {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text);
  }
  // Browsers have no clipboard for pages that come neither by https nor from this machine.
  const field = document.body.appendChild(document.createElement("textarea"));
  field.value = text;
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  if (!isCopied) {
    throw new Error("The browser refuses its clipboard.");
  }
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copies);
  let outcome = "Copied";
  try {
    await write(source.value ?? source.textContent);
  } catch {
    outcome = "Not copied";
    window.getSelection().selectAllChildren(source);
    source.select?.();
  }
  const words = button.querySelector("[data-words]") ?? button;
  button.dataset.label ??= words.innerHTML;
  words.textContent = outcome;
  button.classList.toggle("done", outcome === "Copied");
  announcer.textContent = outcome === "Copied" ? outcome : "Not copied. The value is selected: copy it by hand.";
  window.setTimeout(() => {
    words.innerHTML = button.dataset.label;
    button.classList.remove("done");
    announcer.textContent = "";
  }, 2000);
}

for (const button of document.querySelectorAll("button[data-copies]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}

for (const value of document.querySelectorAll("input[readonly], textarea[readonly]")) {
  value.addEventListener("focus", () => value.select());
}

const DOUBLE_CLICK = 2000; // milliseconds
const sentAt = new WeakMap();

document.addEventListener("submit", (event) => {
  if (event.timeStamp - sentAt.get(event.target) < DOUBLE_CLICK) {
    event.preventDefault();
  } else {
    sentAt.set(event.target, event.timeStamp);
  }
});
