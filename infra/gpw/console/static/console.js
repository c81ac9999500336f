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
      if (!action?.checkVisibility()) return;
      if (action.matches("a")) action.click();
      else action.focus();
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
    const text = document.getElementById(copy.dataset.copy) ?? copy.previousElementSibling;
    await navigator.clipboard.writeText(text.textContent);
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

// A row opens its event wherever it is clicked; with Ctrl in another tab, as its link does.
document.addEventListener("click", (event) => {
  const row = event.target.closest(".dense tr[data-row]");
  if (!row || event.target.closest("a, button") || String(getSelection())) return;
  row.querySelector("a.open").dispatchEvent(new MouseEvent("click", event));
});

// Filters apply as soon as they are chosen. Enter in a field both changes and submits it.
let asked = "";
document.addEventListener("change", (event) => event.target.closest("#filters")?.requestSubmit());
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target.id !== "filters") return;
  const now = String(new URLSearchParams(new FormData(event.target)));
  if (now === asked) event.preventDefault();
  asked = now;
});
document.addEventListener("htmx:responseError", (event) => {
  // Only the whole page says which field is wrong.
  if (event.target.id === "filters") location.assign(event.detail.xhr.responseURL);
});

// As gpw.stack.when.ago writes it.
function ago(seconds) {
  if (seconds < 120) return `${Math.max(0, Math.round(seconds))} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86400)} d ago`;
}
setInterval(() => {
  for (const one of document.querySelectorAll("time[title]")) {
    const seconds = (Date.now() - new Date(one.dateTime)) / 1000;
    if (!isNaN(seconds)) one.textContent = ago(seconds);
  }
}, 5000);

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

// On a narrow screen a chart is wider than its frame: the newest minutes are on the right.
document.addEventListener("htmx:afterSwap", (event) => {
  const frame = event.target.closest(".scroll:has(> .chart)");
  if (!frame || frame.dataset.placed) return;
  frame.dataset.placed = "yes";
  frame.scrollLeft = frame.scrollWidth;
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
