// What every visit needs, with the page's module and without it: to start the app at once, to find out who answers, and to
// hand the visitor over. Where the module does not come, cannot run or breaks, these lines show the state as well.
//
// They are in the HTML, since the app may answer for any file as soon as it is there; and in a file, for where somebody
// else's Content-Security-Policy forbids scripts in the HTML. The first of the two runs.
(() => {
  if (window.unidler) return;
  const html = document.documentElement;
  const { start, style, waits } = document.body.dataset;
  const { progress: rendered, lost_post: lostPost } = JSON.parse(start);
  // Not `AbortSignal.timeout`, which Safari has only since 16.
  const limit = (ms) => {
    const control = new AbortController();
    setTimeout(() => control.abort(), ms);
    return control.signal;
  };
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  // How long ingresses take to follow, at most: Traefik applies a change two seconds after the one before. In milliseconds.
  const SETTLES = 2_500;
  // The answers in a row that a visitor could have instead of the page: of which kind, how many, since when.
  let streak = {};
  // Whether an ingress has said that it reaches nobody. It may say so again to every other visitor, for some seconds.
  let broken = false;
  // Whether the app has answered, and then somebody else again.
  let wavers = false;
  const interrupt = () => {
    wavers ||= streak.kind === "app";
    streak = {};
  };
  const count = (kind) => {
    if (streak.kind !== kind) {
      interrupt();
      streak = { kind, count: 0, since: performance.now() };
    }
    streak.count += 1;
  };
  // Reloads of the last five minutes. They belong to this entry of the history, and outlast a reload. The first is not written
  // down, so that an ordinary visit leaves nothing in the app's entry: the browser knows of it.
  const isReload = performance.getEntriesByType("navigation")[0]?.type === "reload";
  const reloads = () => (history.state?.unidler ?? (isReload ? [performance.timeOrigin] : [])).filter((at) => Date.now() - at < 300_000);
  // Whether handing over is up to the visitor by now. Until when then to ask nothing: what is asked keeps an app awake.
  const isSettled = () => page.held || page.up || page.stayed;
  let quietUntil = 0;
  // The starts that are not answered yet.
  let starts = 0;
  // Whether the last one was answered by somebody else, such as an app that is falling asleep.
  let isMissed = false;

  // Hands the visitor over when nobody but the app has answered for long enough. An ingress may still lead every other visitor
  // here, or nowhere: so one answer is enough only if all visitors reach the app, those who come here as well.
  const openIfDue = () => {
    const isSure = page.forwarding === "seamless" && !broken;
    const after = { app: isSure ? 0 : SETTLES, 404: 3_000, 503: page.readySince === undefined ? 60_000 : 20_000 }[streak.kind] ?? Infinity;
    // An ingress begins to follow as soon as the app is ready, and the fastest answers of the app tell nothing of the others.
    // One that follows later, and routes to the app alone from then on, has had its time.
    const isFromReady = streak.kind === "app" && (!(broken || wavers) || streak.since < page.readySince + SETTLES);
    const since = isFromReady ? Math.min(page.readySince ?? Infinity, streak.since) : streak.since;
    const isDue = performance.now() - since >= after + Math.max(reloads().length - 1, 0) * 5_000;
    if (isDue && (isSure || streak.count >= 2)) page.open();
  };

  const page = (window.unidler = {
    // With the origin: a path may begin with two slashes.
    base: location.origin + location.pathname.replace(/\/+$/, "") + "/_unidler/",
    // The status with which the last attempt to start the app was turned away, by us or by somebody else.
    refused: 0,
    // When the app was last asked to start.
    posted: 0,
    // Whether opening the app has led back here too often.
    held: false,
    // Whether the app is there, and the visitor has to send something again.
    up: false,
    // Whether the page has tried to leave and is still here, as with a download: then it leaves it to the visitor.
    stayed: false,
    // Whether the visitor is offered a link, since the app, or somebody, has been answering for long.
    offers: false,
    // Whether the app has been put to sleep while the visitor could have opened it: to start it again is their choice.
    idle: waits !== undefined,
    // Since when the server says that the app is ready, if it does, and how it forwards what still reaches it.
    readySince: undefined,
    forwarding: undefined,
    // When somebody has answered last, be it the server or the app.
    heard: performance.now(),
    get settled() {
      return isSettled();
    },

    // Notes what the server has said of the app.
    note(isReady, forwarding) {
      page.readySince = isReady ? (page.readySince ?? performance.now()) : undefined;
      page.forwarding = forwarding;
    },

    // Starts the app, or tries again after a failure. Yields the status of the answer, or 0 if nothing came through.
    async wake() {
      // The button is hidden only as long as the first attempt may do without it.
      if (!page.posted) {
        html.dataset.starting = "";
        setTimeout(() => delete html.dataset.starting, 5_000);
      }
      page.posted = performance.now();
      starts += 1;
      let status = 0;
      try {
        const answer = await fetch(page.base + "wake", { method: "POST", headers: { accept: "application/json" }, signal: limit(10_000) });
        status = answer.status;
        isMissed = !answer.headers.has("x-unidler");
        // An app or an ingress that does not know the address says 404, and an ingress that reaches nobody something above 500.
        const isRefusal = isMissed ? status >= 400 && status < 500 && ![404, 408, 425].includes(status) : status >= 400;
        page.refused = isRefusal ? status : 0;
      } catch {
        page.refused = 0;
      }
      starts -= 1;
      if (status < 200 || status >= 400) delete html.dataset.starting;
      return status;
    },

    // Starts the app, which is asleep: again if it still is some seconds later, since the first request may have been lost.
    // A hidden tab starts nothing.
    async startWhenDue() {
      const pause = page.refused ? 15_000 : isMissed ? 1_000 : 5_000;
      const isDue = !page.posted || performance.now() - page.posted >= pause;
      if (isDue && !starts && !page.idle && !document.hidden) await page.wake();
    },

    // Does what a press of a form's button asks for; as the plain form where scripts do not get through.
    async press(form) {
      page.idle = false;
      const status = await page.wake();
      if (!status && navigator.onLine) form.submit();
      return status;
    },

    // Asks where the app stands, at an address that is reserved for us: the visitor's own may be a link that works once.
    // Yields our answer as JSON, or null. Once somebody else answers there, the visitor is handed over.
    async ask() {
      const asked = performance.now();
      if (page.isLeaving || (isSettled() && (document.hidden || asked < quietUntil))) {
        page.heard = asked;
        return null;
      }
      quietUntil = asked + 20_000;
      try {
        // Not twice at the same address: a service worker of the app's may answer from its cache, whatever it is told.
        const answer = await fetch(page.base + "status?t=" + Date.now(), { cache: "no-store", redirect: "manual", signal: limit(10_000) });
        if (answer.headers.has("x-unidler")) {
          page.heard = performance.now();
          const text = await answer.text();
          if (!answer.ok) return "";
          const status = JSON.parse(text);
          page.note(status.phase === "ready", status.forwarding);
          if (page.forwarding) {
            // The visitor would have the app from us as well.
            count("app");
            openIfDue();
            return text;
          }
          interrupt();
          page.offers = page.stayed;
          if (page.readySince === undefined) {
            wavers = false;
            page.idle ||= isSettled();
            page.held = page.up = page.stayed = page.offers = false;
          }
          return text;
        }
        const { status } = answer;
        const isNobodys = [408, 425, 429, 502, 504].includes(status) || (status >= 520 && status <= 530);
        broken ||= [502, 503, 504].includes(status);
        const now = performance.now();
        if (!isNobodys) {
          page.heard = now;
          page.refused = 0;
        }
        // An ingress may say 404 of an app that it does not know yet, and 503 as long as it reaches nobody. An app may
        // say both.
        count(isNobodys ? "nobody" : status === 503 || (status === 404 && page.readySince === undefined) ? status : "app");
        page.offers = page.stayed || (!isNobodys && now - streak.since >= 60_000);
        openIfDue();
      } catch {
        interrupt();
        quietUntil = 0;
      }
      return null;
    },

    // Hands the visitor over. Not `replace`: with a fragment in the address that would only scroll. A reload keeps the
    // whole address and leaves no entry of this page to go back to.
    open() {
      // A reload would send the form again, which is the visitor's decision.
      page.up = lostPost;
      const recent = reloads();
      page.held = recent.length >= 3;
      if (page.up || page.held || page.stayed || page.isLeaving) return;
      page.isLeaving = true;
      setTimeout(() => {
        page.isLeaving = false;
        page.stayed = page.offers = true;
      }, 20_000);
      if (recent.length) history.replaceState({ ...history.state, unidler: [...recent, Date.now()] }, "");
      location.reload();
    },
  });

  page.note(rendered.phase === "ready");
  html.dataset.scripts = "";
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted) page.isLeaving = page.stayed = page.offers = false;
  });
  setInterval(() => html.toggleAttribute("data-lost", performance.now() - page.heard > 20_000), 1_000);
  // A hidden tab starts nothing, nor does a page that is prerendered: for a moment that is neither hidden nor there yet, and what
  // it posts then counts as a prefetch.
  const isAway = () => document.hidden || document.prerendering;
  const begin = () => {
    if (rendered.phase === "asleep" && !page.idle && !isAway() && !page.posted) page.wake();
  };
  for (const name of ["visibilitychange", "prerenderingchange"]) document.addEventListener(name, begin);
  begin();

  document.addEventListener("click", ({ target }) => {
    if (target.closest(".resend")) location.reload();
  });
  // The module prevents the default itself, if it is there.
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    page.press(event.target);
  });

  // Without the module.
  let isAlone = false;
  let original;
  let failed = rendered.phase === "failed";
  async function alone() {
    if (isAlone) return;
    isAlone = true;
    html.dataset.alone = "";
    const island = document.querySelector("leptos-island");
    original ??= island.innerHTML;
    let last = rendered;
    for (; isAlone; await pause(last.phase === "ready" || streak.count ? 500 : 2_000)) {
      const text = await page.ask();
      if (!isAlone) return;
      if (text) {
        const next = JSON.parse(text);
        // After a failure, to try again is the visitor's choice.
        if (!(failed && next.phase === "asleep")) last = next;
        failed = last.phase === "failed";
        if (last.phase === "asleep") page.startWhenDue();
      }
      show(last, performance.now() - page.heard > 5_000);
    }
  }

  // Chooses the words by itself, since there is no module here: as `text.rs` does, which the spec `without` compares.
  function show({ phase, reason, title, host, reference }, isLost) {
    const said = JSON.parse(document.getElementById("words").textContent);
    const main = document.querySelector("main");
    const set = (selector, text) => {
      const element = main.querySelector(selector);
      if (element.said !== text) element.textContent = element.said = text;
      element.hidden = !text;
    };
    const hide = (selector, isHidden) => (main.querySelector(selector).hidden = isHidden);
    const lead = page.up ? "" : page.held ? said.held : page.offers ? said.stayed : said.leads[lostPost && phase === "waking" ? "asleep" : phase];
    const [what, advice] = said.reasons[reason] ?? [lead, ""];
    const [plain, named] = said.headings[page.up ? "up" : said.others[reason] ?? phase];
    const heading = title ? named.replace("{}", () => `\u2068${title}\u2069`) : plain;
    document.title = `${heading} – ${host}`;
    main.dataset.phase = phase;
    set("h1", heading);
    set(".announced", `${heading}. ${what}`);
    set(".lead", what);
    set(".advice", advice);
    const isRefused = page.refused && (phase === "asleep" || phase === "failed");
    set(".connection", isRefused ? said[[429, 503].includes(page.refused) ? "crowded" : "refused"] : isLost ? said.reconnecting : "");
    set(".reference dd", reference);
    for (const selector of [".estimate", ".restarts", ".parts", "progress", ".steps", ".copy", ".tell"]) hide(selector, true);
    hide(".reference", phase === "asleep");
    hide(".start", phase !== "asleep");
    hide(".retry", phase !== "failed" || said.others[reason] === "asleep");
    hide(".resend", !page.up);
    hide(".open", phase !== "ready" && !page.held && !page.up && !page.offers);
  }

  async function load() {
    if (!getComputedStyle(html).getPropertyValue("--ground")) {
      document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: style }));
    }
    const href = (selector) => document.querySelector(selector).href;
    const module = await import(href("link[rel=modulepreload]"));
    await module.default({ module_or_path: href("link[rel=preload]") });
    isAlone = false;
    delete html.dataset.alone;
    const islands = document.querySelectorAll("leptos-island");
    // The module expects what the server rendered.
    if (original) islands[0].innerHTML = original;
    clearTimeout(timer);
    module.hydrate();
    for (const island of islands) module[island.dataset.component](island);
  }

  const rescue = ({ error, reason }) => {
    if (/RuntimeError/.test(String(error ?? reason))) alone();
  };
  addEventListener("error", rescue);
  addEventListener("unhandledrejection", rescue);
  const timer = setTimeout(alone, 10_000);
  const run = () => load().catch(alone);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", run);
  else run();
})();
