// Keys, copy buttons, dialogs, toasts. Everything works without this file, only slower.
"use strict";

// Times are shown on the visitor's own clock: the server is told which, and the first page that could not know it comes
// again. Where there are no cookies, the gateway's own clock stays, and the foot of the page says so.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const root = document.documentElement;
if (zone && /^[\w+/-]{1,64}$/.test(zone) && root.dataset.zone !== zone) {
  document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=lax`;
  if ("again" in root.dataset && document.cookie.split("; ").includes(`zone=${zone}`)) location.reload();
}

const typing = (element) => element.closest("input, textarea, select, [contenteditable]");
const rows = () => [...document.querySelectorAll("table.rows[data-keys] tbody tr")];
let lastKey = "";

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.classList.contains("here"));
  const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
  all.forEach((row) => row.classList.toggle("here", row === next));
  next.querySelector("a")?.focus({preventScroll: true});
  next.scrollIntoView({block: "nearest"});
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    document.querySelectorAll("details.menu[open]").forEach((menu) => { menu.open = false; });
    if (typing(event.target)) event.target.blur();
    return;
  }
  if (typing(event.target)) return;
  const goes = {o: "/", m: "/messages", q: "/queue", l: "/live", p: "/phones"}[event.key];
  if (lastKey === "g" && goes) { location.assign(goes); return; }
  lastKey = event.key;
  if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "?") document.getElementById("keys").showModal();
  else {
    const wanted = document.querySelector(`main [data-key="${CSS.escape(event.key)}"]`)
      ?? document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (!wanted) return;
    event.preventDefault();
    if (wanted.matches("input, textarea, select")) { wanted.focus(); wanted.select?.(); } else wanted.click();
  }
});

document.addEventListener("click", async (event) => {
  const copies = event.target.closest("[data-copy]");
  if (copies) {
    await navigator.clipboard.writeText(copies.parentElement.querySelector("pre").textContent);
    const words = copies.querySelector("span");
    const before = words.textContent;
    words.textContent = "✓";
    setTimeout(() => { words.textContent = before; }, 1200);
  }
  const opens = event.target.closest("[data-opens]");
  if (opens) document.getElementById(opens.dataset.opens).showModal();
  document.querySelectorAll("details.menu[open]").forEach((menu) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
});

// A button with data-confirm asks first; the words say what will happen.
document.addEventListener("submit", (event) => {
  const words = event.submitter?.dataset.confirm;
  if (words && !confirm(words)) event.preventDefault();
});

function toast(words) {
  const shown = document.createElement("div");
  shown.textContent = words;
  document.getElementById("toasts").append(shown);
  setTimeout(() => shown.remove(), 6000);
}
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful && event.detail.elt.matches("form[data-reset]")) event.detail.elt.reset();
});
document.addEventListener("toast", (event) => toast(event.detail.value ?? event.detail));
document.addEventListener("htmx:responseError", (event) => {
  const answer = event.detail.xhr;
  const page = new DOMParser().parseFromString(answer.responseText, "text/html");
  toast(page.querySelector("main p")?.textContent ?? `${answer.status} ${answer.statusText}`);
});
