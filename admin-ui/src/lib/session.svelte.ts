// The API token, where the server asks for one. Kept in sessionStorage: it goes with the browser tab, and a
// reload does not ask again.
const KEY = 'pvdify-token';

class Session {
  #token = $state<string | null>(sessionStorage.getItem(KEY));

  get token(): string | null {
    return this.#token;
  }

  enter(token: string): void {
    this.#token = token;
    sessionStorage.setItem(KEY, token);
  }

  forget(): void {
    this.#token = null;
    sessionStorage.removeItem(KEY);
  }
}

export const session = new Session();
