"use strict";
// What every page of somebody who is signed in runs: the countdown to the end of an
// unused session, and a few comforts. Every page works without it.
(function () {
  document.documentElement.classList.add("js");

  const idle = document.getElementById("idle");
  if (idle) countdown(idle);

  for (const b of document.querySelectorAll("[data-print]")) b.addEventListener("click", () => window.print());
  for (const b of document.querySelectorAll("[data-copy]")) {
    b.addEventListener("click", async () => {
      const from = document.getElementById(b.dataset.copy);
      try {
        await navigator.clipboard.writeText(from.textContent.trim());
        b.textContent = b.dataset.copied || b.textContent;
      } catch { window.getSelection().selectAllChildren(from); }
    });
  }

  // A second click on a form that is on its way would do the act twice.
  document.addEventListener("submit", (e) => {
    if (e.defaultPrevented) return;
    if (e.target.dataset.sent) { e.preventDefault(); return; }
    e.target.dataset.sent = "yes";
    setTimeout(() => { delete e.target.dataset.sent; }, 5000);
  });

  function countdown(shown) {
    const warning = document.getElementById("idle-warning");
    const stay = document.getElementById("idle-stay");
    const whole = Number(shown.dataset.seconds);
    let ends = Date.now() + whole * 1000;
    let told = Date.now(); // the server, of a use
    let asked = Date.now(); // whether the session has not ended
    let asking = false;

    const seconds = () => Math.round((ends - Date.now()) / 1000);
    const show = () => {
      const s = Math.max(0, seconds());
      shown.textContent = shown.dataset.text.replace("#", Math.floor(s / 60) + ":" + String(s % 60).padStart(2, "0"));
      warning.hidden = s > 60;
    };
    // lock leaves nothing of the page behind, also not for going back to it.
    const lock = () => {
      document.body.replaceChildren();
      location.replace("/sign-in?why=idle&next=" + encodeURIComponent(location.pathname));
    };
    const ask = async (method) => {
      if (asking) return;
      asking = true;
      asked = Date.now();
      try {
        const r = await fetch("/session", { method: method, cache: "no-store", redirect: "error" });
        const left = r.ok ? (await r.json()).seconds : 0;
        if (left <= 0) { lock(); return; }
        ends = Date.now() + left * 1000;
        if (method === "POST") told = Date.now();
      } catch {
        if (seconds() <= 0) lock(); // no line, and nobody here
      } finally { asking = false; }
    };
    // Somebody who types is there, though no page is asked for.
    const used = () => { if (Date.now() - told > 60000 && seconds() > 0) ask("POST"); };
    document.addEventListener("input", used);
    document.addEventListener("keydown", used);
    stay.addEventListener("click", () => ask("POST"));
    document.addEventListener("visibilitychange", () => { if (!document.hidden) ask("GET"); });
    window.addEventListener("pageshow", (e) => { if (e.persisted) ask("GET"); });
    // A session that was ended from elsewhere leaves what it shows on no screen for long.
    const due = () => seconds() <= 0 || !document.hidden && Date.now() - asked > 60000;
    setInterval(() => { show(); if (due()) ask("GET"); }, 1000);
    show();
  }
})();
