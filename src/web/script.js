// What the pages do better with script. Every page works without it.
"use strict";

// Copy buttons stay hidden where nothing could press them.
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
    } catch {
      // The clipboard is for secure origins only: select the text instead, so that one key copies it.
      getSelection().selectAllChildren(source);
      return;
    }
    const label = button.textContent;
    button.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}

// One press is one request.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
  });
}

// A page that the back button brings back can be sent again; the server decides what that means.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// Callbacks are checked while they are typed, by the rules of the server.
const callbacks = document.querySelector("textarea[data-check]");
if (callbacks) {
  const reason = document.getElementById("callbacks-live");
  let waiting;
  callbacks.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const query = new URLSearchParams({ callbacks: callbacks.value });
      const answer = await fetch(`${callbacks.dataset.check}?${query}`).catch(() => null);
      if (answer && answer.ok) reason.textContent = await answer.text();
    }, 250);
  });
}

// A key file fills the box that would take its text.
for (const input of document.querySelectorAll("input[type=file][data-fills]")) {
  input.closest("[hidden]").hidden = false;
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (file && file.size < 65536) document.getElementById(input.dataset.fills).value = await file.text();
  });
}
