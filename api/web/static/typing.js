"use strict";
// Makes the grid quick to type into: Enter and the arrows move, rows come as they are
// needed, each cell is checked when it is left. Without it the grid is a form.
(function () {
  const form = document.getElementById("typing");
  if (!form) return;
  const body = form.querySelector("tbody");
  const said = document.getElementById("typing-said");
  const heard = document.getElementById("typing-heard"); // what stands in the grid already
  const counted = document.getElementById("typing-count");
  const total = document.getElementById("total");
  const most = Number(form.dataset.rows);
  const before = new WeakMap(); // what stood in a cell when it was entered
  const cleaned = new WeakMap(); // as the service would keep it
  let notes = 0;

  const cells = (row) => Array.from(row.querySelectorAll("input"));
  const empty = (row) => cells(row).every((c) => !c.value.trim());
  const rows = () => Array.from(body.rows);

  // Ten rows to begin with, three on a phone; others come by themselves.
  for (const row of rows().slice(matchMedia("(max-width: 40rem)").matches ? 3 : 10).reverse()) {
    if (!empty(row)) break;
    row.remove();
  }
  const blank = body.rows[0].cloneNode(true);
  for (const c of cells(blank)) c.setAttribute("value", "");

  function more() {
    if (body.rows.length >= most) { said.textContent = form.dataset.full; return null; }
    const row = blank.cloneNode(true);
    const n = body.rows.length + 1;
    row.querySelector("th").textContent = String(n);
    for (const c of cells(row)) {
      c.value = "";
      c.setAttribute("aria-label", c.closest("td").dataset.label + ", " + n);
    }
    body.append(row);
    return row;
  }

  function go(cell, rowsDown, first) {
    const row = cell.closest("tr");
    const at = cells(row).indexOf(cell);
    let to = body.rows[row.sectionRowIndex + rowsDown];
    if (!to && rowsDown > 0) to = more();
    if (!to) return;
    const next = cells(to)[first ? 0 : at];
    next.focus();
    next.select();
  }

  body.addEventListener("focusin", (e) => {
    if (e.target.tagName !== "INPUT") return;
    before.set(e.target, e.target.value);
  });
  // Not when the last row is come to: the tab key would never get out of the grid.
  body.addEventListener("input", (e) => { if (e.target.closest("tr") === body.lastElementChild) more(); });
  body.addEventListener("keydown", (e) => {
    if (e.target.tagName !== "INPUT" || e.isComposing || e.ctrlKey || e.metaKey || e.altKey) return;
    switch (e.key) {
      case "Enter": e.preventDefault(); go(e.target, e.shiftKey ? -1 : 1, !e.shiftKey); break;
      case "ArrowDown": e.preventDefault(); go(e.target, 1); break;
      case "ArrowUp": e.preventDefault(); go(e.target, -1); break;
      case "Escape":
        e.preventDefault();
        e.target.value = before.get(e.target) ?? "";
        count();
        break;
      case "ArrowLeft": case "ArrowRight": {
        // Only from the edge of what is written: within it they move in the text.
        const all = cells(e.target.closest("tr"));
        const back = (e.key === "ArrowLeft") !== (document.documentElement.dir === "rtl");
        const edge = back ? 0 : e.target.value.length;
        if (e.target.selectionStart !== edge || e.target.selectionEnd !== edge) break;
        const next = all[all.indexOf(e.target) + (back ? -1 : 1)];
        if (next) { e.preventDefault(); next.focus(); next.select(); }
      }
    }
  });
  // Where a keyboard sends it apart, the other half of Enter would send the form.
  body.addEventListener("keypress", (e) => { if (e.key === "Enter") e.preventDefault(); });
  body.addEventListener("change", (e) => check(e.target));
  body.addEventListener("input", count);
  total.addEventListener("input", count);

  function tell(cell, text, bad) {
    const td = cell.closest("td");
    let note = td.querySelector(".said");
    if (!text) {
      if (note) note.remove();
      cell.removeAttribute("aria-invalid");
      cell.removeAttribute("aria-describedby");
      return;
    }
    if (!note) {
      note = document.createElement("span");
      note.className = "said";
      note.id = "said-" + ++notes;
      td.append(note);
    }
    note.textContent = text;
    cell.setAttribute("aria-describedby", note.id);
    if (bad) cell.setAttribute("aria-invalid", "true"); else cell.removeAttribute("aria-invalid");
    heard.textContent = cell.getAttribute("aria-label") + ": " + text;
  }

  async function check(cell) {
    const value = cell.value.trim();
    const field = cell.name.slice("cell.".length);
    if (!value) { cleaned.delete(cell); tell(cell, ""); twice(); return; }
    try {
      const r = await fetch(form.dataset.check, { method: "POST", body: new URLSearchParams({ field, value }), cache: "no-store", redirect: "error" });
      if (!r.ok || cell.value.trim() !== value) return;
      const of = await r.json();
      cleaned.set(cell, of.value);
      tell(cell, of.reason, !of.ok);
      twice();
    } catch { /* no line: it is checked when it is saved */ }
  }

  // twice marks a row whose person is in a row above: the same name, and the same email
  // or phone.
  function twice() {
    const seen = new Map();
    for (const row of rows()) {
      const of = {};
      for (const c of cells(row)) of[c.name.slice("cell.".length)] = cleaned.get(c) ?? "";
      const name = [of.name, of.given_name, of.family_name].map((n) => n ?? "").join(" ").normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
      const n = row.sectionRowIndex + 1;
      let first = 0;
      for (const way of ["email", "phone"]) {
        if (!of[way]) continue;
        const key = way + " " + of[way] + " " + name;
        if (seen.has(key)) first = first || seen.get(key); else seen.set(key, n);
      }
      const th = row.querySelector("th");
      let mark = th.querySelector(".said");
      if (!first) { if (mark) mark.remove(); continue; }
      if (!mark) {
        mark = document.createElement("span");
        mark.className = "said";
        th.append(mark);
      }
      const text = form.dataset.twice.replace("#", String(first));
      if (mark.textContent !== text) { mark.textContent = text; heard.textContent = n + ": " + text; }
    }
  }

  function count() {
    const n = rows().filter((r) => !empty(r)).length;
    const want = total.value.trim();
    const text = !want ? form.dataset.count : Number(want) === n ? form.dataset.same : form.dataset.differs;
    counted.textContent = n || want ? text.replace("#1", String(n)).replace("#2", want) : "";
  }

  for (const row of rows()) for (const c of cells(row)) if (c.value.trim()) check(c);
  count();
})();
