import { expect, it } from 'vitest';
import { statusWord, tone } from './tone';

it('tells good from bad and from what passes by itself', () => {
  expect(['running', 'current', 'up', 'active'].map(tone)).toEqual(Array(4).fill('good'));
  expect(['failed', 'crashed'].map(tone)).toEqual(Array(2).fill('bad'));
  expect(['building', 'pending', 'deploying', 'starting', 'deleting'].map(tone)).toEqual(Array(5).fill('busy'));
});

it('does not trip over a status that it does not know', () => {
  expect(tone('hibernating')).toBe('idle');
  expect(tone('constructor')).toBe('idle');
});

it('shows a status as words', () => {
  expect(statusWord('rolled_back')).toBe('rolled back');
});
