// Sends what a visitor does to the collector, in batches. Nothing is sent before consent is given, nor from a browser
// that asks not to be tracked. It sets no cookie and reads nothing of the page but its address's path.
//
//   <script src="https://collector.example/tracker.js" data-key="holdfast_..."></script>
//   holdfast.consent(true); holdfast.identify("C-1001"); holdfast.track("add_to_cart", {product_id: "P1"});
(() => {
  "use strict";
  const script = document.currentScript;
  const address = new URL("/v1/events", script.src).href;
  const key = script.dataset.key;
  const refuses = navigator.doNotTrack === "1" || navigator.globalPrivacyControl === true;
  const mostWaiting = 200, everySeconds = 2;
  let consented = false, customer = null, waiting = [], pausedUntil = 0;

  function track(type, about = {}) {
    if (refuses || !consented || customer === null) return;
    waiting.push({
      ...about, event_id: crypto.randomUUID(), customer_id: customer, type, channel: about.channel ?? "web",
      occurred_at: new Date().toISOString(),
    });
    waiting = waiting.slice(-mostWaiting);
  }

  async function flush() {
    if (waiting.length === 0 || Date.now() < pausedUntil) return;
    const batch = waiting;
    waiting = [];
    try {
      const answer = await fetch(address, {
        method: "POST", keepalive: true, body: JSON.stringify(batch),
        headers: {"Authorization": `Bearer ${key}`, "Content-Type": "application/json"},
      });
      if (answer.status === 429 || answer.status >= 500) {
        pausedUntil = Date.now() + 1000 * Number(answer.headers.get("Retry-After") ?? everySeconds);
        waiting = batch.concat(waiting).slice(-mostWaiting);
      }
    } catch {
      waiting = batch.concat(waiting).slice(-mostWaiting);  // the ids stay, so that nothing counts twice
    }
  }

  globalThis.holdfast = {
    consent(given) { consented = given === true; if (!consented) waiting = []; },
    identify(id) { customer = id; },
    track,
  };
  setInterval(flush, 1000 * everySeconds);
  addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") flush(); });
})();
