import { describe, expect, it } from 'vitest';
import { createClient } from './client';
import { Failure } from './failure';

/** A server of one answer, which remembers what it was asked. */
function server(status: number, body: string) {
  const asked: { path: string; headers: Headers }[] = [];
  const fetcher: typeof fetch = async (path, init) => {
    asked.push({ path: String(path), headers: new Headers(init?.headers) });
    return new Response(body, { status });
  };
  return { asked, fetcher };
}

async function failureOf(call: Promise<unknown>): Promise<Failure> {
  const error = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(Failure);
  return error as Failure;
}

describe('the client', () => {
  it('asks each path as the server names it', async () => {
    const { asked, fetcher } = server(200, '[]');
    const api = createClient(() => null, fetcher);
    await api.health();
    await api.apps();
    await api.app('demo');
    await api.processes('demo');
    await api.releases('demo');
    await api.domains('demo');
    expect(asked.map((request) => request.path)).toEqual([
      '/health',
      '/api/v1/apps',
      '/api/v1/apps/demo',
      '/api/v1/apps/demo/ps',
      '/api/v1/apps/demo/releases',
      '/api/v1/apps/demo/domains',
    ]);
  });

  it('lets no app name become another path', async () => {
    const { asked, fetcher } = server(200, '{}');
    await createClient(() => null, fetcher).app('../keys?x#y');
    expect(asked[0]?.path).toBe('/api/v1/apps/..%2Fkeys%3Fx%23y');
  });

  it('sends a token from the moment that there is one', async () => {
    const { asked, fetcher } = server(200, '[]');
    let token: string | null = null;
    const api = createClient(() => token, fetcher);
    await api.apps();
    token = 'secret';
    await api.apps();
    expect(asked.map((request) => request.headers.get('authorization'))).toEqual([null, 'Bearer secret']);
  });

  it("passes on the server's own words", async () => {
    const body = JSON.stringify({
      error: 'there is no app "x"',
      code: 'not_found',
      hint: 'pvdify apps lists them',
      request_id: 'r1',
    });
    const failure = await failureOf(createClient(() => null, server(404, body).fetcher).app('x'));
    expect(failure).toMatchObject({
      status: 404,
      message: 'there is no app "x"',
      hint: 'pvdify apps lists them',
      requestId: 'r1',
      needsToken: false,
    });
  });

  it('says of a 401 that a token is needed', async () => {
    const failure = await failureOf(createClient(() => null, server(401, '{"error":"no token"}').fetcher).apps());
    expect(failure.needsToken).toBe(true);
  });

  it.each([
    [502, '<html>Bad Gateway</html>', 'Pvdify answered with HTTP status 502'],
    [200, '<html>a captive portal</html>', 'Pvdify answered with HTTP status 200'],
  ])('makes a sentence of an answer that is not from Pvdify (%i)', async (status, body, message) => {
    const failure = await failureOf(createClient(() => null, server(status, body).fetcher).apps());
    expect(failure.message).toBe(message);
    expect(failure.hint).not.toBe('');
  });

  it('makes a sentence of no answer and of a late one', async () => {
    const lost = createClient(
      () => null,
      () => Promise.reject(new TypeError('Failed to fetch')),
    );
    expect(await failureOf(lost.apps())).toMatchObject({ status: 0, message: 'Pvdify does not answer' });
    const late = createClient(
      () => null,
      () => Promise.reject(new DOMException('late', 'TimeoutError')),
    );
    expect((await failureOf(late.apps())).message).toBe('Pvdify took too long to answer');
  });
});
