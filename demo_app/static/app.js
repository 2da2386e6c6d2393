// Copy buttons. Without this file the values are still there to be selected and copied by hand.
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
  document.execCommand("copy");
  field.remove();
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copies);
  await write(source.value ?? source.textContent);
  button.dataset.label ??= button.innerHTML;
  button.textContent = "Copied";
  announcer.textContent = "Copied";
  window.setTimeout(() => {
    button.innerHTML = button.dataset.label;
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
