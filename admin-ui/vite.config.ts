import { sveltekit } from '@sveltejs/kit/vite';
import tailwindcss from '@tailwindcss/vite';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [tailwindcss(), sveltekit()],
  // `npm run dev` shows the data of the server on this machine.
  server: { proxy: { '/api': 'http://127.0.0.1:9443', '/health': 'http://127.0.0.1:9443' } },
  test: { include: ['src/**/*.test.ts'], expect: { requireAssertions: true } },
});
