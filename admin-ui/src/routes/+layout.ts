// One static page for every path: all data comes from the API, in the browser.
export const ssr = false;
export const prerender = false;
