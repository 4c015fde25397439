// Starts Swagger UI over the description that the page names. Without script the page links to the description itself.
"use strict";

const page = document.getElementById("explorer");
const { description, csrfToken } = page.dataset;

const dark = matchMedia("(prefers-color-scheme: dark)");
const dress = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dress();
dark.addEventListener("change", dress);

// What a browser can't do by itself is left out of the authorize dialog: OAuth and Digest sign every request.
const DIALOG = (scheme) => scheme.type !== "http" || ["basic", "bearer"].includes(String(scheme.scheme).toLowerCase());

function forTheDialog(text) {
  const document = JSON.parse(text);
  const schemes = document.components?.securitySchemes ?? {};
  const dropped = Object.keys(schemes).filter((name) => !DIALOG(schemes[name]));
  for (const name of dropped) delete schemes[name];
  const possible = (ways) => ways.filter((way) => !Object.keys(way).some((name) => dropped.includes(name)));
  if (document.security) document.security = possible(document.security);
  for (const methods of Object.values(document.paths ?? {})) {
    for (const operation of Object.values(methods)) if (operation.security) operation.security = possible(operation.security);
  }
  return JSON.stringify(document);
}

// What Swagger UI draws without a name, or where the keyboard does not get to.
const MISSING = {
  "#servers": ["aria-label", "Server"],
  ".close-modal": ["aria-label", "Close"],
  "textarea.body-param__text": ["aria-label", "Request body"],
  "pre.example": ["tabindex", "0"],
};

function nameAll() {
  for (const [selector, [attribute, value]] of Object.entries(MISSING)) {
    for (const found of page.querySelectorAll(selector)) if (!found.hasAttribute(attribute)) found.setAttribute(attribute, value);
  }
  // This one is called otherwise than it reads.
  for (const button of page.querySelectorAll(".auth-btn-wrapper .authorize[aria-label]")) button.removeAttribute("aria-label");
}
new MutationObserver(nameAll).observe(page, { childList: true, subtree: true });

const ui = SwaggerUIBundle({
  domNode: page,
  url: description,
  validatorUrl: null,
  // Its links lie inside buttons, where not everybody can reach them.
  deepLinking: false,
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
  requestInterceptor(request) {
    if (request.loadSpec) return request;
    // The dialog's "session" stands for the login cookie, which no script may read or send: the browser adds it.
    const asVisitor = request.headers.Cookie !== undefined && request.headers.Authorization === undefined;
    delete request.headers.Cookie;
    request.credentials = asVisitor ? "same-origin" : "omit";
    if (asVisitor && csrfToken) request.headers["X-CSRF-Token"] = csrfToken;
    return request;
  },
  responseInterceptor(response) {
    if (new URL(response.url, location).pathname === new URL(description, location).pathname && response.ok) {
      try {
        response.text = forTheDialog(response.text);
      } catch {
        // YAML is shown as it is.
      }
    }
    return response;
  },
  onComplete() {
    if (csrfToken) ui.preauthorizeApiKey("session", "your login");
  },
});
