// Copy buttons. Without this file the values are still there to be selected and copied by hand.
"use strict";

const announcer = document.getElementById("announcer");

async function write(field) {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(field.value);
  }
  // Browsers have no clipboard for pages that come neither by https nor from this machine.
  field.select();
  if (!document.execCommand("copy")) {
    throw new Error("The browser refuses its clipboard.");
  }
}

async function copy(button) {
  const field = document.getElementById(button.dataset.copies);
  const label = button.firstChild;
  button.dataset.label ??= label.textContent;
  try {
    await write(field);
    label.textContent = announcer.textContent = button.dataset.copied;
  } catch {
    field.select();
    label.textContent = button.dataset.refused;
    announcer.textContent = button.dataset.selected;
  }
  window.setTimeout(() => {
    label.textContent = button.dataset.label;
    announcer.textContent = "";
  }, 2000);
}

for (const button of document.querySelectorAll("button[data-copies]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}
