// Times for people. `now` is always given, so that nothing here reads a clock.

const UNITS: [name: Intl.RelativeTimeFormatUnit, seconds: number][] = [
  ['year', 31_557_600],
  ['month', 2_629_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always' });

/** "3 minutes ago"; under a minute, or ahead by a skewed clock, "just now". */
export function ago(time: string, now: number): string {
  const then = Date.parse(time);
  if (Number.isNaN(then)) return 'at an unknown time';
  const seconds = Math.floor((now - then) / 1000);
  for (const [unit, size] of UNITS) {
    if (seconds >= size) return relative.format(-Math.floor(seconds / size), unit);
  }
  return 'just now';
}

/** The exact time in UTC, for a tooltip: "2026-11-23 12:45:39 UTC". */
export function exact(time: string): string {
  const then = new Date(time);
  if (Number.isNaN(then.getTime())) return time;
  return `${then.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
