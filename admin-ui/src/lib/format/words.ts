// Values of the API as words for people.
import type { Healthcheck, Resources } from '$lib/api/schema';

/** Sizes as memory is sold: 512 MiB, 1.5 GiB. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let size = count;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${Number(size.toFixed(1))} ${units[unit]}`;
}

export function resources({ memory_bytes, cpu_millis, pids }: Resources): string {
  const cpu = cpu_millis === null ? 'CPU shared evenly' : `${cpu_millis / 1000} CPU`;
  return `${bytes(memory_bytes)} memory, ${cpu}, ${pids} processes`;
}

export function healthcheck({ path, timeout_seconds }: Healthcheck): string {
  const what = path === null ? 'a TCP connection' : `GET ${path}`;
  return `${what} within ${timeout_seconds} s`;
}

/** A commit as git shortens it. */
export function shortCommit(commit: string): string {
  return commit.slice(0, 8);
}

/** `host/app@sha256:4bf5122f...`: the name and as much of the digest as tells two apart. */
export function shortImage(image: string): string {
  const [name, digest] = image.split('@sha256:');
  return digest === undefined ? image : `${name}@${digest.slice(0, 12)}`;
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}
