import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Failure } from './api/failure';
import { Live } from './live.svelte';

/** A page that can be hidden and seen again. */
class Page extends EventTarget {
  hidden = false;
  show(seen: boolean) {
    this.hidden = !seen;
    this.dispatchEvent(new Event('visibilitychange'));
  }
}
let page: Page;

beforeEach(() => {
  page = new Page();
  vi.stubGlobal('document', page);
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('keeps the last good value when a refresh fails, and clears the failure with the next success', async () => {
  const answers = ['first', new Failure(0, 'down', ''), 'second'];
  const live = new Live(async () => {
    const answer = answers.shift();
    if (answer instanceof Failure) throw answer;
    return answer;
  });
  await live.refresh();
  expect([live.value, live.failure?.message]).toEqual(['first', undefined]);
  await live.refresh();
  expect([live.value, live.failure?.message]).toEqual(['first', 'down']);
  await live.refresh();
  expect([live.value, live.failure?.message]).toEqual(['second', undefined]);
});

it('never lets a slow answer overwrite a newer one', async () => {
  const waiting: ((value: string) => void)[] = [];
  const live = new Live(() => new Promise<string>((resolve) => waiting.push(resolve)));
  const slow = live.refresh();
  const quick = live.refresh();
  waiting[1]?.('new');
  await quick;
  waiting[0]?.('old');
  await slow;
  expect(live.value).toBe('new');
});

it('loads again and again until it is stopped', async () => {
  let loads = 0;
  const live = new Live(async () => (loads += 1));
  const stop = live.start(5000);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(loads).toBe(3);
  stop();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(loads).toBe(3);
});

it('rests while the page is hidden and catches up when it is seen', async () => {
  let loads = 0;
  const live = new Live(async () => (loads += 1));
  const stop = live.start(5000);
  await vi.advanceTimersByTimeAsync(0);
  page.show(false);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(loads).toBe(1);
  page.show(true);
  await vi.advanceTimersByTimeAsync(0);
  expect(loads).toBe(2);
  stop();
});
