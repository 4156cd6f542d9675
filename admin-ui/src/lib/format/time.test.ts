import { expect, it } from 'vitest';
import { ago, exact } from './time';

const now = Date.parse('2026-11-23T12:00:00Z');

it.each([
  ['2026-11-23T12:00:00Z', 'just now'],
  ['2026-11-23T11:59:01Z', 'just now'],
  ['2026-11-23T12:00:30Z', 'just now'],
  ['2026-11-23T11:59:00Z', '1 minute ago'],
  ['2026-11-23T11:00:01Z', '59 minutes ago'],
  ['2026-11-23T11:00:00Z', '1 hour ago'],
  ['2026-11-22T12:00:00.5Z', '23 hours ago'],
  ['2026-11-20T12:00:00Z', '3 days ago'],
  ['2026-09-01T12:00:00Z', '2 months ago'],
  ['2024-11-23T00:00:00Z', '2 years ago'],
  ['2026-11-23T13:30:00.123456789+02:00', '29 minutes ago'],
  ['yesterday', 'at an unknown time'],
])('%s is %s', (time, text) => {
  expect(ago(time, now)).toBe(text);
});

it('shows an exact time in UTC, whatever offset it came with', () => {
  expect(exact('2026-11-23T13:30:00.123456789+02:00')).toBe('2026-11-23 11:30:00 UTC');
  expect(exact('yesterday')).toBe('yesterday');
});
