// A value that stays fresh: loaded at once, then again and again while the page is seen.
//
// Why not SvelteKit's load: a refresh that fails must not take away what is shown. The last good value stays,
// with the failure beside it, and the next success clears the failure. Only the latest load counts, so a slow
// answer never overwrites a newer one, nor one for another app.
import { untrack } from 'svelte';
import { Failure } from './api/failure';

export class Live<T> {
  value = $state.raw<T>();
  failure = $state.raw<Failure>();
  /** When `value` was loaded; also the `now` that ages are shown against. */
  at = $state(0);

  readonly #load: () => Promise<T>;
  #latest = 0;

  constructor(load: () => Promise<T>) {
    this.#load = load;
  }

  async refresh(): Promise<void> {
    this.#latest += 1;
    const mine = this.#latest;
    try {
      const value = await this.#load();
      if (mine !== this.#latest) return;
      this.value = value;
      this.failure = undefined;
      this.at = Date.now();
    } catch (error) {
      if (mine !== this.#latest) return;
      if (!(error instanceof Failure)) throw error;
      this.failure = error;
    }
  }

  /** Keeps it fresh until the returned function is called; a hidden page rests and catches up when seen. */
  start(everyMs: number): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let stopped = false;
    const tick = async () => {
      clearTimeout(timer);
      if (stopped || document.hidden) return;
      await this.refresh();
      clearTimeout(timer);
      if (!stopped) timer = setTimeout(tick, everyMs);
    };
    const seen = () => void tick();
    document.addEventListener('visibilitychange', seen);
    // What the load reads is no reason for the caller's effect to run anew.
    untrack(seen);
    return () => {
      stopped = true;
      this.#latest += 1;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', seen);
    };
  }
}
