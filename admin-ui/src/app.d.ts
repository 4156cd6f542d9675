// The global types that SvelteKit looks for; none is extended.
declare global {
  namespace App {}
}
export {};
