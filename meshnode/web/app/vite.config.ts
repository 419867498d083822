// Builds the screens into ../static: hashed files, and a service worker that knows them all.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** Files below `folder`, as addresses on the node. */
function listed(folder: string, root = folder): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? listed(path, root) : [`/${relative(root, path)}`];
  });
}

/** Writes sw.js: src/sw.js with the list of built files and the hash of all that they hold. */
function serviceWorker(): Plugin {
  return {
    name: "service-worker",
    apply: "build",
    generateBundle(_options, bundle) {
      const built = Object.keys(bundle).filter((name) => name !== "index.html");
      const fixed = listed(join(HERE, "public"));
      const files = ["/", ...built.map((name) => `/${name}`), ...fixed].sort();
      const hash = createHash("sha256");
      for (const name of Object.keys(bundle).sort()) {
        const output = bundle[name]!;
        hash.update(name).update(output.type === "chunk" ? output.code : output.source);
      }
      for (const name of fixed.sort()) {
        hash.update(name).update(readFileSync(join(HERE, "public", name)));
      }
      const source = readFileSync(join(HERE, "src", "sw.js"), "utf8")
        .replace("__FILES__", JSON.stringify(files))
        .replace("__VERSION__", hash.digest("hex").slice(0, 16));
      this.emitFile({ type: "asset", fileName: "sw.js", source });
    },
  };
}

export default defineConfig({
  base: "/",
  build: {
    outDir: process.env["MESHNODE_APP_OUT"] ?? "../static",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  plugins: [serviceWorker()],
  server: { proxy: { "/api": "http://127.0.0.1:8480", "/map": "http://127.0.0.1:8480" } },
});
