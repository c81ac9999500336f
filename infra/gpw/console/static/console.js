// Keys, copying, and what a live list needs. Everything else is htmx's.
"use strict";

const rows = () => [...document.querySelectorAll("tr[data-row]")];
const chosen = () => document.querySelector("tr.chosen");
const MOST_ROWS = 500; // of a list that runs for days

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(chosen());
  const next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
  chosen()?.classList.remove("chosen");
  next.classList.add("chosen");
  next.querySelector("a.open").focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, dialog")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  switch (event.key) {
    case "/":
      document.querySelector("input[type=search]")?.focus();
      break;
    case "j":
      move(1);
      break;
    case "k":
      move(-1);
      break;
    case "Enter":
      if (event.target !== document.body || !chosen()) return;
      chosen().querySelector("a.open").click();
      break;
    case "r": {
      const action = document.querySelector("[data-key=r]");
      if (action?.matches("a")) action.click();
      else action?.focus();
      break;
    }
    case "?":
      document.getElementById("help").showModal();
      break;
    default:
      return;
  }
  event.preventDefault();
});

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    await navigator.clipboard.writeText(copy.previousElementSibling.textContent);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  }
  const fresh = event.target.closest("[data-fresh]");
  if (fresh) {
    const text = document.getElementById(fresh.dataset.fresh);
    const id = "evt_console_" + crypto.randomUUID().slice(0, 12);
    // As text, because JavaScript would round long numbers. The event's own fields are indented by two.
    text.value = text.value
      .replace(/^ {2}"id": "(?:[^"\\]|\\.)*"/m, `  "id": "${id}"`)
      .replace(/^ {2}"created_at": "[^"]*"/m, `  "created_at": "${new Date().toISOString().slice(0, 19)}Z"`);
  }
});

document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-all]")) return;
  for (const one of event.target.closest("section").querySelectorAll("input[name=id]"))
    one.checked = event.target.checked;
});

document.addEventListener("htmx:sseMessage", () => {
  document.getElementById("empty")?.remove();
  const seen = new Set(); // a stream that was interrupted begins where the page did
  for (const row of rows()) {
    if (seen.has(row.dataset.row)) row.remove();
    seen.add(row.dataset.row);
  }
  for (const old of rows().slice(MOST_ROWS)) old.remove();
});

// The list was made while the history was still being read.
document.addEventListener("htmx:afterSwap", () => {
  const fill = document.querySelector("#rows") && document.getElementById("fill");
  if (fill?.dataset.fill === "over") location.reload();
});

// The console itself has ended, or cannot be reached: nothing on the page is current any more.
document.addEventListener("htmx:sendError", () => {
  for (const badge of document.querySelectorAll(".live")) {
    badge.className = "live offline";
    badge.querySelector("b").textContent = "offline";
  }
});
