// Keeps the screens themselves, so that they open with no network. Nothing that an agent wrote or
// read is kept: what is under /api and the tiles of own maps never enter the cache.
const FILES = __FILES__;
const CACHE = "meshnode-__VERSION__";

/** A network that swallows everything is not waited for any longer. */
const NODE_MS = 4_000;

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" }))))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate" && url.pathname === "/") {
    // The node first, so that an upgraded one brings its own screens.
    event.respondWith(nodeFirst(request));
  } else if (url.pathname !== "/" && FILES.includes(url.pathname)) {
    event.respondWith(kept(url.pathname).then((found) => found ?? fetch(request)));
  }
});

async function nodeFirst(request) {
  const asked = fetch(request).catch(() => kept("/"));
  const waited = new Promise((resolve) => setTimeout(resolve, NODE_MS)).then(() => kept("/"));
  return (await Promise.race([asked, waited])) ?? asked;
}

async function kept(path) {
  return (await caches.open(CACHE)).match(path);
}
