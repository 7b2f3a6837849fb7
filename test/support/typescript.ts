/** What Node is to be given to run the project's TypeScript, from whatever folder. */
export const TYPESCRIPT = [
  '--import',
  new URL('../../scripts/typescript.mjs', import.meta.url).href
] as const
