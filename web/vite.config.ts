import vue from "@vitejs/plugin-vue";
import { defineConfig, loadEnv } from "vite";

// While developing, the page comes from vite and the answers from a running `patrol serve`.
const server = loadEnv("", ".", "PATROL_")["PATROL_API"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [vue()],
  worker: { format: "es" },
  build: {
    target: "es2022",
    // The map library is most of the page and changes least: its own file stays in the browser's cache across releases.
    rollupOptions: { output: { manualChunks: { map: ["maplibre-gl"] } } },
    chunkSizeWarningLimit: 1500,
  },
  server: { proxy: { "/api": server } },
});
