// The typed client: one function a question, each path once. Every failure is thrown as a `Failure`.
import { refused, unreachable } from './failure';
import type { App, Domain, Health, Process, Release } from './schema';

const API = '/api/v1';
/** A page refreshes every few seconds; an answer later than this is of no use to it. */
const TIMEOUT_MS = 10_000;

export interface Client {
  health(): Promise<Health>;
  apps(): Promise<App[]>;
  app(name: string): Promise<App>;
  processes(name: string): Promise<Process[]>;
  releases(name: string): Promise<Release[]>;
  domains(name: string): Promise<Domain[]>;
}

/** `token` is asked for each call, so that one entered later counts at once. */
export function createClient(token: () => string | null, fetcher: typeof fetch = fetch): Client {
  async function get<T>(path: string): Promise<T> {
    const headers: Record<string, string> = { accept: 'application/json' };
    const bearer = token();
    if (bearer) headers.authorization = `Bearer ${bearer}`;

    let response: Response;
    try {
      response = await fetcher(path, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
    } catch (error) {
      throw unreachable(error);
    }
    const body: unknown = await response.json().catch(() => undefined);
    if (!response.ok || body === undefined) throw refused(response.status, body);
    return body as T;
  }

  const app = (name: string) => `${API}/apps/${encodeURIComponent(name)}`;
  return {
    health: () => get('/health'),
    apps: () => get(`${API}/apps`),
    app: (name) => get(app(name)),
    processes: (name) => get(`${app(name)}/ps`),
    releases: (name) => get(`${app(name)}/releases`),
    domains: (name) => get(`${app(name)}/domains`),
  };
}
