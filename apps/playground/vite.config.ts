import { defineConfig } from 'vite';

// `npx vite` in this folder serves the page while it is changed, and passes what it asks on to an API on :3000.
const api = { target: 'http://127.0.0.1:3000', changeOrigin: true };

export default defineConfig({
  root: 'src',
  // The API serves whatever is under assets/ for ever: the names change with the contents.
  build: { outDir: '../dist', emptyOutDir: true, target: 'es2022', assetsInlineLimit: 0, reportCompressedSize: false },
  server: { proxy: { '/v1': api, '/docs': api } },
});
