// Loads the page's module and hydrates the island. The app may wake between our HTML and our module, and then
// answers in our place; or the module is blocked. Then these lines alone get the visitor there: start, probe the
// page's own address, reload when the app has answered twice in a row.
const href = (selector) => document.querySelector(selector).href;

async function hydrate() {
  const module = await import(href("link[rel=modulepreload]"));
  await module.default({ module_or_path: href("link[rel=preload]") });
  module.hydrate();
  for (const island of document.querySelectorAll("leptos-island")) module[island.dataset.component](island);
}

async function appHasAnswered() {
  try {
    const answer = await fetch(location.href, { cache: "no-store", redirect: "manual" });
    return !answer.headers.has("x-unidler") && ![502, 503, 504].includes(answer.status);
  } catch {
    return false;
  }
}

async function rescue() {
  fetch(`${location.pathname.replace(/\/+$/, "")}/_unidler/wake`, { method: "POST" }).catch(() => {});
  for (let answers = 0; answers < 2; ) {
    await new Promise((wait) => setTimeout(wait, 1000));
    answers = (await appHasAnswered()) ? answers + 1 : 0;
  }
  location.reload();
}

hydrate().catch(rescue);
