"use strict";
// Sends a sheet with its progress to be seen, takes one that is dropped on the page, and
// finds refused rows in the file again. Without it the forms send themselves, and the
// rows are named by their lines.
(function () {
  for (const form of document.querySelectorAll("form[data-upload]")) upload(form);
  const back = document.querySelector("[data-handback]");
  if (back) handBack(back);

  function upload(form) {
    const file = form.querySelector("input[type=file]");
    const zone = form.querySelector("[data-drop]");
    const sending = form.querySelector("[data-sending]");
    const bar = form.querySelector("progress");
    const said = form.querySelector("[data-said]");
    const send = form.querySelector("[data-send]");
    const kB = (bytes) => Math.ceil(bytes / 1000).toLocaleString(document.documentElement.lang);
    let request = null;

    const over = (e) => {
      if (!e.dataTransfer || !Array.from(e.dataTransfer.types).includes("Files")) return;
      e.preventDefault();
      zone.classList.add("over");
    };
    zone.addEventListener("dragenter", over);
    zone.addEventListener("dragover", over);
    zone.addEventListener("dragleave", () => zone.classList.remove("over"));
    zone.addEventListener("drop", (e) => {
      zone.classList.remove("over");
      if (!e.dataTransfer.files.length) return;
      e.preventDefault();
      const one = new DataTransfer();
      one.items.add(e.dataTransfer.files[0]);
      file.files = one.files;
      file.dispatchEvent(new Event("change", { bubbles: true }));
    });

    const show = (on) => {
      sending.hidden = !on;
      send.hidden = on;
      zone.hidden = on;
    };
    // over: the form is there again, with why.
    const ended = (text, node) => {
      request = null;
      show(false);
      for (const old of document.querySelectorAll(".problem")) old.remove();
      const box = node || document.createElement("div");
      if (!node) {
        box.className = "problem";
        box.id = "problem";
        box.setAttribute("role", "alert");
        const p = document.createElement("p");
        p.textContent = text;
        box.append(p);
      }
      box.tabIndex = -1;
      form.before(box);
      box.focus();
    };

    form.addEventListener("submit", (e) => {
      e.preventDefault();
      if (request) return;
      const data = new FormData(form);
      request = new XMLHttpRequest();
      const mine = request;
      mine.open("POST", form.action);
      mine.responseType = "document";
      mine.upload.addEventListener("progress", (p) => {
        bar.max = p.total;
        bar.value = p.loaded;
        said.textContent = form.dataset.progress.replace("#1", kB(p.loaded)).replace("#2", kB(p.total));
        document.dispatchEvent(new Event("input")); // somebody waits for this page
      });
      mine.upload.addEventListener("load", () => {
        bar.removeAttribute("value");
        said.textContent = form.dataset.working;
      });
      mine.addEventListener("load", () => {
        const here = new URL(form.action, location.href).pathname;
        if (new URL(mine.responseURL, location.href).pathname !== here) {
          location.assign(mine.responseURL);
          return;
        }
        const problem = mine.response && mine.response.querySelector(".problem");
        ended(form.dataset.broken, problem && document.importNode(problem, true));
      });
      mine.addEventListener("error", () => ended(form.dataset.broken));
      mine.addEventListener("timeout", () => ended(form.dataset.broken));
      mine.addEventListener("abort", () => ended(form.dataset.stopped));
      show(true);
      bar.value = 0;
      sending.focus();
      mine.send(data);
    });
    form.querySelector("[data-stop]").addEventListener("click", () => { if (request) request.abort(); });
  }

  // handBack reads the file that the person still has, here and nowhere else, and offers
  // the rows of it that were refused. Bytes are copied as they are, so that nothing has
  // to be known of the encoding but that a line break is one.
  function handBack(box) {
    const file = box.querySelector("input[type=file]");
    const said = box.querySelector("[data-said]");
    const link = box.querySelector("[data-save]");
    const number = (text) => text ? text.split(",").flatMap((r) => {
      const [from, to] = r.split("-").map(Number);
      return Array.from({ length: (to || from) - from + 1 }, (_, i) => from + i);
    }) : [];
    const wanted = number(box.dataset.lines);
    const broken = new Set(number(box.dataset.broken));

    file.addEventListener("change", async () => {
      if (link.href) URL.revokeObjectURL(link.href);
      link.removeAttribute("href");
      link.hidden = true;
      if (!file.files.length) return;
      let bytes = new Uint8Array(await file.files[0].arrayBuffer());
      if (bytes[0] === 0xff && bytes[1] === 0xfe) bytes = recoded(bytes, "utf-16le");
      else if (bytes[0] === 0xfe && bytes[1] === 0xff) bytes = recoded(bytes, "utf-16be");
      const starts = linesOf(bytes);
      const cards = box.dataset.format === "vcard";
      const parts = [];
      let found = 0;
      const heading = cards ? null : headingOf(bytes, starts);
      if (heading) parts.push(heading);
      for (const line of wanted) {
        if (line > starts.length) continue;
        const end = cards ? cardEnd(bytes, starts, line) : broken.has(line) ? endOf(bytes, starts, line) : recordEnd(bytes, starts, line);
        const row = bytes.subarray(starts[line - 1], end);
        if (!row.length) continue;
        parts.push(row);
        if (row[row.length - 1] !== 10 && row[row.length - 1] !== 13) parts.push(new Uint8Array([10]));
        found++;
      }
      if (!found) { said.textContent = box.dataset.none; return; }
      said.textContent = box.dataset.found.replace("#1", found.toLocaleString(document.documentElement.lang));
      link.href = URL.createObjectURL(new Blob(parts, { type: cards ? "text/vcard" : "text/csv" }));
      link.hidden = false;
    });

    function recoded(bytes, from) { return new TextEncoder().encode(new TextDecoder(from).decode(bytes)); }

    // linesOf returns where lines begin, counted as the service does: a line ends with
    // LF, CR LF or CR.
    function linesOf(b) {
      const starts = [0];
      for (let i = 0; i < b.length; i++) {
        if (b[i] === 10 || b[i] === 13 && b[i + 1] !== 10) starts.push(i + 1);
      }
      if (starts[starts.length - 1] === b.length) starts.pop();
      return starts;
    }
    function endOf(b, starts, line) { return line < starts.length ? starts[line] : b.length; }

    // recordEnd is where the record ends that begins on a line: behind a line break that
    // is not between quotation marks.
    function recordEnd(b, starts, line) {
      let quoted = false, fresh = true;
      for (let i = starts[line - 1]; i < b.length; i++) {
        const c = b[i];
        if (quoted) {
          if (c === 34) { if (b[i + 1] === 34) i++; else quoted = false; }
          continue;
        }
        if (c === 34 && fresh) { quoted = true; fresh = false; continue; }
        if (c === 10 || c === 13 && b[i + 1] !== 10) return i + 1;
        fresh = c === 44 || c === 59 || c === 9 || c === 124 || fresh && c === 32;
      }
      return quoted ? endOf(b, starts, line) : b.length;
    }

    function cardEnd(b, starts, line) {
      const text = new TextDecoder("windows-1252");
      for (let n = line; n <= starts.length; n++) {
        const end = endOf(b, starts, n);
        if (/^end:vcard/i.test(text.decode(b.subarray(starts[n - 1], end)))) return end;
        if (n > line && /^begin:vcard/i.test(text.decode(b.subarray(starts[n - 1], end)))) return starts[n - 1];
      }
      return b.length;
    }

    // headingOf finds the row of headings, so that what is handed back can be read again.
    function headingOf(b, starts) {
      const headers = box.dataset.headers.split("\n").filter((h) => h);
      if (!headers.length) return null;
      for (const name of ["utf-8", "windows-1252", "macintosh"]) {
        const text = new TextDecoder(name);
        for (let line = 1; line <= Math.min(30, starts.length); line++) {
          const row = b.subarray(starts[line - 1], recordEnd(b, starts, line));
          const read = text.decode(row).replaceAll('""', '"');
          if (headers.every((h) => read.includes(h))) return row;
        }
      }
      return null;
    }
  }
})();
