// The tone of each status that the API knows. The word itself is always shown: colour only repeats it.
import type { AppStatus, Domain, Instance, Process, ReleaseStatus } from '$lib/api/schema';

export type Tone = 'good' | 'bad' | 'busy' | 'idle';
export type Status = AppStatus | ReleaseStatus | Process['status'] | Instance['state'] | Domain['status'];

const TONES: Record<Status, Tone> = {
  created: 'idle',
  running: 'good',
  stopped: 'idle',
  failed: 'bad',
  deleting: 'busy',
  building: 'busy',
  pending: 'busy',
  deploying: 'busy',
  current: 'good',
  superseded: 'idle',
  rolled_back: 'idle',
  starting: 'busy',
  crashed: 'bad',
  up: 'good',
  active: 'good',
};

/** A status that a newer server has and this dashboard has not is shown without colour. */
export function tone(status: string): Tone {
  return Object.hasOwn(TONES, status) ? TONES[status as Status] : 'idle';
}

export function statusWord(status: string): string {
  return status.replaceAll('_', ' ');
}
