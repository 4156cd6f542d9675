// Built to static files that pvdifyd embeds; every unknown path gets index.html, and the app routes itself.
import { readFileSync } from 'node:fs';
import adapter from '@sveltejs/adapter-static';

const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));

/** @type {import('@sveltejs/kit').Config} */
export default {
  kit: {
    adapter: adapter({ pages: 'build', assets: 'build', fallback: 'index.html' }),
    // Not the time of the build, so that the same source builds the same files.
    version: { name: version },
    // SvelteKit's one inline script is named by its hash; nothing else runs, loads or is sent elsewhere.
    csp: {
      mode: 'hash',
      directives: {
        'default-src': ['none'],
        'script-src': ['self'],
        'style-src': ['self'],
        // SvelteKit hides what it announces to screen readers by a style attribute.
        'style-src-attr': ['unsafe-inline'],
        'img-src': ['self'],
        'connect-src': ['self'],
        'base-uri': ['none'],
        'form-action': ['none'],
      },
    },
  },
};
