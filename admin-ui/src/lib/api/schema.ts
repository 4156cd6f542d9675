// The bodies of the REST API, as the server's OpenAPI document (/api/v1/openapi.json) describes them.
// Field by field the same as the Rust types in pvdifyd/api: a change there is a change here.
// Times are RFC 3339 in UTC.

export type AppStatus = 'created' | 'running' | 'stopped' | 'failed' | 'deleting';
export type Environment = 'production' | 'staging';

export interface App {
  name: string;
  environment: Environment;
  status: AppStatus;
  /** The current release's image, pinned by digest. */
  image: string | null;
  /** The current release's number. */
  release: number | null;
  /** Given to `web` as PORT; null means the port that the image exposes, else 8080. */
  bind_port: number | null;
  resources: Resources;
  healthcheck: Healthcheck;
  web_url: string;
  git_url: string;
  created_at: string;
  updated_at: string;
}

export interface Resources {
  memory_bytes: number;
  /** Thousandths of a CPU; null is no limit. */
  cpu_millis: number | null;
  pids: number;
}

export interface Healthcheck {
  /** Must answer 200-399; null: a TCP connection is enough. */
  path: string | null;
  timeout_seconds: number;
}

export type ReleaseStatus =
  | 'building'
  | 'pending'
  | 'deploying'
  | 'current'
  | 'failed'
  | 'superseded'
  | 'rolled_back';

export type ReleaseCause =
  | { kind: 'deploy' }
  | { kind: 'config' }
  | { kind: 'rollback'; to: number }
  | { kind: 'promote' }
  | { kind: 'stack' };

export interface Release {
  version: number;
  image: string;
  status: ReleaseStatus;
  cause: ReleaseCause;
  description: string;
  /** 40 hex digits. */
  commit: string | null;
  /** A key's or token's name. */
  user: string;
  /** Why it failed. */
  failure: string | null;
  created_at: string;
}

export interface Process {
  type: string;
  /** How many should run. */
  count: number;
  /** Empty: the image's own. */
  command: string;
  status: 'running' | 'stopped' | 'starting' | 'crashed';
  instances: Instance[];
}

export interface Instance {
  /** As `web.1`. */
  name: string;
  state: 'starting' | 'up' | 'crashed';
  release: number;
  restarts: number;
  started_at: string | null;
}

export interface Domain {
  domain: string;
  status: 'pending' | 'active';
  /** null while the domain is served over plain HTTP. */
  certificate: string | null;
  created_at: string;
}

export interface Health {
  status: string;
  version: string;
}

/** Every answer of 400 and above. */
export interface ErrorBody {
  error: string;
  code: string;
  hint: string;
  request_id: string;
}
