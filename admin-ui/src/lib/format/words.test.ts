import { expect, it } from 'vitest';
import { bytes, count, healthcheck, resources, shortCommit, shortImage } from './words';

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1 KiB'],
  [512 * 1024 ** 2, '512 MiB'],
  [1.5 * 1024 ** 3, '1.5 GiB'],
  [2048 * 1024 ** 4, '2048 TiB'],
])('%i bytes are %s', (size, text) => {
  expect(bytes(size)).toBe(text);
});

it('names limits and their absence', () => {
  const limits = { memory_bytes: 536_870_912, cpu_millis: null, pids: 512 };
  expect(resources(limits)).toBe('512 MiB memory, CPU shared evenly, 512 processes');
  expect(resources({ ...limits, cpu_millis: 1500 })).toBe('512 MiB memory, 1.5 CPU, 512 processes');
});

it('says what a health check asks', () => {
  expect(healthcheck({ path: null, timeout_seconds: 60 })).toBe('a TCP connection within 60 s');
  expect(healthcheck({ path: '/up', timeout_seconds: 5 })).toBe('GET /up within 5 s');
});

it('shortens what only machines read whole', () => {
  expect(shortCommit('1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d')).toBe('1a2b3c4d');
  expect(shortImage(`127.0.0.1:5000/demo@sha256:${'ab'.repeat(32)}`)).toBe('127.0.0.1:5000/demo@abababababab');
  expect(shortImage('nginx:1.27')).toBe('nginx:1.27');
});

it('counts in words', () => {
  expect([0, 1, 2].map((n) => count(n, 'app'))).toEqual(['0 apps', '1 app', '2 apps']);
  expect(count(2, 'process', 'processes')).toBe('2 processes');
});
