// What the pages do better with script. Every page works without it.
"use strict";

// Copy buttons stay hidden where nothing could press them.
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  const label = [...button.childNodes];
  let copied = false;
  button.addEventListener("click", async () => {
    // Else the first press would take back the word of the second too soon.
    if (copied) return;
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
    } catch {
      // The clipboard is for secure origins only: select the text instead, so that one key copies it.
      getSelection().selectAllChildren(source);
      return;
    }
    button.replaceChildren(button.dataset.done);
    copied = true;
    setTimeout(() => {
      button.replaceChildren(...label);
      copied = false;
    }, 2000);
  });
}

// One press is one request.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    // Enter where it decides nothing: no request.
    if (event.submitter?.formMethod === "dialog") return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    // The answer may open an app and leave this page as it is.
    setTimeout(() => delete form.dataset.sent, 10_000);
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
  let asking = new AbortController();
  callbacks.addEventListener("input", () => {
    clearTimeout(waiting);
    // An answer about what is no longer typed must not come after a newer one.
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    waiting = setTimeout(async () => {
      const query = new URLSearchParams({ callbacks: callbacks.value });
      const answer = await fetch(`${callbacks.dataset.check}?${query}`, { signal }).catch(() => null);
      // Whoever is no longer logged in is led to the login page, which is no reason.
      if (!answer || !answer.ok || answer.redirected) return;
      const said = await answer.text().catch(() => null);
      if (said !== null) reason.textContent = said;
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
