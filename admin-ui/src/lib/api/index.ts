// The client that the pages use: this origin's API with this session's token.
import { session } from '$lib/session.svelte';
import { createClient } from './client';

export const api = createClient(() => session.token);
export { Failure } from './failure';
export type * from './schema';
