// Copy buttons. Without this file the values are still there to be selected and copied by hand.
"use strict";

const announcer = document.getElementById("announcer");

async function copy(button) {
  const field = document.getElementById(button.dataset.copies);
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(field.value);
  } else {
    // Browsers have no clipboard for pages that come neither by https nor from this machine.
    field.select();
    document.execCommand("copy");
  }
  const label = button.firstChild;
  button.dataset.label ??= label.textContent;
  label.textContent = announcer.textContent = button.dataset.copied;
  window.setTimeout(() => {
    label.textContent = button.dataset.label;
    announcer.textContent = "";
  }, 2000);
}

for (const button of document.querySelectorAll("button[data-copies]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}
