// What happens, on the page as it happens. Pages say what they do with it: hx-trigger="live:message from:body".
// Server-sent events; where something on the way holds them back, questions every few seconds; hidden tabs ask nothing.
"use strict";

(() => {
  const POLL_MS = 3000, HELLO_MS = 5000, AGAIN_MS = 120000, HIDDEN_MS = 5000, GATHER_MS = 300, AT_MOST = 500;
  const dot = document.querySelector("[data-live-dot]");
  const isUsed = () => document.querySelector('[hx-trigger*="live:"], [data-live-news]') !== null;
  let source = null, poll = 0, last = null, failures = 0, hello = 0, hiding = 0, gathering = 0, isPaused = false, isAnew = false;
  const waiting = [];

  function show(state) {
    if (!dot) return;
    dot.hidden = false;
    dot.dataset.state = state;
    dot.title = dot.dataset[state];
    dot.querySelector("span").textContent = dot.dataset[state];
  }

  // At most every GATHER_MS: live:message, and live:QUEUE-ID for each mail that it is about; live:rejected where somebody
  // was turned away; live:anew where one must look at everything, because more may have happened than was heard.
  function tell(event) {
    if (event === null) isAnew = true; else waiting.push(event);
    if (isPaused || gathering) return;
    gathering = setTimeout(() => {
      gathering = 0;
      if (isPaused || !(isAnew || waiting.length)) return;
      const names = new Set(isAnew ? ["live:message", "live:anew"] : []);
      for (const one of waiting) {
        if (one.mail) names.add("live:message").add(`live:${one.mail}`);
        if (["rejected", "refused"].includes(one.kind)) names.add("live:rejected");
      }
      const detail = {events: waiting.splice(0), anew: isAnew};
      isAnew = false;
      for (const name of names) {
        document.body.dispatchEvent(new CustomEvent(name, {detail}));
        document.querySelectorAll(`[data-live-news="${CSS.escape(name)}"]`).forEach((news) => { news.hidden = false; });
      }
    }, GATHER_MS);
  }

  function close() {
    source?.close();
    source = null;
    clearInterval(poll);
    clearTimeout(hello);
    poll = 0;
  }

  function listen() {
    close();
    source = new EventSource("/api/v1/events" + (last === null ? "" : `?after=${last}`));
    hello = setTimeout(failed, HELLO_MS);  // a proxy that buffers lets nothing through
    source.addEventListener("hello", () => {
      clearTimeout(hello);
      failures = 0;
      show("on");
      tell(null);
    });
    source.addEventListener("reset", () => { last = null; tell(null); });
    source.addEventListener("over", () => { close(); setTimeout(open, 1000 + Math.random() * 2000); });
    source.addEventListener("error", failed);
    source.addEventListener("message", (message) => { last = Number(message.lastEventId); tell(JSON.parse(message.data)); });
  }

  function failed() {
    close();
    show("off");
    failures += 1;
    if (failures < 3) setTimeout(open, 1000 * failures);
    else ask();
  }

  async function ask() {
    close();
    const until = Date.now() + AGAIN_MS;
    const turn = async () => {
      try {
        const answer = await fetch("/api/v1/events/recent?limit=1000" + (last === null ? "" : `&after=${last}`));
        if (!answer.ok) throw new Error(answer.statusText);
        const found = await answer.json();
        const isFirst = last === null;
        last = found.next;
        show("polling");
        if (found.missed || isFirst) tell(null);
        else found.items.forEach(tell);
      } catch { show("off"); }
      if (Date.now() > until) { failures = 2; open(); }
    };
    poll = setInterval(turn, POLL_MS);
    await turn();
  }

  function open() {
    if (document.hidden || source || poll || !isUsed()) return;
    if (failures < 3) listen(); else ask();
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(() => { close(); show("off"); }, HIDDEN_MS);
    else open();
  });
  window.addEventListener("pagehide", close);
  document.addEventListener("DOMContentLoaded", open);
  document.addEventListener("htmx:afterSettle", open);  // a page may become live by a fragment
  document.addEventListener("htmx:afterRequest", () => { if (!isUsed()) close(); });

  // A button [data-live-pause] holds everything back, and lets it come again.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-live-pause]");
    if (!button) return;
    isPaused = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(isPaused));
    button.querySelector("use").setAttribute("href", isPaused ? "#i-play" : "#i-pause");
    button.querySelector("span").textContent = isPaused ? button.dataset.on : button.dataset.off;
    if (!isPaused) tell(null);
  });

  // [data-tail]: what scrolls; keeps its newest lines, and stays at the end for who is there.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const tail = event.detail.target.closest?.("[data-tail]");
    if (tail) tail.dataset.atEnd = tail.scrollHeight - tail.scrollTop - tail.clientHeight < 60 ? "yes" : "";
  });
  const toEnd = (tail) => { tail.scrollTop = tail.scrollHeight; };
  document.addEventListener("htmx:afterSwap", (event) => {
    const tail = event.detail.target.closest?.("[data-tail]");
    if (!tail) return;
    const lines = tail.querySelectorAll("tbody tr");
    for (let n = 0; n < lines.length - AT_MOST; n += 1) lines[n].remove();
    if (tail.dataset.atEnd) toEnd(tail);
  });
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-tail]").forEach(toEnd));
})();
